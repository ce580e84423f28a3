"""Tables of deletion and insertion: areas under curves, orders compared with one another, folds joined."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata, wilcoxon

from voxplain.base.errors import refuse

KINDS = ("deletion", "insertion")
ORDERS = ("map", "random", "intensity")
REFERENCES = ("random", "intensity")
# Whether a measure falls as the network loses what it needs.
FALLS = {"probability": True, "accuracy": True, "change": False, "mae": False}
CURVE_COLUMNS = ["replacement", "kind", "order", "measure", "share", "value", "people"]
# `ranks` and `variance` are those of signed ranks, for the test over folds.
TEST_COLUMNS = ("difference_to", "sd_to", "p", "ranks", "variance")
AREA_COLUMNS = ["replacement", "kind", "order", "measure", "people", "auc", "sd"]
AREA_COLUMNS += [f"{column}_{reference}" for reference in REFERENCES for column in TEST_COLUMNS]
# Of the largest area: smaller differences are rounding, and must be neither signs nor ranks.
ROUNDING = 1e-6
KEYS = ["method", "replacement", "kind", "order", "measure"]


def gain(kind: str, measure: str) -> int:
    """Return 1 where a larger area means a more faithful order, -1 where a smaller one does."""
    return 1 if (kind == "insertion") == FALLS[measure] else -1


def tables_of(
    values: np.ndarray, names: Sequence[str], replacement: str, shares: Sequence[float], fractions: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of curves and areas of one network, method and replacement.

    Parameters
    ----------
    values : ndarray [measures, people, orders, kinds, shares]
        Orders and kinds as in `ORDERS` and `KINDS`.
    names : sequence of str
        Of the measures.
    replacement : str
    shares : sequence of float
        As they are named in the table, percent.
    fractions : ndarray [shares]
        What they really are, 0 to 1, after rounding to whole voxels.

    Returns
    -------
    curve, areas : DataFrame
        See `voxplain.evaluation.faithfulness.curves`.
    """
    people = values.shape[1]
    areas = np.trapezoid(values, fractions, axis=-1)
    points, rows = [], []
    for k, kind in enumerate(KINDS):
        for o, order in enumerate(ORDERS):
            for m, measure in enumerate(names):
                here = {"replacement": replacement, "kind": kind, "order": order, "measure": measure, "people": people}
                mean = values[m, :, o, k].mean(axis=0)
                points += [here | {"share": share, "value": value} for share, value in zip(shares, mean, strict=True)]
                own = areas[m, :, o, k]
                row = here | {"auc": own.mean(), "sd": own.std(ddof=1) if people > 1 else np.nan}
                for reference in REFERENCES:
                    if reference != order:
                        tested = _paired(own, areas[m, :, ORDERS.index(reference), k], gain(kind, measure))
                        row |= {f"{name}_{reference}": value for name, value in tested.items()}
                rows.append(row)
    return pd.DataFrame(points, columns=CURVE_COLUMNS), pd.DataFrame(rows, columns=AREA_COLUMNS)


def summarise_curves(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return mean and standard deviation (ddof 1) over folds of curves.

    Parameters
    ----------
    tables : sequence of DataFrame
        The curves of `voxplain.evaluation.faithfulness.curves` with a column ``method``, every fold and method once;
        those of folds in which nobody was measured are empty.

    Returns
    -------
    DataFrame
        ``method, replacement, kind, order, measure, share, mean, sd, folds``; sd is missing for one fold.
    """
    grouped = _joined(tables).groupby([*KEYS, "share"], sort=False)["value"]
    return grouped.agg(mean="mean", sd="std", folds="count").reset_index()


def summarise_areas(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the areas of folds.

    Parameters
    ----------
    tables : sequence of DataFrame
        As in `summarise_curves`, the areas.

    Returns
    -------
    DataFrame
        ``method, replacement, kind, order, measure, auc, sd, folds, people``, and of the references ``random`` and
        ``intensity`` ``difference_to_``, ``ranks_`` (sum of the signed ranks of people) and ``p_``. Areas and
        differences are means over folds, ``sd`` that of the areas of the folds (ddof 1; missing for one fold).
        Differences are positive where the order is more faithful. The p of several folds is that of the signed-rank
        test stratified by fold: people are ranked within their fold, and z = ΣT / √ΣVar(T) over the folds' sums T of
        signed ranks is taken for normal; with one fold p is the fold's own. People count as independent, relatives
        too. What compares an order with itself is missing.
    """
    rows = []
    for keys, group in _joined(tables).groupby(KEYS, sort=False):
        row = dict(zip(KEYS, keys, strict=True)) | {"auc": group["auc"].mean(), "sd": group["auc"].std()}
        row |= {"folds": len(group), "people": int(group["people"].sum())}
        for reference in REFERENCES:
            row[f"difference_to_{reference}"] = group[f"difference_to_{reference}"].mean()
            row[f"ranks_{reference}"] = group[f"ranks_{reference}"].sum(min_count=1)
            row[f"p_{reference}"] = _joined_p(*(group[f"{name}_{reference}"] for name in ("p", "ranks", "variance")))
        rows.append(row)
    columns = [*KEYS, "auc", "sd", "folds", "people"]
    columns += [f"{name}_{reference}" for reference in REFERENCES for name in ("difference_to", "ranks", "p")]
    return pd.DataFrame(rows, columns=columns)


def _paired(own: np.ndarray, other: np.ndarray, sign: int) -> dict[str, float]:
    """Compare two areas of the same people; equal ones tell nothing about the sign of the difference (Wilcoxon)."""
    differences = sign * (own - other)
    largest = np.abs([own, other]).max()
    steps = np.round(differences / (ROUNDING * largest)) if largest else differences
    counted = steps[steps != 0]
    ranks = rankdata(np.abs(counted))
    return {
        "difference_to": differences.mean(),
        "sd_to": differences.std(ddof=1) if len(differences) > 1 else np.nan,
        "p": float(wilcoxon(counted).pvalue) if len(counted) else 1.0,
        "ranks": float((np.sign(counted) * ranks).sum()),
        "variance": float((ranks**2).sum()),  # under the hypothesis a coin decides each sign; holds for ties too
    }


def _joined_p(p: pd.Series, ranks: pd.Series, variance: pd.Series) -> float:
    """Return p over folds from the sums of signed ranks; see `summarise_areas`."""
    if len(p) == 1 or p.isna().all():
        return float(p.iloc[0])
    total = variance.sum()
    return float(2 * norm.sf(abs(ranks.sum()) / np.sqrt(total))) if total else 1.0


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below one another; empty ones would take the numbers' types away."""
    filled = [table for table in tables if len(table)]
    if not filled:
        refuse("Nobody was measured: the tables of all folds and methods are empty.")
    return pd.concat(filled, ignore_index=True)
