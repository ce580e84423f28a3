"""Files appear whole or not at all: written under a temporary name, then renamed."""

import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

MISSING = "n/a"
UNFINISHED = ".unfinished-"
# What a system answers when it does not let something be written.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class NotWritten(OSError):
    """The system did not let a file or a folder be written; `voxplain.base.plain_words` says so in plain words.

    Attributes
    ----------
    errno, filename : int, str
        As of every OSError; `filename` is what was to appear, not its temporary name.
    written : int
        Bytes that were written.
    needed : int or None
        Bytes of the whole, where they are known.
    """

    def __init__(self, cause: OSError, path: Path, written: int, needed: int | None):
        number = cause.errno
        if number is None:  # numpy tells how much was written and not why
            number = errno.ENOSPC if _free(path) < (needed or 2**20) else errno.EDQUOT
        super().__init__(number, os.strerror(number), str(path))
        self.written, self.needed = written, needed


@contextmanager
def written_whole(path: str | os.PathLike, needed: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise.

    The temporary name keeps the suffixes, because writers such as nibabel choose the format by them. What a killed
    process left of the same file goes: a file is written by one process at a time.

    Parameters
    ----------
    path : path-like
    needed : int, optional
        Bytes that the file will have, for the message when they do not fit.

    Raises
    ------
    NotWritten
        When the disk is full, a quota used up, or the place not to be written to.
    """
    path = Path(path)
    with _unfinished(path, _make_file, needed) as temporary:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)


@contextmanager
def folder_written_whole(path: str | os.PathLike, needed: int | None = None) -> Iterator[Path]:
    """The same for a folder; an older one of that name is replaced."""
    path = Path(path)
    with _unfinished(path, tempfile.mkdtemp, needed) as temporary:
        temporary.chmod(0o755)
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)


@contextmanager
def _unfinished(path: Path, make: Callable[..., str], needed: int | None) -> Iterator[Path]:
    """Make something beside `path`, give it, and remove it when the block does not end well."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{UNFINISHED}{'?' * 8}-{glob.escape(path.name)}"):
            _remove(stale)
        temporary = Path(make(prefix=UNFINISHED, suffix="-" + path.name, dir=path.parent))
        yield temporary
    except BaseException as error:
        written = 0 if temporary is None else _size(temporary)
        if temporary is not None:
            _remove(temporary)
        if _is_refusal(error, path):
            raise NotWritten(error, path, written, needed) from error
        raise


def _make_file(**names) -> str:
    handle, name = tempfile.mkstemp(**names)
    os.close(handle)
    return name


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file())


def _free(path: Path) -> int:
    """Return the bytes that are free where a path lies, as far up as there are folders."""
    folder = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
    return shutil.disk_usage(folder).free


def _is_refusal(error: BaseException, path: Path) -> bool:
    """Tell whether an error says that `path`, and nothing else that the block touches, was not to be written."""
    if not isinstance(error, OSError) or isinstance(error, NotWritten):
        return False
    if error.errno is None:
        return "requested and" in str(error)  # numpy, when it could write a part only
    named = error.filename2 or error.filename  # of a copy the second is its target
    if error.errno not in REFUSALS or named is None or isinstance(named, int):
        return error.errno in REFUSALS
    named, folder = Path(os.path.abspath(os.fsdecode(named))), Path(os.path.abspath(path.parent))
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def write_text(text: str, path: str | os.PathLike) -> None:
    """Write text as UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a data frame as TSV; missing values as ``n/a``, as in BIDS. Floats keep their full precision."""
    with written_whole(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False, na_rep=MISSING, lineterminator="\n")


# Columns whose values look like numbers now and then, but are names: ids with leading zeros, classes called 0 and 1.
TEXT = ("participant_id", "target", "prediction", "explained", "group", "image", "mask", "name", "region", "label")


def read_table(path: str | os.PathLike, **options) -> pd.DataFrame:
    """Read a TSV that `write_table` wrote; the columns of `TEXT` stay text (a regression's target too)."""
    options.setdefault("dtype", dict.fromkeys(TEXT, str))
    return pd.read_csv(path, sep="\t", na_values=[MISSING], keep_default_na=False, **options)


def write_array(array: np.ndarray, path: str | os.PathLike) -> None:
    """Write an array as ``.npy`` (no pickled objects)."""
    with written_whole(path, array.nbytes) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: str | os.PathLike, memory_map: bool = True) -> np.ndarray:
    """Open a ``.npy`` file, by default memory-mapped and read-only."""
    return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)


def write_image(data: np.ndarray, affine: np.ndarray, path: str | os.PathLike, compression: int = 2) -> None:
    """Write one 3D volume as NIfTI-1 (``.nii`` or ``.nii.gz``) in the data's own type.

    sform and qform both hold `affine` with code 1 (scanner); the gzip header has no
    time stamp and no name, so that equal volumes give equal files (on processors of one kind).

    Parameters
    ----------
    data : ndarray [D, H, W]
        bool is stored as uint8, int64 as int32, float64 as float32.
    affine : ndarray [4, 4]
        Voxel indices to mm (RAS+).
    path : path-like
    compression : int
        isal's level, 0 to 3. Maps of float32 take a tenth of the time of zlib's level 6 and 1 to 4 % more space.
    """
    import nibabel as nib
    from isal import igzip_lib

    data = np.asarray(data)
    narrower = {"bool": np.uint8, "int64": np.int32, "float64": np.float32}
    data = data.astype(narrower.get(data.dtype.name, data.dtype), copy=False)
    image = nib.Nifti1Image(data, np.asarray(affine, dtype=float))
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    payload = image.to_bytes()
    if Path(path).name.endswith(".gz"):
        payload = igzip_lib.compress(payload, compression, flag=igzip_lib.COMP_GZIP)
    with written_whole(path, len(payload)) as temporary:
        temporary.write_bytes(payload)


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_folders(pattern: str) -> None:
    """Remove the folders that a glob pattern names."""
    for folder in glob.glob(pattern):
        shutil.rmtree(folder, ignore_errors=True)


def private_folder(path: str | os.PathLike) -> Path:
    """Make a folder that only its owner can enter (mode 0700) and return it."""
    path = Path(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
