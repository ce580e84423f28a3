"""The two grids of the workflow: HCP's T1 grid and the common grid that the networks see."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

MNI152_FILE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
MNI152_THRESHOLD = 0.2


@dataclass(frozen=True)
class Grid:
    """A voxel grid in space.

    Attributes
    ----------
    shape : tuple of int
        Voxels along the three axes.
    affine : ndarray [4, 4]
        Voxel indices to mm in RAS+ (x grows to the right).
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def matches(self, shape: tuple[int, ...], affine: np.ndarray, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether a volume lies on this grid: same shape, corners within `tolerance_mm`."""
        if tuple(shape) != self.shape:
            return False
        corners = np.array(np.meshgrid(*((0, n - 1) for n in self.shape))).reshape(3, -1)
        corners = np.vstack([corners, np.ones(corners.shape[1])])
        return bool(np.abs((self.affine - affine) @ corners).max() <= tolerance_mm)

    def voxel_size(self) -> np.ndarray:
        """Return the voxel's edge lengths in mm [3]."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def rescaled(self, shape: tuple[int, int, int]) -> "Grid":
        """Return a grid of another shape with the same outer edges (not the same centres of corner voxels)."""
        factor = np.array(self.shape) / np.array(shape)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * factor
        affine[:3, 3] = self.affine[:3, 3] + self.affine[:3, :3] @ ((factor - 1) / 2)
        return Grid(tuple(int(n) for n in shape), affine)


# MNINonLinear/T1w_restore_brain.nii.gz of the HCP: 0.7 mm, MNI152NLin6Asym, first axis from right to left (LAS).
HCP = Grid(
    (260, 311, 260),
    np.array([[-0.7, 0, 0, 90.0], [0, 0.7, 0, -126.0], [0, 0, 0.7, -72.0], [0, 0, 0, 1.0]]),
)
# Volume inside the MNI152 brain mask that nilearn ships (1 mm), in ml; ventricles and the CSF of the sulci count.
MNI_BRAIN_ML = 1883.0
MM3_PER_ML = 1000.0
# Kan et al. 2020: the HCP field of view in 58 x 70 x 58 voxels of 3.138 x 3.110 x 3.138 mm.
COMMON = HCP.rescaled((58, 70, 58))


def resample_to(data: np.ndarray, affine: np.ndarray, grid: Grid, order: int = 1) -> np.ndarray:
    """Sample a volume at the voxel centres of a grid, through both affines; no anti-aliasing; 0 outside.

    Parameters
    ----------
    data : ndarray [D, H, W]
    affine : ndarray [4, 4]
        Of `data`.
    grid : Grid
        Where to sample.
    order : int
        0 nearest (labels), 1 linear, 3 cubic.

    Returns
    -------
    ndarray of the grid's shape, float32 (or the input's type for order 0)
    """
    from scipy.ndimage import affine_transform

    to_source = np.linalg.inv(affine) @ grid.affine
    source = np.asarray(data) if order == 0 else np.asarray(data, dtype=np.float32)
    return affine_transform(
        source, to_source[:3, :3], to_source[:3, 3], grid.shape, order=order, mode="constant", cval=0
    )


@lru_cache(maxsize=4)
def mni_brain(shape: tuple[int, int, int] = COMMON.shape) -> np.ndarray:
    """Return the MNI152 brain mask (nilearn's template) on the HCP field of view cut into `shape` voxels.

    Returns
    -------
    ndarray of bool [D, H, W], read-only
    """
    import nibabel as nib

    # What nilearn.datasets.load_mni152_brain_mask does with the file, without its second of imports in every job.
    template = nib.load(Path(find_spec("nilearn").origin).with_name("datasets") / "data" / MNI152_FILE)
    intensity = np.asarray(template.dataobj, dtype=np.float32)
    mask = (intensity / intensity.max() > MNI152_THRESHOLD).astype(np.float32)
    inside = resample_to(mask, template.affine, HCP.rescaled(shape)) > 0.5
    inside.flags.writeable = False
    return inside
