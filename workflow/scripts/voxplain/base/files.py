"""Files appear whole or not at all: written under a temporary name, then renamed."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

MISSING = "n/a"


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise.

    The temporary name keeps the suffixes, because writers such as nibabel choose the format by them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".unfinished-", suffix="-" + path.name, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def folder_written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """The same for a folder; an older one of that name is replaced."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", suffix="-" + path.name, dir=path.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


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
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: str | os.PathLike, memory_map: bool = True) -> np.ndarray:
    """Open a ``.npy`` file, by default memory-mapped and read-only."""
    return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)


def write_image(data: np.ndarray, affine: np.ndarray, path: str | os.PathLike, compression: int = 2) -> None:
    """Write one 3D volume as NIfTI-1 (``.nii`` or ``.nii.gz``) in the data's own type.

    sform and qform both hold `affine` with code 1 (scanner) unless the caller needs more; the gzip header has no
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
    with written_whole(path) as temporary:
        temporary.write_bytes(payload)


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
