"""Tables of the benchmark: cells of several seeds joined, with the spread that a single cohort and network hide."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.intervals import corrected_t
from voxplain.evaluation.localization import MEASURES

CELL = ["design", "effect", "seed"]
KEYS = ["design", "effect", "method", "statistic", "joint", "usual", "fwhm_mm", "level"]
WITH_INTERVAL = ("auc", "dice")
COLUMNS = [
    *KEYS,
    "seeds",
    "n",
    *("auc", "auc_sd", "auc_low", "auc_high", "auc_chance", "auc_chance_95", "power"),
    *("dice", "dice_sd", "dice_low", "dice_high", "dice_chance"),
    *(name + what for name in MEASURES if name not in WITH_INTERVAL for what in ("", "_sd")),
    "accuracy",
    "accuracy_sd",
]


def summarise_cells(scores: Sequence[pd.DataFrame], accuracies: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join cells of equal design and effect over their seeds.

    Parameters
    ----------
    scores, accuracies : sequence of DataFrame
        One of each a cell, of `voxplain.evaluation.power.score_cohort`, with ``design``, ``effect`` and ``seed``.

    Returns
    -------
    DataFrame
        `COLUMNS`, in the order of the cells: a row a design, effect, method, statistic, joint, width and level. Every
        measure is a mean over seeds with its standard deviation (ddof 1, missing for one seed); on the level
        ``people`` it is a mean over people first. ``_low`` and ``_high`` end the 95 % t-interval of the mean over
        seeds, which are independent cohorts, cut to 0 to 1; it is missing where seeds do not differ. ``power`` is the
        share of seeds in which the AUC lies above the 95th percentile of the misplaced truths, about 0.05 for a method
        that finds nothing. ``accuracy`` is that of the networks in their held-out people.

    Raises
    ------
    InputError
        For no cell, a cell that occurs twice or lacks its other table.
    """
    _check(scores, accuracies)
    table, networks = pd.concat(_filled(scores), ignore_index=True), pd.concat(accuracies, ignore_index=True)
    accuracy = networks.groupby(["design", "effect"])["accuracy"].agg(["mean", "std"])
    rows = []
    for keys, group in table.groupby(KEYS, sort=False, dropna=False):
        row = dict(zip(KEYS, keys, strict=True)) | {"seeds": len(group), "n": group["n"].mean()}
        for name in MEASURES:
            row |= {name: group[name].mean(), f"{name}_sd": group[name].std()}
        for name in WITH_INTERVAL:
            interval = corrected_t(group[name], 0.0)  # nothing to correct: no seed shares people with another
            row |= {f"{name}_low": np.clip(interval.low, 0, 1), f"{name}_high": np.clip(interval.high, 0, 1)}
        above = (group["auc"] > group["auc_chance_95"])[group["auc_chance_95"].notna()]
        row |= {name: group[name].mean() for name in ("auc_chance", "auc_chance_95", "dice_chance")}
        own = accuracy.loc[keys[:2]]
        rows.append(row | {"power": above.mean(), "accuracy": own["mean"], "accuracy_sd": own["std"]})
    return pd.DataFrame(rows, columns=COLUMNS)


def _filled(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Give empty columns of a table the type of numbers, so that they do not take the others' away."""
    return [
        table.assign(**{name: table[name].astype(float) for name in table if table[name].isna().all()})
        for table in tables
    ]


def _check(scores: Sequence[pd.DataFrame], accuracies: Sequence[pd.DataFrame]) -> None:
    if not len(scores):
        refuse("The benchmark has no cell.")
    found = [{tuple(row) for row in table[CELL].drop_duplicates().to_numpy().tolist()} for table in scores]
    cells = [cell for own in found for cell in own]
    known = [tuple(row) for table in accuracies for row in table[CELL].to_numpy().tolist()]
    odd = {cell for cell in (*cells, *known) if cells.count(cell) != 1 or known.count(cell) != 1}
    if odd:
        refuse(
            "Cells of the benchmark that do not have one table of scores and one of accuracies",
            [f"design {design}, effect {effect}, seed {seed}" for design, effect, seed in sorted(odd)],
            "Name every cell once.",
        )
