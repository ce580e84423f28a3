"""Result tables as the page shows them: known columns only, in reading order, numbers made readable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.base.files import MISSING
from voxplain.reporting import style
from voxplain.reporting.verdicts import number


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


def _text(value: object) -> str:
    return str(value)


def _group(value: object) -> str:
    return style.group_title(str(value))


def _method(value: object) -> str:
    return style.method_title(str(value))


def _flag(value: object) -> str:
    return "yes" if str(value).lower() in ("true", "1", "1.0", "yes") else "no"


def _whole(value: object) -> str:
    # No separator: digits of a voxel count stay one word for the eye and for copying.
    return f"{int(float(value))}"


def _percent(value: object) -> str:
    return f"{100 * float(value):.1f} %"


def _small(value: object) -> str:
    return f"{float(value):.3g}".replace("-", "−")


def _metric(value: object) -> str:
    from voxplain.reporting.curves import METRIC_TITLES

    return METRIC_TITLES.get(str(value), str(value))


# column of a result file -> (title, how to write it, whether it is a number)
COLUMNS: dict[str, tuple[str, Callable[[object], str], bool]] = {
    "fold": ("Fold", _text, False),
    "n_train": ("Training people", _whole, True),
    "n_test": ("Test people", _whole, True),
    "accuracy": ("Accuracy", number, True),
    "balanced_accuracy": ("Balanced accuracy", number, True),
    "auc": ("AUC", number, True),
    "mae": ("Mean absolute error", number, True),
    "r": ("r", number, True),
    "metric": ("Metric", _metric, False),
    "mean": ("Mean", _small, True),
    "sd": ("SD", _small, True),
    "chance": ("Chance", number, True),
    "method": ("Method", _method, False),
    "method_a": ("Method", _method, False),
    "method_b": ("and method", _method, False),
    "group": ("Maps of", _group, False),
    "dice": ("Dice", number, True),
    "dice_chance": ("Dice by chance", number, True),
    "agreement": ("Agreement with background", number, True),
    "spearman": ("Spearman", number, True),
    "voxels_a": ("Voxels", _whole, True),
    "voxels_b": ("and voxels", _whole, True),
    "rank": ("Rank", _whole, True),
    "regions": ("of regions", _whole, True),
    "region": ("Region", _text, False),
    "hemisphere": ("Side", _text, False),
    "kind": ("Planted", _text, False),
    "share": ("Share of the map", _percent, True),
    "inside": ("Of the region in the mask", _percent, True),
    "voxels": ("Voxels", _whole, True),
    "in_top": ("Among the top", _flag, False),
}

COHORT_KEYS = {
    "rows": "People in the tables",
    "dropped": "Left out: no target",
    "found": "With an image",
    "missing": "Without an image",
    "used": "Used",
    "excluded": "Excluded by quality control",
    "grouped": "Families known",
    "groups": "Families",
    "size_source": "Head size from",
    "restricted_target": "Target is a restricted field",
}


def show(frame: pd.DataFrame, columns: Sequence[str]) -> Table:
    """Return the named columns that the frame has, formatted; missing cells read ``n/a`` and sort last."""
    present = [column for column in columns if column in frame]
    rows = []
    for values in frame[present].itertuples(index=False):
        cells = []
        for column, value in zip(present, values, strict=True):
            _, write, numeric = COLUMNS[column]
            if pd.isna(value):
                cells.append(Cell(MISSING, ""))
            else:
                cells.append(Cell(write(value), repr(float(value)) if numeric else write(value)))
        rows.append(cells)
    return Table([(COLUMNS[column][0], COLUMNS[column][2]) for column in present], rows)


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
        "group": ["joint", *(group for group in groups if group != "joint")],
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
                rank, hit = int(own["rank"].iloc[0]), _flag(own["in_top"].iloc[0]) == "yes"
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
