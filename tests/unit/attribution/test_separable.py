import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, uniform_filter

from voxplain.attribution.separable import (
    along_axes,
    blurring_matrix,
    box_taps,
    gaussian_taps,
    sampling_matrix,
    upsampling_matrix,
)

SHAPE = (11, 14, 9)
VOLUMES = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32))


def test_upsampling_equals_torch():
    size = (45, 40, 36)
    ours = along_axes(VOLUMES, [upsampling_matrix(n, m) for n, m in zip(size, SHAPE, strict=True)])
    torchs = torch.nn.functional.interpolate(VOLUMES[:, None], size=size, mode="trilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(ours, torchs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("borders", "mode"), [("replicate", "nearest"), ("zero", "constant")])
@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_gaussian_equals_scipy(borders, mode, sigma):
    ours = along_axes(VOLUMES, [blurring_matrix(n, gaussian_taps(sigma), borders) for n in SHAPE])
    expected = gaussian_filter(VOLUMES.numpy(), sigma, axes=(1, 2, 3), mode=mode, truncate=4)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_box_equals_scipy_and_fades_at_zero_borders():
    ours = along_axes(VOLUMES, [blurring_matrix(n, box_taps(5), "zero") for n in SHAPE])
    expected = uniform_filter(VOLUMES.numpy(), 5, axes=(1, 2, 3), mode="constant")
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)
    # The flaw of the paper's code: a mask of ones is 3/5 at a face.
    assert blurring_matrix(9, box_taps(5), "zero").sum(dim=1)[0].item() == pytest.approx(0.6)


def test_sampling_interpolates_and_repeats_the_ends():
    matrix = sampling_matrix(np.array([-3.0, 0.25, 2.0, 7.0]), 3)
    assert matrix.tolist() == [[1, 0, 0], [0.75, 0.25, 0], [0, 0, 1], [0, 0, 1]]


def test_no_blur():
    assert torch.equal(blurring_matrix(4, gaussian_taps(0), "replicate"), torch.eye(4))
