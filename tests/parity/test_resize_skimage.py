"""The matrix products against scikit-image's resize, which Kan et al. 2020 called."""

import numpy as np
import pytest
from skimage.transform import resize as skimage_resize

from voxplain.imaging.grid import COMMON, HCP
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import resample_smoothly, resize, resize_matrices


def reference(data, shape):
    return skimage_resize(data, shape, order=1, mode="reflect", anti_aliasing=True, preserve_range=True)


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((26, 31, 26), (6, 7, 6)),
        ((26, 31, 27), (13, 30, 27)),  # by less than 2, by almost 1, not at all
        ((9, 10, 11), (20, 10, 33)),  # enlarged, beyond the outermost centres
        ((30, 12, 8), (2, 40, 1)),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_small_volumes(shape, target, order):
    data = np.asarray(np.random.default_rng(0).normal(100, 30, shape), order=order)
    result = resize(data, resize_matrices(shape, target))
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert np.abs(result - reference(data, target)).max() < 1e-5 * np.ptp(data)


def test_the_hcp_grid():
    # Noise has every frequency and no empty border, so that errors at the faces would show.
    data = np.random.default_rng(1).random(HCP.shape[::-1], dtype=np.float32).T * 3000
    expected = reference(data, COMMON.shape)
    for result in (
        resize(data, resize_matrices(HCP.shape, COMMON.shape)),
        resample_smoothly(Volume(data, HCP.affine), COMMON),
    ):
        assert np.abs(result - expected).max() < 1e-5 * np.ptp(data)
