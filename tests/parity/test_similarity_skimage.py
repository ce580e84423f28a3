"""The SSIM of maps against scikit-image called directly, and against the published formula in one window."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from voxplain.evaluation.similarity import similarity

SHAPE = (12, 11, 10)


@pytest.fixture
def maps():
    return np.random.default_rng(5).normal(size=(2, *SHAPE))


def test_a_full_mask_is_the_mean_over_all_voxels(maps):
    first, second = (np.abs(one) / np.abs(one).max() for one in maps)
    _, of_voxels = structural_similarity(first, second, data_range=1, full=True)
    assert similarity(*maps, np.ones(SHAPE, bool))["ssim"] == pytest.approx(of_voxels.mean(), abs=1e-12)


def test_the_formula_of_wang_in_one_window(maps):
    """The brain is one window: the index at its centre by hand, its mean over the brain by scikit-image."""
    brain = np.zeros(SHAPE, bool)
    brain[2:9, 2:9, 2:9] = True
    x, y = (np.abs(one[brain]) / np.abs(one[brain]).max() for one in maps)
    c1, c2 = 0.01**2, 0.03**2
    cov = np.cov(x, y)
    expected = (2 * x.mean() * y.mean() + c1) * (2 * cov[0, 1] + c2)
    expected /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)
    inside = np.zeros((2, *SHAPE))
    inside[:, brain] = x, y
    _, of_voxels = structural_similarity(*inside, data_range=1, full=True)
    assert of_voxels[5, 5, 5] == pytest.approx(expected, rel=1e-9)
    assert similarity(*maps, brain)["ssim"] == pytest.approx(of_voxels[brain].mean(), abs=1e-12)
