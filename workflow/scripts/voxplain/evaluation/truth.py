"""A truth that the user knows: where in the brain the classes differ, or the number shows."""

import os

import numpy as np

from voxplain.base.errors import refuse
from voxplain.imaging.grid import COMMON, Grid, resample_to
from voxplain.imaging.reading import read_volume


def read_truth(path: str | os.PathLike, brain: np.ndarray, grid: Grid = COMMON) -> np.ndarray:
    """Read an image of what is known and put it on the grid of the maps.

    Parameters
    ----------
    path : path-like
        An image in the space of the maps, on any grid: not 0 where something is known to differ.
    brain : ndarray of bool [D, H, W]
        Brain mask on `grid`.
    grid : Grid
        Of the maps.

    Returns
    -------
    uint8 ndarray [D, H, W]
        1 where the image's nearest voxel is not 0.

    Raises
    ------
    InputError
        For an image that cannot be read, or that leaves no voxel inside the brain, or no voxel outside the truth.
    """
    volume = read_volume(path)
    truth = resample_to((volume.data != 0).astype(np.uint8), volume.affine, grid, order=0)
    inside = int((truth.astype(bool) & brain).sum())
    if not 0 < inside < brain.sum():
        refuse(
            f"{path}: as a truth it has {inside} of the {int(brain.sum())} voxels inside the brain; some but not all "
            "are needed.",
            advice="It must lie in the space of the images (MNI where they are aligned); compare both in a viewer.",
        )
    return truth
