"""Sampling through the affine against nilearn, for volumes too coarse for anti-aliasing."""

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import resample_img

from voxplain.imaging.grid import COMMON
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import resample_smoothly

STRAIGHT = np.array([[0.0, 0, 4.0, -80.0], [-3.6, 0, 0, 70.0], [0, 5.0, 0, -60.0], [0, 0, 0, 1]])


def oblique():
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ STRAIGHT


@pytest.mark.parametrize("affine", [STRAIGHT, oblique()], ids=["straight", "oblique"])
def test_coarse_volumes(affine):
    data = np.random.default_rng(0).random((40, 30, 38), dtype=np.float32)
    result = resample_smoothly(Volume(data, affine), COMMON)
    image = nib.Nifti1Image(data, affine)
    expected = resample_img(
        image, COMMON.affine, COMMON.shape, interpolation="linear", force_resample=True, copy_header=True
    ).get_fdata()
    assert expected.std() > 0.1
    assert np.abs(result - expected).max() < 1e-5
