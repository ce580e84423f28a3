"""Reading one 3D volume quickly, and refusing what is not one.

NIfTI (``.nii``, ``.nii.gz``) and FreeSurfer's volumes (``.mgz``, ``.mgh``) are decompressed with isal, a piece at a
time: it is converted, scaled and looked at while it is in the processor's cache.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxplain.base.errors import InputError, refuse
from voxplain.imaging.headers import Header, Unfit, open_stream, read_header, unreadable

# Values that are read at a time.
PIECE = 2**18


class Changed(InputError):
    """A file was written to while it was read: what was read may be of the old content and of the new."""


class Volume(NamedTuple):
    """One 3D volume in space.

    Attributes
    ----------
    data : ndarray [D, H, W]
    affine : ndarray [4, 4]
        Voxel indices to mm, RAS+.
    known_range : (float, float), optional
        Lowest and highest value, when whoever made the volume has seen them: `value_range`.
    checksum : str, optional
        Of the whole file that it was read from, decompressed: ``crc32:`` and the 8 hexadecimal digits that ``gzip -lv``
        shows.
    """

    data: np.ndarray
    affine: np.ndarray
    known_range: tuple[float, float] | None = None
    checksum: str | None = None

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
    Changed
        For a file that somebody wrote to meanwhile, whatever was read.
    """
    path = Path(path)
    before = state_of(path)
    try:
        volume = _read(path, memory or Memory())
    except Unfit as problem:
        refuse_changed({path: before})
        raise InputError(f"{path}: {problem}") from problem.__cause__
    refuse_changed({path: before})
    return volume


def state_of(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return what tells a file from what it was before: its size and when it was last written to; None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def refuse_changed(before: Mapping[str | os.PathLike, tuple[int, int] | None]) -> None:
    """Refuse files whose state is another than before.

    Parameters
    ----------
    before : mapping
        `state_of` each file, from before it was read.

    Raises
    ------
    Changed
    """
    changed = [path for path, state in before.items() if state_of(path) != state]
    if changed:
        names = "\n".join(f"  - {path}" for path in changed)
        raise Changed(
            f"changed while it was read:\n{names}\nAnother program writes there. Wait until it has ended, and run the "
            "same command again."
        )


def check_headers(paths: Iterable[str | os.PathLike]) -> None:
    """Refuse files that `read_volume` would refuse by their headers, without reading their data.

    Parameters
    ----------
    paths : iterable of path-like

    Raises
    ------
    InputError
        Naming every such file and its problem.
    """
    problems = []
    for path in paths:
        try:
            read_header(Path(path))
        except Unfit as problem:
            problems.append(f"{path}: {problem}")
    if problems:
        refuse(
            f"{len(problems)} images cannot be read; every one must be a whole 3D volume (.nii or .nii.gz)",
            problems,
            "Fetch or convert these files again, take these people out of the table, or set images.on_bad_image: "
            "exclude to go on without them.",
        )


def _read(path: Path, memory: Memory) -> Volume:
    header = read_header(path)
    data = memory.of(math.prod(header.shape))
    try:
        lowest, highest, checksum = _read_values(path, header, data)
    except EOFError as error:
        raise Unfit("is truncated: the data end before what the header announces. Copy the file again") from error
    except OSError as error:
        raise unreadable(error) from error
    if not np.isfinite([lowest, highest]).all():
        scaled = (header.slope, header.intercept) != (1, 0)
        raise Unfit(
            "holds NaN or infinite values"
            + (f", scaled by {header.slope:g} and shifted by {header.intercept:g} as its header asks" if scaled else "")
            + ". Replace them, for example by 0 outside of the brain"
        )
    if lowest == highest:
        raise Unfit("is empty: all voxels are 0" if lowest == 0 else f"is constant: all voxels are {lowest:g}")
    # Both formats keep the first axis fastest.
    return Volume(data.reshape(header.shape, order="F"), header.affine, (lowest, highest), checksum)


def _read_values(path: Path, header: Header, data: np.ndarray) -> tuple[float, float, str]:
    """Fill `data` with the values of a file; return the lowest, the highest (NaN when any is) and the checksum."""
    from isal.isal_zlib import crc32

    ranges = []
    as_it_is = header.dtype == data.dtype
    room = np.empty(0 if as_it_is else min(PIECE, data.size), header.dtype)
    with open_stream(path) as file, np.errstate(over="ignore", invalid="ignore"):
        checksum = 0
        for start in range(0, header.offset, PIECE):
            checksum = crc32(file.read(min(PIECE, header.offset - start)), checksum)
        for start in range(0, data.size, PIECE):
            piece = data[start : start + PIECE]
            stored = piece if as_it_is else room[: piece.size]
            if file.readinto(stored.view(np.uint8)) != stored.nbytes:
                raise EOFError
            checksum = crc32(stored.view(np.uint8), checksum)  # while the piece is in the processor's cache
            if not as_it_is:
                piece[:] = stored
            if header.slope != 1:
                piece *= np.float32(header.slope)
            if header.intercept != 0:
                piece += np.float32(header.intercept)
            ranges.append((piece.min(), piece.max()))
        # Reading to the end lets gzip compare its checksum.
        rest = file.read(header.padding + 1)
        if len(rest) > header.padding:
            raise Unfit("holds more data than its header announces: they are not of one volume. Convert it again")
    lowest, highest = np.transpose(ranges)
    return float(lowest.min()), float(highest.max()), f"crc32:{crc32(rest, checksum):08x}"
