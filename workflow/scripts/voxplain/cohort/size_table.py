"""Head sizes from a table of their own, when the source's tables do not know them or know worse ones."""

import math
from dataclasses import replace

from voxplain.base.errors import InputError, refuse
from voxplain.cohort.roster import Roster
from voxplain.cohort.sheets import read_sheet

DEFAULT_ID_COLUMN = "participant_id"


def names_size_table(cohort: dict) -> bool:
    """Tell whether the config names a table of head sizes, which then replaces those of the source.

    Raises
    ------
    InputError
        For a file without a column and a column without a file.
    """
    settings = cohort.get("size") or {}
    file, column = settings.get("file"), settings.get("column")
    if file and not column:
        raise InputError(
            f"cohort.size.file: {file} was given, but not which of its columns holds the head size: set "
            "cohort.size.column (mm³)."
        )
    if column and not file:
        raise InputError(
            f"cohort.size.column: {column!r} was given without the table that has it: set cohort.size.file. A column "
            "of the people's own table is named by cohort.table.size_column."
        )
    return bool(file)


def with_size_table(roster: Roster, cohort: dict) -> Roster:
    """Return the roster with the head sizes of ``cohort.size.file``; as it is when the config names none.

    People whom that table does not have get none, and its other people do not matter: it may be that of a larger study.

    Parameters
    ----------
    roster : Roster
    cohort : dict
        ``cohort`` of the config: ``size`` with ``file``, ``id_column`` and ``column`` (mm³).

    Raises
    ------
    InputError
        See `names_size_table` and `voxplain.cohort.sheets`; also when the table has none of these people, and naming
        everyone whose head size is not a positive number.
    """
    if not names_size_table(cohort):
        return roster
    settings = cohort["size"]
    sheet, column = read_sheet(settings["file"], "cohort.size.file"), settings["column"]
    listed = sheet.ids(settings.get("id_column") or DEFAULT_ID_COLUMN, "cohort.size.id_column")
    cells = dict(zip(listed, sheet.column(column, "cohort.size.column"), strict=True))
    ids = roster.people["participant_id"].tolist()
    if not cells.keys() & set(ids):
        refuse(
            f"{sheet}: it has none of the {len(ids)} people of {roster.source}. Its ids begin with:",
            listed[:3],
            f"Those of the people begin with {', '.join(ids[:3])}. Set cohort.size.id_column to the column of these.",
        )
    sizes = [_positive(cells.get(person)) for person in ids]
    wrong = [f"{person}: {cells[person]!r}" for person, size in zip(ids, sizes, strict=True) if size == math.inf]
    if wrong:
        refuse(
            f"cohort.size.column: {column!r} of {sheet} is not a positive number (mm³) for {len(wrong)} people",
            wrong,
            "Write numbers with a point, without units, and n/a where the head size is unknown.",
        )
    return replace(roster, people=roster.people.assign(size=sizes), size_source=column)


def _positive(cell: str | None) -> float:
    """Return a size in mm³; NaN for an empty cell, infinity for one that is no positive number."""
    if cell is None:
        return math.nan
    try:
        size = float(cell)
    except ValueError:
        return math.inf
    return size if size > 0 else math.inf
