"""What a volume's header says, and refusing what cannot be a 3D brain volume whose place in space is known."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from voxplain.imaging.grid import Grid

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh")
GZIPPED = (".gz", ".mgz")
# Bytes before the data of FreeSurfer's formats.
MGH_OFFSET = 284
# FreeSurfer keeps a history behind the data.
MGH_HISTORY = 2**20
# Limits of what is taken for a 3D brain volume; a header beyond them is damaged or in other units than mm.
AXIS_VOXELS = (8, 2048)
MOST_VOXELS = 512**3
VOXEL_MM = (0.1, 20.0)
# sform and qform may differ by less than half a voxel of the common grid.
FORMS_WITHIN_MM = 1.0


@dataclass(frozen=True)
class Header:
    """What is needed to read the data of a volume.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
        As stored, byte order included.
    affine : ndarray [4, 4]
        Voxel indices to mm, RAS+.
    slope, intercept : float
        Value = stored number × slope + intercept.
    offset : int
        Bytes before the data.
    padding : int
        Most bytes that may follow the data.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    affine: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    offset: int = 0
    padding: int = 0


class Unfit(Exception):
    """Why a file cannot be taken, without its name."""


def read_header(path: Path) -> Header:
    """Read what a volume's file says about itself, without its data.

    Raises
    ------
    Unfit
        For a file that is missing or of another format, or whose header is not that of a 3D volume of real numbers
        with a known place in space.
    """
    if not path.name.endswith(SUFFIXES):
        raise Unfit(f"is of no known format; expected a name that ends in {', '.join(SUFFIXES)}")
    try:
        if not path.exists():
            raise Unfit("is a link to a file that is not there" if path.is_symlink() else "does not exist")
        if not path.is_file() and not path.is_dir():
            raise Unfit("is a pipe or a device; expected a file")
        header = _mgh_header(path) if path.suffix in (".mgz", ".mgh") else _nifti_header(path)
    except EOFError as error:
        raise Unfit("is truncated: the header is incomplete. Copy the file again") from error
    except OSError as error:
        raise unreadable(error) from error
    fewest, most = AXIS_VOXELS
    if min(header.shape) < fewest or max(header.shape) > most or np.prod(header.shape, dtype=float) > MOST_VOXELS:
        raise Unfit(
            f"has the shape {_times(header.shape)}; expected {fewest} to {most} voxels an axis, {MOST_VOXELS} at most"
        )
    _check_affine(header.affine)
    return header


def unreadable(error: OSError) -> Unfit:
    """Say whether the system refused to read a file, or its content is damaged."""
    return Unfit(f"cannot be read ({error.strerror})" if error.strerror else f"is damaged ({error}). Copy it again")


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open the decompressed stream; name and content must agree on whether it is gzipped.

    Raises
    ------
    OSError
        Also for damaged gzip data.
    EOFError
        For truncated gzip data.
    """
    from isal.isal_zlib import IsalError

    with open(path, "rb") as file:
        start = file.read(2)
    if not start:
        raise Unfit("is an empty file (0 bytes)")
    gzipped = start == b"\x1f\x8b"
    if path.suffix in GZIPPED and not gzipped:
        raise Unfit(f"is not gzipped, though its name ends in {path.suffix}: damaged, or named wrongly?")
    if path.suffix not in GZIPPED and gzipped:
        raise Unfit("is gzipped. Rename it to .nii.gz (or .mgz)")
    try:
        with _gzip_reader(path) if gzipped else open(path, "rb") as file:
            yield file
    except IsalError as error:
        raise OSError(str(error)) from error


def _gzip_reader(path: Path) -> BinaryIO:
    from isal.igzip import IGzipFile

    class Straight(IGzipFile):
        """Decompresses into the caller's memory; the class itself would do so elsewhere and copy."""

        def readinto(self, room: memoryview) -> int:
            return self._buffer.readinto(room)

    return Straight(path, "rb")


