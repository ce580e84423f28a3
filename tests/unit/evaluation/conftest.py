"""What tests of maps of several people share."""

import numpy as np
import pytest


@pytest.fixture
def brain():
    """A box in volumes of 9 × 8 × 7 voxels."""
    inside = np.zeros((9, 8, 7), dtype=bool)
    inside[1:-1, 1:-1, 1:] = True
    return inside
