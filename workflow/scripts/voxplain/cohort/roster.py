"""What every source of people gives: a roster, before the images have been looked for."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.cohort.buckets import Bucket, is_remote
from voxplain.cohort.sheets import Sheet

COLUMNS = ("participant_id", "target", "group", "size", "age", "image", "mask")


@dataclass
class Places:
    """Where images lie that no table names; ids without ``sub-``, paths relative to the root.

    Attributes
    ----------
    images, masks : dict of str to str
        By id; a mask for every image.
    reasons : dict of str to str
        Why the others have no image, by id.
    """

    images: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Roster:
    """The people of a cohort, from its tables alone.

    Attributes
    ----------
    people : DataFrame
        Columns `COLUMNS`, one row a person; all cells are text or missing until the targets are checked. `group` holds
        the source's own family names and `age` may be a restricted field: this frame is never written.
    source : str
        Table that lists the people, for messages.
    root : Path, Bucket or None
        Folder that `image` and `mask` are relative to; None when the workflow makes the images itself.
    restricted : bool
        The target is a field that must not be published.
    size_source : str
        Column that head sizes come from; empty when there is none.
    absent : list of str
        Ids that the user listed, but the table lacks.
    dropped : list of str
        Ids without a target.
    find : callable, optional
        Ids -> `Places`, where no table names the images: looking for them lists folders, and most jobs only want to
        know who the people are.
    """

    people: pd.DataFrame
    source: str
    root: Path | Bucket | None
    restricted: bool = False
    size_source: str = ""
    absent: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    find: Callable[[Sequence[str]], Places] | None = None


def roster_frame(ids: list[str], **columns: Iterable | None) -> pd.DataFrame:
    """Return a frame with all `COLUMNS`; those not given are missing."""
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise TypeError(f"not columns of a roster: {sorted(unknown)}")
    given = {"participant_id": ids} | {name: values for name, values in columns.items() if values is not None}
    empty = [None] * len(ids)
    return pd.DataFrame({name: pd.Series(list(given.get(name, empty)), dtype="object") for name in COLUMNS})


def sheet_frame(
    sheet: Sheet, ids: list[str], target: str, settings: dict, section: str, **images: Iterable | None
) -> pd.DataFrame:
    """Return the frame of people whose target, group, head size and age stand in columns of one table.

    Parameters
    ----------
    sheet : Sheet
    ids : list of str
        Of its rows.
    target : str
        Column to predict.
    settings : dict
        Names the other columns, those it has: ``group_column``, ``size_column`` and ``age_column``.
    section : str
        Where the settings stand in the config, for messages.
    **images
        The columns ``image`` and ``mask``, where they are known.
    """
    targets = sheet.column(target, "cohort.target")
    others = {name: sheet.optional_column(settings, f"{name}_column", section) for name in ("group", "size", "age")}
    return roster_frame(ids, target=targets, **others, **images)


def fill_pattern(pattern: str, ids: list[str], setting: str) -> list[str]:
    """Return the path of each person, relative to the data root.

    Parameters
    ----------
    pattern : str
        Such as ``{id}/MNINonLinear/T1w_restore_brain.nii.gz``.
    ids : list of str
    setting : str
        The config key of the pattern, for messages.

    Raises
    ------
    InputError
        For a pattern without ``{id}``, with other braces, absolute, or leaving the root.
    """
    if "{id}" not in pattern or re.search(r"[{}]", pattern.replace("{id}", "")):
        refuse(
            f"{setting}: {pattern!r} must hold {{id}}, which stands for the participant id, and no other braces",
            advice="For example 'sub-{id}/anat/sub-{id}_T1w.nii.gz'.",
        )
    if os.path.isabs(pattern) or ".." in Path(pattern).parts:
        refuse(f"{setting}: {pattern!r} must be relative to the root and must not hold '..'")
    pattern = os.path.normpath(pattern)
    return [pattern.replace("{id}", person) for person in ids]


def below_root(cells: list[str | None], ids: list[str], root: Path | Bucket, where: str) -> list[str | None]:
    """Return the paths of a table column relative to the data root.

    Links are not followed: in data sets kept with git-annex every file is a link that leads out of its folder.

    Parameters
    ----------
    cells : list of str or None
        Relative to `root`, or absolute (``s3://`` for a bucket) and below it; None stays None.
    ids : list of str
        The same people, for the message.
    root : Path or Bucket
    where : str
        Column and table, for the message.

    Raises
    ------
    InputError
        Naming everyone whose path holds ``..`` or lies elsewhere.
    """
    relative, outside = [], []
    for person, cell in zip(ids, cells, strict=True):
        path = None if cell is None else _below(cell, root)
        if cell is not None and path is None:
            outside.append(f"{person}: {cell}")
        relative.append(path)
    if outside:
        refuse(
            f"{where}: {len(outside)} paths do not lie below the root {root}",
            outside,
            "Give paths relative to the root, without '..', or set the root to a folder that holds them all.",
        )
    return relative


def _below(cell: str, root: Path | Bucket) -> str | None:
    """Return a path relative to the root; None when it lies elsewhere."""
    remote = isinstance(root, Bucket)
    if is_remote(cell):
        cell = (root.relative(cell) if remote else None) or "/"
    path = Path(cell)
    if path.is_absolute() and not remote:
        tops = Path(os.path.abspath(root)), Path(root).resolve()
        path = next((path.relative_to(top) for top in tops if path.is_relative_to(top)), path)
    return None if path.is_absolute() or ".." in path.parts else path.as_posix()
