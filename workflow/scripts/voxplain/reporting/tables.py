"""Result tables as the page shows them: known columns only, in reading order, numbers made readable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.base.files import MISSING
from voxplain.reporting import style
from voxplain.reporting.first_layer import adjusted_title, statistic_title
from voxplain.reporting.importance import kind_title
from voxplain.reporting.reading import TRUE
from voxplain.reporting.verdicts import chance_of_error, number


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and what the browser sorts by."""

    text: str
    sort: str


LEVELS = {"population": "population map", "people": "single people, mean"}


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


def _level(value: object) -> str:
    return LEVELS.get(str(value), str(value))


def _measure(value: object) -> str:
    return str(value).replace("_", ", ")


def _flag(value: object) -> str:
    return "yes" if str(value).lower() in TRUE else "no"


def whole(value: object) -> str:
    """Return a count for reading."""
    # No separator: digits of a voxel count stay one word for the eye and for copying.
    return f"{int(float(value))}"


def _percent(value: object) -> str:
    return f"{100 * float(value):.1f} %"


def _score(value: object) -> str:
    value = float(value)
    return f"{value:z.{3 if abs(value) < 10 else 1}f}".replace("-", "−")


def _difference(value: object) -> str:
    text = number(float(value))
    return text if text.startswith("−") or not float(text) else f"+{text}"


def _metric(value: object) -> str:
    return style.metric_title(str(value))


def _model(value: object) -> str:
    return style.model_title(str(value))


def _kind(value: object) -> str:
    return kind_title(str(value))


def _statistic(value: object) -> str:
    return statistic_title(str(value))


def _adjusted(value: object) -> str:
    return adjusted_title(str(value))


# column of a result file -> (title, how to write it, whether it is a number)
COLUMNS: dict[str, tuple[str, Callable[[object], str], bool]] = {
    "fold": ("Fold", _text, False),
    "n_train": ("Training people", whole, True),
    "n_test": ("Test people", whole, True),
    "accuracy": ("Accuracy", number, True),
    "balanced_accuracy": ("Balanced accuracy", number, True),
    "auc": ("AUC", number, True),
    "mae": ("Mean absolute error", number, True),
    "r": ("r", number, True),
    "metric": ("Metric", _metric, False),
    "mean": ("Mean", _score, True),
    "sd": ("SD", _score, True),
    "chance": ("Chance", number, True),
    "interval": ("95 % interval", _text, False),
    "difference_to_cnn": ("Difference to the CNN", _difference, True),
    "p_corrected_t": ("p, corrected t-test", chance_of_error, True),
    "p_permutation": ("p, shuffled labels", chance_of_error, True),
    "model": ("Model", _model, False),
    "expected_calibration_error": ("Expected calibration error", number, True),
    "brier": ("Brier score", number, True),
    "slope": ("Slope", number, True),
    "intercept": ("Intercept", number, True),
    "setting": ("Setting", _text, False),
    "value": ("Value", _text, False),
    "reference": ("On everybody", _score, True),
    "n": ("People", whole, True),
    "pairs": ("Pairs", whole, True),
    "p": ("p", chance_of_error, True),
    "share_clean": ("Voxels without noise, %", whole, True),
    "importance": ("Most important first", _score, True),
    "random": ("At random", _score, True),
    "gap": ("Prediction − truth", _text, False),
    "r_with_target": ("r with the truth", number, True),
    "whom": ("Within", _text, False),
    "feature": ("Column", _text, False),
    "reason": ("Why", _text, False),
    "features": ("Features", whole, True),
    "atlas": ("Atlas", _text, False),
    "importance_kind": ("Importance", _kind, False),
    "statistic": ("Statistic", _statistic, False),
    "adjusted": ("Head size", _adjusted, False),
    "grouped": ("Relatives kept together", _score, True),
    "grouped_sd": ("SD", _score, True),
    "ungrouped": ("Relatives split", _score, True),
    "ungrouped_sd": ("SD", _score, True),
    "difference": ("Difference", _difference, True),
    "method": ("Method", _method, False),
    "method_a": ("Method", _method, False),
    "method_b": ("and method", _method, False),
    "group": ("Maps of", _group, False),
    "dice": ("Dice", number, True),
    "dice_chance": ("Dice by chance", number, True),
    "dice_sd": ("SD", number, True),
    "dice_chance_95": ("95th percentile", number, True),
    "dice_p": ("p", chance_of_error, True),
    "auc_sd": ("SD", number, True),
    "auc_chance": ("AUC by chance", number, True),
    "auc_chance_95": ("95th percentile", number, True),
    "auc_p": ("p", chance_of_error, True),
    "level": ("Of", _level, False),
    "measure": ("Measure", _measure, False),
    "layers": ("Random layers", whole, True),
    "similarity": ("Likeness", number, True),
    "threshold": ("Threshold", number, True),
    "survives": ("Survives", _flag, False),
    "replacement": ("Replaced by", _text, False),
    "people": ("People", whole, True),
    "difference_to_random": ("Beyond random", _difference, True),
    "p_random": ("p", chance_of_error, True),
    "difference_to_intensity": ("Beyond brightness", _difference, True),
    "p_intensity": ("p", chance_of_error, True),
    "pointing": ("Peak in the truth", number, True),
    "agreement": ("Agreement with background", number, True),
    "spearman": ("Spearman", number, True),
    "voxels_a": ("Voxels", whole, True),
    "voxels_b": ("and voxels", whole, True),
    "rank": ("Rank", whole, True),
    "regions": ("of regions", whole, True),
    "region": ("Region", _text, False),
    "hemisphere": ("Side", _text, False),
    "kind": ("Planted", _text, False),
    "share": ("Share of the map", _percent, True),
    "inside": ("Of the region in the mask", _percent, True),
    "voxels": ("Voxels", whole, True),
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
        None if pd.isna(low) or pd.isna(high) else f"{_score(low)} to {_score(high)}"
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
