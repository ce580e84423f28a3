"""A cohort that a network can learn in seconds: class B carries a bright block."""

import numpy as np
import pytest

SHAPE = (12, 14, 10)


@pytest.fixture(scope="session")
def cohort():
    """Return (stack float32 [24, 12, 14, 10], labels [24]); people of class B are brighter in one block."""
    generator = np.random.default_rng(3)
    stack = generator.normal(size=(24, *SHAPE)).astype(np.float32)
    labels = ["A", "B"] * 12
    stack[1::2, 3:9, 4:10, 3:8] += 2.0
    return stack, labels


@pytest.fixture
def small():
    """Return constructor arguments of a small VoxelCNN."""
    return {"channels": 2, "blocks": 1, "dropout": 0.2}
