"""How well a network does when only the voxels named most important stay clean."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise, VoxelNoise
from voxplain.attribution.noise_utility import noise_utility, summarise_utility
from voxplain.base.errors import InputError

SHAPE = (4, 4, 4)
IDS = [f"p{i}" for i in range(40)]
REGRESSION = {"task": "regression", "labels": [], "target_mean": 50.0, "target_sd": 10.0}
CLASSES = {"task": "classification", "labels": ["A", "B"], "target_mean": None, "target_sd": None}


@pytest.fixture
def people():
    stack = np.random.default_rng(0).standard_normal((40, *SHAPE)).astype(np.float32)
    return stack, stack[:, 0, 0, 0] + stack[:, 3, 3, 3]


def network(outputs):
    """The sum of two voxels; as a logit of the second class, twenty times that."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, outputs, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[-1, [0, 63]] = 1.0 if outputs == 1 else 20.0
    return model


def knowing(noise_max=1.0):
    """A noise model that knows the two voxels."""
    model = VoxelNoise(SHAPE)
    with torch.no_grad():
        model.logits.copy_(torch.linspace(1, 2, 64).reshape(1, 1, *SHAPE))
        model.logits[0, 0, 0, 0, 0] = model.logits[0, 0, 3, 3, 3] = -3
    return TrainedNoise(model, NoiseSettings(model="voxel", noise_max=noise_max), SHAPE, 1.0, 0)


def curves(frame, measure):
    return frame.pivot(index="share_clean", columns="order", values=measure)


def test_regression(people):
    stack, sums = people
    ages = [str(50 + 10 * s) for s in sums]
    frame = noise_utility(network(1), knowing(), stack, range(40), IDS, ages, REGRESSION, "cpu", 3)
    assert list(frame) == ["order", "share_clean", "n", "mae"]
    table = curves(frame, "mae")
    assert list(table.index) == list(range(0, 101, 10))
    # 2 of 64 voxels are clean from 10 % on.
    assert table["importance"][10:].to_numpy() == pytest.approx(0, abs=1e-4)
    # Without clean voxels noise of variance 2 is added to a sum: mean |error| = 10 √2 √(2/π).
    assert table["importance"][0] == table["random"][0] == pytest.approx(10 * np.sqrt(2) * np.sqrt(2 / np.pi), rel=0.3)
    assert table["random"][100] == pytest.approx(0, abs=1e-4)
    assert table["random"][10] > 5
    assert table["random"][50] < table["random"][0]


def test_classes(people):
    stack, sums = people
    labels = ["B" if s > 0 else "A" for s in sums]
    frame = noise_utility(network(2), knowing(), stack, range(40), IDS, labels, CLASSES, "cpu", 3, noise=3.0)
    table = curves(frame, "accuracy")
    assert (table["importance"][10:] == 1).all()
    assert table["random"][10] < 0.85
    assert table["random"][100] == 1


def test_the_largest_noise_of_the_settings_is_used(people):
    stack, sums = people
    ages = 50 + 10 * sums
    more = noise_utility(network(1), knowing(2.0), stack, range(40), IDS, ages, REGRESSION, "cpu", 3, shares=[0])
    less = noise_utility(network(1), knowing(1.0), stack, range(40), IDS, ages, REGRESSION, "cpu", 3, shares=[0])
    assert more["mae"][0] == pytest.approx(2 * less["mae"][0], rel=1e-4)


def test_outside_the_brain_everything_stays_clean(people):
    stack, sums = people
    ages, brain = 50 + 10 * sums, np.ones(SHAPE, bool)
    brain[0, 0, 0] = brain[3, 3, 3] = False
    frame = noise_utility(network(1), knowing(), stack, range(40), IDS, ages, REGRESSION, "cpu", 3, brain)
    assert frame["mae"].to_numpy() == pytest.approx(0, abs=1e-4)
    brain[0, 0, 0] = True  # the only voxel of 63 that matters
    table = curves(
        noise_utility(network(1), knowing(), stack, range(40), IDS, ages, REGRESSION, "cpu", 3, brain), "mae"
    )
    assert table["importance"][10] == pytest.approx(0, abs=1e-4)
    assert table["random"][10] > 3


def test_batches_and_order_of_people_play_no_part(people):
    stack, sums = people
    ages = 50 + 10 * sums
    expected = noise_utility(network(1), knowing(), stack, range(40), IDS, ages, REGRESSION, "cpu", 3)
    order = np.random.default_rng(1).permutation(40)
    found = noise_utility(
        network(1), knowing(), stack, order, [IDS[i] for i in order], ages[order], REGRESSION, "cpu", 3, batch_size=3
    )  # fmt: skip
    np.testing.assert_allclose(found["mae"], expected["mae"], rtol=1e-4, atol=1e-4)
    other = noise_utility(network(1), knowing(), stack, range(40), IDS, ages, REGRESSION, "cpu", 4)
    assert not np.allclose(other["mae"], expected["mae"], rtol=1e-3)


def test_summary():
    folds = [
        pd.DataFrame({"order": ["importance", "random"] * 2, "share_clean": [0, 0, 50, 50], "n": 3, "accuracy": values})
        for values in ([0.5, 0.5, 0.9, 0.7], [0.7, 0.7, 1.0, 0.8])
    ]
    table = summarise_utility(folds)
    assert list(table) == ["order", "share_clean", "metric", "mean", "sd", "folds"]
    assert table["mean"].tolist() == pytest.approx([0.6, 0.95, 0.6, 0.75])
    assert table["sd"].tolist() == pytest.approx([0.2 / np.sqrt(2), 0.1 / np.sqrt(2)] * 2)
    assert set(table["metric"]) == {"accuracy"}
    assert summarise_utility(folds[:1])["sd"].isna().all()


def test_refusals(people):
    stack, sums = people
    with pytest.raises(InputError, match=r"(?s)must lie in 0 \.\.\. 100 percent\n  - -5\n  - 101"):
        noise_utility(network(1), knowing(), stack, range(40), IDS, sums, REGRESSION, "cpu", 3, shares=[-5, 50, 101])
    with pytest.raises(InputError, match=r"brain: \[3, 3, 3\], expected the images' \[4, 4, 4\]"):
        noise_utility(network(1), knowing(), stack, range(40), IDS, sums, REGRESSION, "cpu", 3, np.ones((3, 3, 3)))
