"""The way of `voxplain.imaging.downsampling` with a change on it: samples are taken at displaced places, and scaled.

Whoever is to look changed and whoever is not must come out equally sharp, or a network would tell them by the blur. A
volume is therefore never changed and then downsampled: what is smoothed is the volume as scanned, and it is sampled
once, at places that are displaced by much, little or nothing.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.seeds import seed_for
from voxplain.imaging.alignment import check_kind, register, space_after
from voxplain.imaging.downsampling import read_mask
from voxplain.imaging.grid import COMMON, Grid
from voxplain.imaging.intensity import check_intensity, normalise
from voxplain.imaging.quality import expected_place
from voxplain.imaging.reading import Volume, read_volume
from voxplain.imaging.resizing import EDGE_WITHIN, antialias, crop_to_brain, parallel_axes


class Change(NamedTuple):
    """What is done to a person on the common grid.

    Attributes
    ----------
    displacement : ndarray [3, D, H, W]
        x, y, z in mm: where, relative to the centre of each voxel, its value is taken from.
    factor : ndarray [D, H, W]
        Of the value taken there.
    """

    displacement: np.ndarray
    factor: np.ndarray


def check_place(align: str, space: str) -> None:
    """Refuse images that do not end in MNI space, where the regions of an atlas say nothing.

    Parameters
    ----------
    align : {'none', 'rigid', 'affine', 'syn'}
    space : {'mni', 'acpc'}
        Where unaligned images lie.

    Raises
    ------
    InputError
    """
    check_kind(align)
    expected_place(space)
    if space_after(align, space) != "mni":
        refuse(
            "A change of atlas regions can only be planted in images that lie in MNI space",
            [f"images.align: {align}", f"images.space: {space}"],
            "Set images.align: affine or syn, or give images in MNI space (images.space: mni).",
        )


def downsample_changed(
    image: str | os.PathLike,
    mask: str | os.PathLike | None,
    participant_id: str,
    changes: Iterable[Change],
    *,
    align: str = "none",
    space: str = "mni",
    intensity: str = "zscore",
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Yield the volume of one person on the common grid once for every change, read and registered only once.

    Parameters
    ----------
    image, mask, participant_id
        As in `voxplain.imaging.downsampling.downsample`.
    changes : iterable of Change
        In MNI space. Without displacement and with the factor 1 the result is that of ``downsample`` but for rounding.
    align, space, intensity, seed
        As in ``downsample``, with its values, so that the same registration is found. Intensities are normalised
        after the change, as those of any image.

    Yields
    ------
    ndarray of `COMMON`'s shape, float32

    Raises
    ------
    InputError
        For images that do not end in MNI space (`check_place`), that are on the common grid already (between its
        voxels nothing finer is left to sample: whoever is displaced would be blurred), or that cannot be read or
        registered.
    """
    check_place(align, space)
    check_intensity(intensity)
    volume = read_volume(image)
    if COMMON.matches(volume.data.shape, volume.affine):
        refuse(
            "A change can only be planted in volumes at full resolution; on the common grid it would blur them",
            [Path(image).name],
            "Give the volumes as scanned.",
        )
    brain_mask = None if mask is None else read_mask(mask, volume)
    with sampler(volume, brain_mask, align, seed_for(seed, "align", participant_id)) as sample:
        for change in changes:
            data, brain = sample(change.displacement)
            yield normalise(data * change.factor.astype(np.float32), brain, intensity)


@contextmanager
def sampler(volume: Volume, mask: Volume | None = None, align: str = "none", seed: int = 0, grid: Grid = COMMON):
    """Smooth (and register) a volume once, and give a function that samples it at displaced places.

    Parameters
    ----------
    volume : Volume
        Skull-stripped, unless there is a mask.
    mask : Volume, optional
        Brain on the grid of `volume`.
    align : {'none', 'rigid', 'affine', 'syn'}
        See `voxplain.imaging.alignment.register`.
    seed : int
        Of the registration.
    grid : Grid

    Yields
    ------
    function
        Takes a displacement in mm [3, D, H, W] in the space of `grid` and returns data (float32 [D, H, W]) and brain
        (bool [D, H, W]). At displacement 0 they are those of `voxplain.imaging.resizing.to_common_grid` or of
        ``align_to_mni``, but for rounding.
    """
    check_kind(align)
    if align == "none":
        yield _plain(volume, mask, grid)
        return
    with tempfile.TemporaryDirectory(prefix="voxplain-align-") as folder:
        yield register(volume, mask, align, seed, Path(folder), grid).sample


def _plain(volume: Volume, mask: Volume | None, grid: Grid):
    from scipy.ndimage import map_coordinates

    smooth = [antialias(part, grid) for part in crop_to_brain(volume, mask, grid)]
    to_source = np.linalg.inv(smooth[0].affine) @ grid.affine
    linear = to_source[:3, :3]
    axes = parallel_axes(to_source, grid.shape)
    if axes is not None:  # the plain way takes nearly parallel grids as parallel
        linear = np.where(np.eye(3, dtype=bool)[axes], linear, 0)
    start, to_voxels = to_source[:3, 3].reshape(3, 1, 1, 1), np.linalg.inv(grid.affine)[:3, :3]
    last = np.array(smooth[0].data.shape, dtype=float).reshape(3, 1, 1, 1) - 1

    def sample(displacement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        voxels = np.indices(grid.shape) + np.einsum("ij,j...->i...", to_voxels, displacement)
        places = np.einsum("ij,j...->i...", linear, voxels) + start
        held = np.clip(places, 0, last)
        places = np.where(np.abs(places - held) <= EDGE_WITHIN, held, places)
        values, share = (map_coordinates(part.data, places, order=1, mode="constant") for part in smooth)
        return values, share > 0.5

    return sample
