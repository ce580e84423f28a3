"""From files to arrays on the common grid, one volume at a time."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from voxplain.base.errors import InputError
from voxplain.base.progress import Progress
from voxplain.base.seeds import seed_for
from voxplain.imaging.alignment import align_to_mni, check_kind, space_after
from voxplain.imaging.grid import COMMON, Grid
from voxplain.imaging.intensity import check_intensity, normalise
from voxplain.imaging.quality import expected_place, measure, unread
from voxplain.imaging.reading import Changed, Memory, Volume, read_volume, refuse_changed, state_of
from voxplain.imaging.resizing import inside_brain, one_blas_thread, to_common_grid

# Mask and image come from the same tools and share their grid but for rounding.
MASK_WITHIN_MM = 0.1

Person = tuple[np.ndarray, np.ndarray, dict[str, object]]


def downsample(
    image: str | os.PathLike,
    mask: str | os.PathLike | None,
    participant_id: str,
    *,
    align: str = "none",
    space: str = "mni",
    intensity: str = "zscore",
    min_overlap: float | None = None,
    max_distance_mm: float | None = None,
    seed: int = 0,
    memory: tuple[Memory, Memory] | None = None,
) -> Person:
    """Bring the volume of one person onto the common grid and measure it.

    Parameters
    ----------
    image : path-like
    mask : path-like or None
        Brain mask on the grid of the image; without one the brain is where the image is not 0.
    participant_id : str
        Gives the person an own random stream for the registration.
    align : {'none', 'rigid', 'affine', 'syn'}
    space : {'mni', 'acpc'}
        Where unaligned brains lie; aligned ones are held to ``mni``, rigidly aligned ones to ``acpc``.
    intensity : {'none', 'zscore'}
        See `voxplain.imaging.intensity.normalise`.
    min_overlap, max_distance_mm : float, optional
        See `voxplain.imaging.quality.measure`.
    seed : int
        The config's.
    memory : two Memory, optional
        For the image and for its mask: see `voxplain.imaging.reading.read_volume`.

    Returns
    -------
    data : ndarray of `COMMON`'s shape, float32
        Zeros when there is a problem.
    brain : ndarray of `COMMON`'s shape, bool
        Empty when there is a problem.
    row : dict
        `voxplain.imaging.quality.COLUMNS`. A bad volume is told by ``problem``, not by an exception, so that one
        person does not stop the batch.

    Raises
    ------
    InputError
        For a setting that is not one of the above.
    Changed
        For a file that somebody wrote to while it was read.
    """
    check_kind(align)
    check_intensity(intensity)
    # Rigid alignment keeps the size of the head, so that its brains are held to what native-sized ones reach.
    space = space_after(align, space)
    expected_place(space)
    of_image, of_mask = memory or (Memory(), Memory())
    try:
        volume = read_volume(image, of_image)
        brain_mask = None if mask is None else read_mask(mask, volume, of_mask)
        inside = inside_brain(volume, brain_mask)
        if align == "none":
            (data, brain), scale = to_common_grid(volume, brain_mask, inside=inside), math.nan
        else:
            data, brain, scale = align_to_mni(volume, brain_mask, align, seed_for(seed, "align", participant_id))
        row = measure(
            volume,
            data,
            brain,
            space,
            mask=brain_mask,
            inside=inside,
            align=align,
            scale=scale,
            min_overlap=min_overlap,
            max_distance_mm=max_distance_mm,
        )
        if not row["problem"]:
            data = normalise(data, brain, intensity)
    except Changed:
        raise
    except InputError as problem:
        # The table of excluded people is public: it names files, not the folders of somebody's machine.
        text = str(problem)
        for path in (image, mask):
            text = text.replace(str(path), Path(path).name) if path is not None else text
        row = unread(text)
    row = {"participant_id": participant_id, **row}
    if row["problem"]:
        return np.zeros(COMMON.shape, dtype=np.float32), np.zeros(COMMON.shape, dtype=bool), row
    return data, brain, row


def downsample_each(
    images: Sequence[str | os.PathLike], masks: Sequence[str | os.PathLike | None], ids: Sequence[str], **settings
) -> Iterator[Person]:
    """Yield what `downsample` gives for one person after another, holding one volume at a time.

    Parameters
    ----------
    images, masks, ids : sequences of one length
    **settings
        Of `downsample`.

    Raises
    ------
    Changed
        After the last person, for files that were written to since they were read: Snakemake holds the times of files
        against that of the batch, which is later.
    """
    progress = Progress("volumes", len(ids))
    memory = Memory(), Memory()
    states = {}
    with one_blas_thread():
        for image, mask, participant_id in zip(images, masks, ids, strict=True):
            states = {path: state_of(path) for path in (image, mask) if path is not None} | states
            person = downsample(image, mask, participant_id, memory=memory, **settings)
            progress.step(note=f"{participant_id}: {person[2]['problem']}" if person[2]["problem"] else "")
            yield person
    refuse_changed(states)


def read_mask(path: str | os.PathLike, volume: Volume, memory: Memory | None = None) -> Volume:
    """Read the brain mask of a volume.

    Parameters
    ----------
    path : path-like
    volume : Volume
        Whose grid the mask must share but for rounding.
    memory : Memory, optional
        See `voxplain.imaging.reading.read_volume`.

    Raises
    ------
    InputError
        When it cannot be read, or lies on another grid.
    """
    mask = read_volume(path, memory)
    if not Grid(volume.data.shape, volume.affine).matches(mask.data.shape, mask.affine, MASK_WITHIN_MM):
        raise InputError(
            f"{path}: the brain mask lies on another grid than its image (shape {mask.data.shape} against "
            f"{volume.data.shape}, or another affine). Resample it to the image"
        )
    return mask