def _nifti_header(path: Path) -> Header:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError

    with open_stream(path) as file:
        block = file.read(540)
    if len(block) < 348:
        raise EOFError
    # The header's own length comes first and gives the byte order away.
    order = "<" if int.from_bytes(block[:4], "little") in (348, 540) else ">"
    length = int.from_bytes(block[:4], "little" if order == "<" else "big")
    if length == 348 and block[344:348] == b"n+1\0":
        header = Nifti1Header(block[:348], endianness=order, check=False)
    elif length == 540 and len(block) == 540 and block[4:8] == b"n+2\0":
        header = Nifti2Header(block, endianness=order, check=False)
    else:
        raise Unfit("is not a NIfTI file in one piece (.nii); Analyze and .hdr/.img pairs must be converted first")
    if np.isinf(header["scl_slope"]):
        raise Unfit("has a damaged header (scl_slope is infinite)")
    if header["pixdim"][0] == 0:  # which the standard reads as 1
        header["pixdim"][0] = 1
    shape = _shape_3d(header["dim"])
    try:
        dtype = header.get_data_dtype()
        slope, intercept = header.get_slope_inter()
        forms = header.get_sform(coded=True), header.get_qform(coded=True)
        offset = int(header["vox_offset"]) or header.single_vox_offset
    except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise Unfit(f"has a damaged header ({error})") from error
    if not header.single_vox_offset <= offset <= 2**30:
        raise Unfit(f"has a damaged header (data at byte {offset})")
    # Whoever leaves one slice out of the shape leaves at least a plane of voxels behind.
    plane = math.prod(sorted(shape)[:2]) * _real(dtype).itemsize
    affine = _one_affine(*forms, shape)
    return Header(shape, dtype, affine, slope or 1.0, intercept or 0.0, offset, padding=plane - 1)


def _shape_3d(dim: Sequence[int]) -> tuple[int, ...]:
    """Return the shape without trailing axes of length 1; NIfTI's ``dim[0]`` is the number of axes."""
    axes = int(dim[0])
    if not 1 <= axes <= 7:
        raise Unfit(f"has a damaged header ({axes} axes)")
    shape = [int(n) for n in dim[1 : axes + 1]]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        raise Unfit(f"has {len(shape)} axes ({_times(shape)}); expected one 3D volume. Extract it first")
    return tuple(shape)


def _real(dtype: np.dtype) -> np.dtype:
    if dtype.fields is not None:
        raise Unfit("holds RGB colours; expected one number a voxel")
    if dtype.kind == "c":
        raise Unfit("holds complex numbers; expected real ones (take the magnitude)")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "values of a type that cannot be read" if dtype.kind == "V" else f"{dtype.name} values"
        raise Unfit(f"holds {kind}; expected integers or floats of at most 64 bits")
    return dtype


def _one_affine(sform: tuple, qform: tuple, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the sform, or else the qform; refuse neither, and two that tell different places."""
    affines = [affine for affine, code in (sform, qform) if code > 0 and affine is not None]
    if not affines:
        raise Unfit(
            "does not say where its voxels lie (sform and qform codes are 0), so left and right are unknown. "
            "Convert it again from the scanner's files, or set the sform if you know it"
        )
    if len(affines) == 2 and not Grid(shape, affines[0]).matches(shape, affines[1], FORMS_WITHIN_MM):
        raise Unfit(
            f"has an sform and a qform that lie more than {FORMS_WITHIN_MM:g} mm apart; which one is right is unknown. "
            "Set the code of the wrong one to 0, or copy the right one over it"
        )
    return affines[0]


def _check_affine(affine: np.ndarray) -> None:
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    smallest, largest = VOXEL_MM
    if not np.isfinite(affine).all() or not (edges > 0).all():
        raise Unfit("has a singular affine (an axis without length, or values that are not finite)")
    if edges.min() < smallest or edges.max() > largest:
        raise Unfit(f"has voxels of {_times(np.round(edges, 4))} mm; expected {smallest:g} to {largest:g} mm an edge")
    # The determinant of the axes' directions is the volume of a cube that they span: 1 when at right angles.
    if abs(np.linalg.det(affine[:3, :3] / edges)) < 0.1:
        raise Unfit("has a singular affine (its axes lie in one plane)")


def _mgh_header(path: Path) -> Header:
    from nibabel.freesurfer.mghformat import MGHHeader

    with open_stream(path) as file:
        block = file.read(MGH_OFFSET)
    if len(block) < MGH_OFFSET:
        raise EOFError
    # Version 1; nibabel would replace a place in space that is not known by a likely one.
    if block[:4] != bytes([0, 0, 0, 1]):
        raise Unfit("is not a FreeSurfer volume")
    if block[28:30] == bytes(2):
        raise Unfit("does not say where its voxels lie (goodRASFlag is 0), so left and right are unknown")
    header = MGHHeader(block, check=False)
    shape = _shape_3d([4, *header["dims"]])
    try:
        dtype = header.get_data_dtype().newbyteorder(">")
    except KeyError as error:
        raise Unfit(f"has a damaged header (type {error})") from error
    return Header(shape, _real(dtype), header.get_affine(), offset=MGH_OFFSET, padding=MGH_HISTORY)


def _times(numbers: object) -> str:
    return "×".join(f"{number:g}" for number in numbers)
