"""Small volumes of known content for the tests of voxplain.imaging."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from voxplain.imaging.grid import COMMON, mni_brain

# Right and left blob of different size, one at the front: no flip or permutation of axes maps the volume on itself.
BLOBS = (((45.0, -20.0, 10.0), 9.0, 1000.0), ((-30.0, -50.0, 30.0), 12.0, 600.0), ((5.0, 30.0, -20.0), 8.0, 800.0))


@pytest.fixture
def blobs():
    """`BLOBS`, and the smooth function of place (mm [..., 3]) that they make."""

    def at(points: np.ndarray) -> np.ndarray:
        values = sum(
            height * np.exp(-0.5 * np.sum((points - centre) ** 2, axis=-1) / width**2)
            for centre, width, height in BLOBS
        )
        return np.where(values < 1, 0, values).astype(np.float32)

    return SimpleNamespace(each=BLOBS, at=at)


def voxel_places(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


@pytest.fixture
def places():
    """Function of shape and affine that gives the place of every voxel's centre in mm [D, H, W, 3]."""
    return voxel_places


@pytest.fixture
def save(tmp_path):
    """Write a NIfTI file with nibabel and return its path."""

    def write(name, data, affine=COMMON.affine, sform=1, qform=1, slope=None, kind=nib.Nifti1Image):
        image = kind(data, affine)
        if slope is not None:
            image.header.set_slope_inter(*slope)
        image.set_sform(affine, code=sform)
        image.set_qform(affine, code=qform)
        path = Path(tmp_path) / name
        nib.save(image, path)
        return path

    return write


@pytest.fixture
def brain():
    """An asymmetric brain on the common grid: float32, 0 outside of the MNI brain."""
    texture = 100 + 20 * np.random.default_rng(0).standard_normal(COMMON.shape)
    x = voxel_places(COMMON.shape, COMMON.affine)[..., 0]
    return (mni_brain() * (texture + 30 * (x > 20))).astype(np.float32)
