"""Read the maps of people back from the folders that hold them: each person once, all on one grid, all finite."""

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.files import read_table
from voxplain.imaging.grid import COMMON, Grid

TABLE = "maps.tsv"
JOINT = "joint"
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
    problems = [problem for path in people.path if (problem := _header_problem(path, grid))]
    if problems:
        refuse(
            f"{len(problems)} of {len(people)} maps do not lie on the common grid "
            f"(shape {grid.shape}, first axis from right to left).",
            problems,
            "Maps are written by the workflow itself; delete these folders and run it again.",
        )
    return _walk(people, grid)


def _walk(people: pd.DataFrame, grid: Grid) -> Iterator[tuple[str, np.ndarray]]:
    problems: list[str] = []
    for person, path in zip(people.participant_id, people.path, strict=True):
        try:
            volume = read_on_grid(path, grid)
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

    Returns
    -------
    float32 ndarray of the grid's shape

    Raises
    ------
    InputError
        For a file that is missing, damaged, on another grid (a left-right flipped affine included) or not finite.
    """
    problem = _header_problem(path, grid)
    if problem:
        raise InputError(problem)
    import nibabel as nib

    try:
        data = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    bad = int(data.size - np.isfinite(data).sum())
    if bad:
        raise InputError(f"{path}: {bad} voxels are NaN or infinite")
    return data


def _header_problem(path: str | os.PathLike, grid: Grid) -> str:
    import nibabel as nib

    try:
        image = nib.load(path)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        return f"{path}: cannot be read ({error})"
    if image.shape != grid.shape:
        return f"{path}: has the shape {image.shape}, expected {grid.shape}"
    if not grid.matches(image.shape, image.affine):
        codes = "".join(nib.aff2axcodes(image.affine))
        return f"{path}: has another affine (axes {codes}, expected {''.join(nib.aff2axcodes(grid.affine))})"
    return ""
