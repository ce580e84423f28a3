"""Reading one 3D volume quickly, and refusing what is not one.

NIfTI (``.nii``, ``.nii.gz``) and FreeSurfer's volumes (``.mgz``, ``.mgh``) are decompressed with isal, a piece at a
time: it is converted, scaled and looked at while it is in the processor's cache.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxplain.base.errors import InputError
from voxplain.imaging.headers import Header, Unfit, open_stream, read_header, unreadable

# Values that are read at a time.
PIECE = 2**18
# Bytes after the image data that are still read (padding, FreeSurfer's history), to reach gzip's checksum.
MOST_PADDING = 2**20


class Volume(NamedTuple):
    """One 3D volume in space.

    Attributes
    ----------
    data : ndarray [D, H, W]
    affine : ndarray [4, 4]
        Voxel indices to mm, RAS+.
    known_range : (float, float), optional
        Lowest and highest value, when whoever made the volume has seen them: `value_range`.
    """

    data: np.ndarray
    affine: np.ndarray
    known_range: tuple[float, float] | None = None

    def value_range(self) -> tuple[float, float]:
        """Return the lowest and the highest value."""
        return self.known_range or (float(self.data.min()), float(self.data.max()))


class Memory:
    """Memory for one volume after the other: asking the system for it anew costs a tenth of reading a volume."""

    def __init__(self) -> None:
        self._values = np.empty(0, dtype=np.float32)

    def of(self, n: int) -> np.ndarray:
        """Return room for `n` values, float32 [n], with anything in it; what was returned before is given up."""
        if self._values.size < n:
            self._values = np.empty(0, dtype=np.float32)  # gives the old back before the new is asked for
            self._values = np.empty(n, dtype=np.float32)
        return self._values[:n]


def read_volume(path: str | os.PathLike, memory: Memory | None = None) -> Volume:
    """Read a 3D volume as float32, scaling applied.

    Parameters
    ----------
    path : path-like
        ``.nii.gz``, ``.nii``, ``.mgz`` or ``.mgh``. A trailing fourth axis of length 1 is dropped.
    memory : Memory, optional
        Where the values are put, instead of in memory of their own: they last until it is used for the next volume.

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
        return _read(Path(path), memory or Memory())
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


def _read(path: Path, memory: Memory) -> Volume:
    header = read_header(path)
    data = memory.of(math.prod(header.shape))
    try:
        lowest, highest = _read_values(path, header, data)
    except EOFError as error:
        raise Unfit("is truncated: the data end before what the header announces. Copy the file again") from error
    except OSError as error:
        raise unreadable(error) from error
    if not np.isfinite([lowest, highest]).all():
        raise Unfit("holds NaN or infinite values. Replace them, for example by 0 outside of the brain")
    if lowest == highest:
        raise Unfit("is empty: all voxels are 0" if lowest == 0 else f"is constant: all voxels are {lowest:g}")
    # Both formats keep the first axis fastest.
    return Volume(data.reshape(header.shape, order="F"), header.affine, (lowest, highest))


def _read_values(path: Path, header: Header, data: np.ndarray) -> tuple[float, float]:
    """Fill `data` with the values of a file and return the lowest and the highest; both are NaN when any value is."""
    ranges = []
    as_it_is = header.dtype == data.dtype
    room = np.empty(0 if as_it_is else min(PIECE, data.size), header.dtype)
    with open_stream(path) as file, np.errstate(over="ignore"):
        file.seek(header.offset)
        for start in range(0, data.size, PIECE):
            piece = data[start : start + PIECE]
            stored = piece if as_it_is else room[: piece.size]
            if file.readinto(stored.view(np.uint8)) != stored.nbytes:
                raise EOFError
            if not as_it_is:
                piece[:] = stored
            if header.slope != 1:
                piece *= np.float32(header.slope)
            if header.intercept != 0:
                piece += np.float32(header.intercept)
            ranges.append((piece.min(), piece.max()))
        # Reading to the end lets gzip compare its checksum.
        if len(file.read(MOST_PADDING)) == MOST_PADDING:
            raise Unfit("holds more data than its header announces; damaged?")
    lowest, highest = np.transpose(ranges)
    return float(lowest.min()), float(highest.max())
