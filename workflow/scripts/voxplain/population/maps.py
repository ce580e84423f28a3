"""Read the maps of people back from the folders that hold them: each person once, all on one grid, all finite."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.files import read_table
from voxplain.imaging.grid import COMMON, Grid

TABLE = "maps.tsv"
JOINT = "joint"
# Bytes of a NIfTI-1 header with the flag of its extensions, and of a gzipped file that hold it for certain.
HEADER, HOLDS_HEADER = 352, 4096
TEXT_COLUMNS = dict.fromkeys(("participant_id", "target", "explained"), str)


def read_index(folders: str | os.PathLike | Iterable[str | os.PathLike]) -> pd.DataFrame:
    """Return who was explained, from the ``maps.tsv`` of every folder; files that no table lists are not looked at.

    Parameters
    ----------
    folders : path-like or iterable of path-like
        Folders of one method: the parts of every fold. A part may be empty.

    Returns
    -------
    DataFrame
        The columns of the tables and ``path``, one row a person, sorted by ``participant_id`` whatever the order of
        the folders, so that sums over people do not depend on how the work was cut.

    Raises
    ------
    InputError
        Naming every folder without a readable table, every listed map that is not there, and every person who occurs
        more than once.
    """
    if isinstance(folders, str | os.PathLike):
        folders = [folders]
    folders = [Path(folder) for folder in folders]
    if not folders:
        refuse("No folder of maps was given, so there is nothing to read.")
    tables, problems = [], []
    for folder in folders:
        try:
            table = read_table(folder / TABLE, dtype=TEXT_COLUMNS)
        except (OSError, ValueError) as error:
            problems.append(f"{folder / TABLE}: cannot be read ({error})")
            continue
        if "participant_id" not in table:
            problems.append(f"{folder / TABLE}: has no column participant_id")
            continue
        tables.append(table.assign(path=[str(folder / f"sub-{person}_map.nii.gz") for person in table.participant_id]))
    index = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"participant_id": [], "path": []})
    for person, rows in index[index.participant_id.duplicated(keep=False)].groupby("participant_id"):
        problems.append(f"participant {person} occurs {len(rows)} times: {', '.join(rows.path)}")
    problems += [f"{path}: is listed in {TABLE} but does not exist" for path in index.path if not Path(path).is_file()]
    if problems:
        refuse(
            f"The folders of maps are not whole: {len(problems)} problems; every explained person should occur once.",
            problems,
            "Delete the folders concerned and run the workflow again: their maps are then made anew.",
        )
    return index.sort_values("participant_id", ignore_index=True)


def select(index: pd.DataFrame, ids: Iterable[str] | None = None, group: str | None = None) -> pd.DataFrame:
    """Keep the people of one group.

    Parameters
    ----------
    index : DataFrame
        From `read_index`.
    ids : iterable of str, optional
        These people, who must all be there. The way to form groups that are no classes.
    group : str, optional
        A class label, compared with the column ``target``; ``joint`` keeps everybody.

    Raises
    ------
    InputError
        When a person has no map, or when nobody belongs to the group.
    """
    if ids is not None:
        ids = {str(person) for person in ids}
        missing = sorted(ids - set(index.participant_id))
        if missing:
            refuse(
                f"{len(missing)} of {len(ids)} people have no map, though a map of each was expected.",
                missing,
                "Delete the method's folders of maps and run the workflow again.",
            )
        index = index[index.participant_id.isin(ids)]
    if group is not None and group != JOINT:
        targets = index["target"] if "target" in index else pd.Series(dtype=str)
        if group not in set(targets.dropna()):
            known = ", ".join(sorted(set(targets.dropna()))) or "none: choose people by their ids instead"
            refuse(f"Nobody with a map has the target {group!r}. Targets in {TABLE}: {known}.")
        index = index[targets == group]
    return index.reset_index(drop=True)


def walk_maps(
    folders: str | os.PathLike | Iterable[str | os.PathLike],
    ids: Iterable[str] | None = None,
    group: str | None = None,
    grid: Grid = COMMON,
) -> Iterator[tuple[str, np.ndarray]]:
    """Give the maps of a group one by one, in the order of the ids; memory does not grow with the people.

    Tables, presence and the headers of all maps are checked at once. Voxels are checked on the way: from the first
    map that is damaged or not finite nothing more is given, the others are still looked at, and the walk ends with one
    error that names them all.

    Parameters
    ----------
    folders, ids, group
        See `read_index` and `select`.
    grid : Grid
        On which every map must lie.

    Yields
    ------
    tuple of str and float32 ndarray [D, H, W]
        Participant id and map.

    Raises
    ------
    InputError
        Naming every map of another shape or affine, unreadable, or with NaN or infinite voxels; and what `read_index`
        and `select` refuse.
    """
    people = select(read_index(folders), ids, group)
    if people.empty:
        refuse("There are no maps to summarise: the folders hold no person of the group.")
    reader = _Reader(grid)
    problems = [problem for path in people.path if (problem := reader.problem(path))]
    if problems:
        refuse(
            f"{len(problems)} of {len(people)} maps do not lie on the common grid "
            f"(shape {grid.shape}, first axis from right to left).",
            problems,
            "Maps are written by the workflow itself; delete these folders and run it again.",
        )
    return _walk(people, reader)


def _walk(people: pd.DataFrame, reader: "_Reader") -> Iterator[tuple[str, np.ndarray]]:
    problems: list[str] = []
    for person, path in zip(people.participant_id, people.path, strict=True):
        try:
            volume = reader.read(path)
        except InputError as error:
            problems.append(str(error))
            continue
        if not problems:
            yield person, volume
    if problems:
        refuse(
            f"{len(problems)} of {len(people)} maps cannot be used.",
            problems,
            "Delete their folders and run the workflow again. NaN in a fresh map means that the network's weights are "
            "not finite.",
        )


def read_on_grid(path: str | os.PathLike, grid: Grid = COMMON) -> np.ndarray:
    """Read an image of the workflow (map, population map, mask, truth) and check that it lies on the grid.

    Parameters
    ----------
    path : path-like
        One 3D volume as NIfTI-1, ``.nii`` or ``.nii.gz``.
    grid : Grid

    Returns
    -------
    float32 ndarray of the grid's shape
        Its first axis is the fastest in memory, as in the file.

    Raises
    ------
    InputError
        For a file that is missing, damaged (gzip's checksum included), on another grid (a left-right flipped affine
        included) or not finite.
    """
    return _Reader(grid).read(path)


class _Layout(NamedTuple):
    """Where the numbers of a file begin and what they mean."""

    offset: int
    dtype: np.dtype
    slope: float
    intercept: float


class _Reader:
    """Reads images on one grid with isal. Headers that are equal byte by byte are worked out once."""

    def __init__(self, grid: Grid):
        self.grid = grid
        self._known: dict[bytes, _Layout] = {}

    def problem(self, path: str | os.PathLike) -> str:
        """Return what is wrong with a file's header, or nothing; no more than the header is decompressed."""
        from isal import isal_zlib

        try:
            with open(path, "rb", buffering=0) as file:
                start = file.read(HOLDS_HEADER)
            gzipped = str(path).endswith(".gz")
            self._layout(path, isal_zlib.decompressobj(31).decompress(start, HEADER) if gzipped else start[:HEADER])
        except InputError as error:
            return str(error)
        except _reading_errors() as error:
            return f"{path}: cannot be read ({error})"
        return ""

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """Return a file's volume; see `read_on_grid`."""
        from isal import igzip

        where = "cannot be read"
        try:
            with igzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb") as file:
                layout = self._layout(path, file.read(HEADER))
                where = "is damaged"
                file.read(layout.offset - HEADER)
                stored = np.empty(int(np.prod(self.grid.shape)), dtype=layout.dtype)
                found = file.readinto(stored.view(np.uint8))
                if found < stored.nbytes:
                    raise EOFError(f"{found} bytes of voxels instead of {stored.nbytes}")
                while file.read(2**20):  # gzip's checksum comes last
                    pass
        except InputError:
            raise
        except _reading_errors() as error:
            raise InputError(f"{path}: {where} ({error})") from error
        if (layout.slope, layout.intercept) != (1, 0):
            stored = stored * layout.slope + layout.intercept
        data = stored.astype(np.float32, copy=False)
        bad = data.size - int(np.count_nonzero(np.isfinite(data)))
        if bad:
            raise InputError(f"{path}: {bad} voxels are NaN or infinite")
        return data.reshape(self.grid.shape, order="F")

    def _layout(self, path: str | os.PathLike, block: bytes) -> _Layout:
        """Return what a header says about the data; refuse one that is damaged or of another grid."""
        if block in self._known:
            return self._known[block]
        import nibabel as nib

        if len(block) < HEADER:
            raise EOFError("the header is incomplete")
        header = nib.Nifti1Header(block[:348])
        if header["magic"].item() != b"n+1":
            raise ValueError("not a NIfTI-1 file in one piece")
        shape, affine = header.get_data_shape(), header.get_best_affine()
        if shape != self.grid.shape:
            raise InputError(f"{path}: has the shape {shape}, expected {self.grid.shape}")
        if not self.grid.matches(shape, affine):
            codes, expected = ("".join(nib.aff2axcodes(one)) for one in (affine, self.grid.affine))
            raise InputError(f"{path}: has another affine (axes {codes}, expected {expected})")
        slope, intercept = header.get_slope_inter()
        self._known[block] = _Layout(
            max(HEADER, int(header["vox_offset"])),
            header.get_data_dtype(),
            1.0 if slope is None else slope,
            intercept or 0.0,
        )
        return self._known[block]


def _reading_errors() -> tuple[type[Exception], ...]:
    from isal.isal_zlib import IsalError
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    return OSError, EOFError, ValueError, IsalError, ImageFileError, HeaderDataError
