"""Result tables as the page shows them: known columns only, in reading order, numbers made readable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.base.files import MISSING
from voxplain.reporting import style
from voxplain.reporting.columns import COLUMNS, LEVELS, flag, score


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and what the browser sorts by."""

    text: str
    sort: str


@dataclass(frozen=True)
class Table:
    """A table for the template: (title, is a number) per column, and rows of cells."""

    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]


COHORT_KEYS = {
    "rows": "People in the tables",
    "dropped": "Left out: no target",
    "found": "With an image",
    "missing": "Without an image",
    "used": "Used",
    "excluded": "Excluded by quality control",
    "grouped": "Families known",
    "groups": "Families",
    "restricted_target": "Target is a restricted field",
}


def show(
    frame: pd.DataFrame,
    columns: Sequence[str],
    titles: Mapping[str, str] | None = None,
    others: Callable[[object], str] = str,
) -> Table:
    """Return the named columns that the frame has, formatted; missing cells read ``n/a`` and sort last.

    Parameters
    ----------
    frame : DataFrame
    columns : sequence of str
        In reading order.
    titles : mapping, optional
        Other titles of some columns.
    others : callable
        How to write the numbers of columns that `COLUMNS` does not know.
    """
    titles = titles or {}
    present = [column for column in columns if column in frame]
    looks = {column: COLUMNS.get(column, (column, others, True)) for column in present}
    rows = []
    for values in frame[present].itertuples(index=False):
        cells = []
        for column, value in zip(present, values, strict=True):
            _, write, numeric = looks[column]
            if pd.isna(value):
                cells.append(Cell(MISSING, ""))
            else:
                cells.append(Cell(write(value), repr(float(value)) if numeric else write(value)))
        rows.append(cells)
    return Table([(titles.get(column, looks[column][0]), looks[column][2]) for column in present], rows)


def with_interval(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``interval``, ``0.868 to 0.983``, made of ``ci_low`` and ``ci_high``; missing when one is."""
    texts = [
        None if pd.isna(low) or pd.isna(high) else f"{score(low)} to {score(high)}"
        for low, high in zip(frame["ci_low"], frame["ci_high"], strict=True)
    ]
    return frame.assign(interval=pd.Series(texts, index=frame.index, dtype=object))


def arrange(frame: pd.DataFrame, methods: Sequence[str], by: Sequence[str], groups: Sequence[str]) -> pd.DataFrame:
    """Sort rows: by the order of groups (joint first) and methods as the config has them, then by numbers.

    Parameters
    ----------
    frame : DataFrame
    methods, groups : sequence of str
        Orders; what is not in them comes after.
    by : sequence of str
        Columns; ``method`` and ``group`` by those orders, others ascending as numbers where they are numbers.
    """
    orders = {
        "method": methods,
        "method_a": methods,
        "method_b": methods,
        "first": methods,
        "second": methods,
        "group": ["joint", *(group for group in groups if group != "joint")],
        "level": list(LEVELS),
    }

    def key(column: pd.Series) -> pd.Series:
        if column.name in orders:
            places = {value: place for place, value in enumerate(orders[column.name])}
            return column.map(lambda value: places.get(value, len(places)))
        numbers = pd.to_numeric(column, errors="coerce")
        return column.astype(str) if numbers.isna().all() else numbers

    return frame.sort_values([column for column in by if column in frame], key=key, kind="stable")


def pivot_planted(planted: pd.DataFrame, methods: Sequence[str], group: str = "joint") -> Table:
    """Return one row a planted region with its rank under every method; a rank among the top ones has a star."""
    rows = planted[planted["group"] == group]
    shown = [method for method in methods if (rows["method"] == method).any()]
    table = []
    for _, same in rows.groupby("index", sort=True):
        first = same.iloc[0]
        cells = [Cell(str(first["region"]), str(first["region"])), Cell(str(first["kind"]), str(first["kind"]))]
        for method in shown:
            own = same[same["method"] == method]
            if own["rank"].isna().all():
                cells.append(Cell(MISSING, ""))
            else:
                rank, hit = int(own["rank"].iloc[0]), flag(own["in_top"].iloc[0]) == "yes"
                cells.append(Cell(f"{rank} ★" if hit else str(rank), repr(float(rank))))
        table.append(cells)
    columns = [("Planted region", False), ("Effect", False)]
    return Table(columns + [(f"Rank: {style.method_title(method)}", True) for method in shown], table)


def show_cohort(cohort: pd.DataFrame) -> Table:
    """Return the cohort's key-value table with readable keys; ``class_X`` reads ``Class X``."""
    rows = []
    for key, value in zip(cohort["key"].astype(str), cohort["value"], strict=True):
        title = COHORT_KEYS.get(key, key.replace("class_", "Class ", 1) if key.startswith("class_") else key)
        text = MISSING if pd.isna(value) else {"True": "yes", "False": "no"}.get(str(value), str(value))
        rows.append([Cell(title, title), Cell(text, text)])
    return Table([("What", False), ("Value", False)], rows)
