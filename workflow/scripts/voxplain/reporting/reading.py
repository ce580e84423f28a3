"""What result tables mean, however they were written."""

from collections.abc import Iterable

import pandas as pd

from voxplain.base.files import TEXT

# How to read tables of morphometry: their names can look like numbers too.
NAMES = dict.fromkeys((*TEXT, "atlas", "method", "model", "kind", "feature", "hemisphere"), str)
TRUE = frozenset({"true", "1", "1.0", "yes"})


def flags(column: pd.Series) -> pd.Series:
    """Read a column of flags (1, 1.0, true, True, yes) as booleans; a missing one counts as no."""
    return column.astype(str).str.lower().isin(TRUE)


def models_of(frame: pd.DataFrame) -> list[str]:
    """Return the models of a table: the network first, then the others as they come."""
    names = list(dict.fromkeys(frame["model"].astype(str)))
    return sorted(names, key=lambda name: name != "cnn")


def headline_metric(metrics: Iterable) -> str | None:
    """Return the metric that a table is summed up by: accuracy, or the mean absolute error of a regression."""
    present = set(metrics)
    return next((name for name in ("accuracy", "mae") if name in present), None)


def has_intervals(summary: pd.DataFrame) -> bool:
    """Tell whether any row has an interval (``ci_low``, ``ci_high``)."""
    return bool(summary[["ci_low", "ci_high"]].notna().all(axis=1).any())
