"""Reading one 3D volume quickly, and refusing what is not one.

NIfTI (``.nii``, ``.nii.gz``) and FreeSurfer's volumes (``.mgz``, ``.mgh``) are decompressed with isal straight into the
array's memory.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxplain.base.errors import InputError
from voxplain.imaging.headers import Header, Unfit, open_stream, read_header, unreadable

# Bytes after the image data that are still read (padding, FreeSurfer's history), to reach gzip's checksum.
MOST_PADDING = 2**20


class Volume(NamedTuple):
    """One 3D volume in space.

    Attributes
    ----------
    data : ndarray [D, H, W]
    affine : ndarray [4, 4]
        Voxel indices to mm, RAS+.
    """

    data: np.ndarray
    affine: np.ndarray


def read_volume(path: str | os.PathLike) -> Volume:
    """Read a 3D volume as float32, scaling applied.

    Parameters
    ----------
    path : path-like
        ``.nii.gz``, ``.nii``, ``.mgz`` or ``.mgh``. A trailing fourth axis of length 1 is dropped.

    Returns
    -------
    Volume
        float32 in the file's own axis order (Fortran order in memory), and its affine (sform before qform).

    Raises
    ------
    InputError
        For a file that is missing, truncated, damaged, of another format, not 3D, complex or RGB, empty, constant or
        not finite, or whose place in space is unknown or contradictory.
    """
    try:
        return _read(Path(path))
    except Unfit as problem:
        raise InputError(f"{path}: {problem}") from problem.__cause__


def check_headers(paths: list[str | os.PathLike]) -> list[str]:
    """Look at existence, format and header of files without reading their data.

    Parameters
    ----------
    paths : list of path-like

    Returns
    -------
    list of str
        One text ``path: problem`` for every file that `read_volume` would refuse by its header.
    """
    problems = []
    for path in paths:
        try:
            read_header(Path(path))
        except Unfit as problem:
            problems.append(f"{path}: {problem}")
    return problems


def _read(path: Path) -> Volume:
    header = read_header(path)
    try:
        stored = _read_stored(path, header)
    except EOFError as error:
        raise Unfit("is truncated: the data end before what the header announces. Copy the file again") from error
    except OSError as error:
        raise unreadable(error) from error
    with np.errstate(over="ignore"):
        data = stored.astype(np.float32, copy=False)
    del stored
    if header.slope != 1:
        data *= np.float32(header.slope)
    if header.intercept != 0:
        data += np.float32(header.intercept)
    # Both are NaN when any value is, and cost no temporary array.
    lowest, highest = float(data.min()), float(data.max())
    if not np.isfinite([lowest, highest]).all():
        raise Unfit("holds NaN or infinite values. Replace them, for example by 0 outside of the brain")
    if lowest == highest:
        raise Unfit("is empty: all voxels are 0" if lowest == 0 else f"is constant: all voxels are {lowest:g}")
    return Volume(data, header.affine)


def _read_stored(path: Path, header: Header) -> np.ndarray:
    """Read the numbers as they are stored; both formats keep the first axis fastest."""
    raw = np.empty(int(np.prod(header.shape)) * header.dtype.itemsize, dtype=np.uint8)
    with open_stream(path) as file:
        file.seek(header.offset)
        if file.readinto(raw) != raw.size:
            raise EOFError
        # Reading to the end lets gzip compare its checksum.
        if len(file.read(MOST_PADDING)) == MOST_PADDING:
            raise Unfit("holds more data than its header announces; damaged?")
    return raw.view(header.dtype).reshape(header.shape, order="F")
