"""Tables of masked accuracy and of retraining: folds joined, beside random masks, whole images and chance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import chance_levels, split_folds
from voxplain.evaluation.intervals import corrected_t, permutation_p
from voxplain.models.metrics import LOWER_IS_BETTER, fold_metrics

# Kinds of masks, ways of retraining, and what stands beside the methods: said here, since tables need no torch.
SOFT, THRESHOLD, WHOLE = "soft", "threshold", "none"
REMOVED, KEPT = MODES = ("removed", "kept")
RANDOM = "random"
PERCENTILE = 95
MASK_KEYS = ["method", "group", "mask", "metric"]
MASK_COLUMNS = [
    *MASK_KEYS,
    *("volume", "mean", "sd", "random_mean", "random_sd", f"random_{PERCENTILE}", "p", "whole", "chance"),
    *("draws", "folds", "people"),
]
RETRAINING_KEYS = ["method", "mode", "share", "metric"]
RETRAINING_COLUMNS = [
    *RETRAINING_KEYS,
    *("volume", "mean", "sd", "random_mean", "difference_to_random", "p_corrected_t", "whole", "chance", "folds"),
]


def summarise_masked(
    tables: Sequence[pd.DataFrame], targets: pd.Series, task: str, labels: Sequence[str]
) -> pd.DataFrame:
    """Join the masked accuracy of folds.

    Parameters
    ----------
    tables : sequence of DataFrame
        Of `voxplain.evaluation.masked_accuracy.measure_masks`, one a method; whole images are the same in all.
    targets : Series
        Of everybody.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``method, group, mask, metric, volume, mean, sd, random_mean, random_sd, random_95, p, whole, chance, draws,
        folds, people``. Mean and sd (ddof 1) are over folds. Of the random masks each draw is first averaged over
        folds; then come mean, sd and the 95th percentile (of an error the 5th: the good end) over draws, and
        p = (1 + draws at least as good) / (1 + draws), which can be no smaller than 1 / (1 + draws). ``whole``: the
        mean over folds for whole images; ``chance``: see `voxplain.evaluation.comparison.chance_levels`. Folds in
        which a metric is undefined do not count for it, nor among ``folds`` and ``people``; neither do draws for which
        it is undefined in every fold.
    """
    measured = _joined(tables)
    chance = chance_levels(targets, task, labels)
    whole = measured[measured["mask"] == WHOLE].groupby("metric")["value"].mean()
    rows = []
    for keys, group in measured[measured["mask"] != WHOLE].groupby(MASK_KEYS, sort=False):
        metric, own, random = keys[-1], group[group["draw"] == 0], group[group["draw"] > 0]
        means, lower = random.groupby("draw")["value"].mean(), metric in LOWER_IS_BETTER
        rows.append(
            {
                **dict(zip(MASK_KEYS, keys, strict=True)),
                "volume": own["volume"].mean(),
                "mean": own["value"].mean(),
                "sd": own["value"].std(),
                "random_mean": means.mean(),
                "random_sd": means.std(),
                f"random_{PERCENTILE}": means.quantile((100 - PERCENTILE if lower else PERCENTILE) / 100),
                "p": permutation_p(own["value"].mean(), means, lower),
                "whole": whole[metric],
                "chance": chance[metric],
                "draws": int(means.count()),
                "folds": int(own["value"].count()),
                "people": int(own.loc[own["value"].notna(), "n"].sum()),
            }
        )
    return pd.DataFrame(rows, columns=MASK_COLUMNS)


def summarise_retraining(
    tables: Sequence[pd.DataFrame],
    predictions: Sequence[pd.DataFrame],
    targets: pd.Series,
    task: str,
    labels: Sequence[str],
) -> pd.DataFrame:
    """Join the retraining of folds and methods, and hold every method against the random maps.

    Parameters
    ----------
    tables : sequence of DataFrame
        Of `voxplain.evaluation.retraining.retrain`, one a fold and method, with columns ``method`` and ``fold``; the
        method of random maps is ``random``. All need the same folds.
    predictions : sequence of DataFrame
        Of the networks on whole images; folds that were not retrained are left out.
    targets : Series
        Of everybody.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``method, mode, share, metric, volume, mean, sd, random_mean, difference_to_random, p_corrected_t, whole,
        chance, folds``. Mean and sd (ddof 1) are over folds, of random maps over folds of the mean over draws. The
        difference is the mean over folds of method and random maps in the same fold, positive where the method is more
        faithful: better than random when its voxels are kept, worse when they are removed. p is that of `corrected_t`.
        Difference and p of the random maps to themselves are missing. ``whole``: of the original networks.

    Raises
    ------
    InputError
        Without random maps, and naming methods that were retrained on other folds, shares or modes than these.
    """
    measured = _joined(tables)
    chance = chance_levels(targets, task, labels)
    keys = ["mode", "share", "metric", "fold"]
    values = (
        measured.groupby(["method", *keys], sort=False)["value"]
        .mean()
        .unstack("method")[list(dict.fromkeys(measured["method"]))]
    )
    cells = measured.drop_duplicates(["method", *keys]).groupby("method").size()
    if RANDOM not in values or cells.nunique() > 1 or cells[RANDOM] != len(values):
        refuse(
            "Methods can only be compared with random maps on the same folds, shares and modes; networks of each",
            [f"{method}: {count // measured['metric'].nunique()}" for method, count in cells.items()],
            "Delete evaluation/retraining/ and run the workflow again.",
        )
    whole = _whole(predictions, set(measured["fold"]), task, labels)
    facts = measured.groupby(RETRAINING_KEYS)["volume"].mean()
    ratio = (measured["n"] / measured["n_train"]).groupby(measured["fold"]).first()
    rows = []
    for method in values:
        for (mode, share, metric), cell in values.groupby(keys[:-1], sort=False):
            own, random = cell[method], cell[RANDOM]
            sign = -1 if (mode == REMOVED) != (metric in LOWER_IS_BETTER) else 1
            difference = sign * (own - random) if method != RANDOM else own * np.nan
            test = corrected_t(difference, ratio[cell.index.get_level_values("fold")])
            rows.append(
                {
                    **dict(zip(RETRAINING_KEYS, (method, mode, share, metric), strict=True)),
                    "volume": facts[method, mode, share, metric],
                    "mean": own.mean(),
                    "sd": own.std(),
                    "random_mean": random.mean(),
                    "difference_to_random": difference.mean(),
                    "p_corrected_t": test.p,
                    "whole": whole[metric],
                    "chance": chance[metric],
                    "folds": int(own.count()),
                }
            )
    return pd.DataFrame(rows, columns=RETRAINING_COLUMNS)


def _whole(
    predictions: Sequence[pd.DataFrame], folds: set[object], task: str, labels: Sequence[str]
) -> dict[str, float]:
    """Return the mean over folds of each metric of the networks on whole images."""
    same = [fold for fold in split_folds(predictions) if fold["fold"].iloc[0] in folds]
    if len(same) != len(folds):
        refuse(f"Predictions of {len(same)} of the {len(folds)} folds that were retrained; all are needed.")
    return pd.DataFrame([fold_metrics(fold, task, labels) for fold in same]).mean().to_dict()


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below one another; empty ones would take the numbers' types away."""
    filled = [table for table in tables if len(table)]
    if not filled:
        refuse("Nobody was tested: the tables of all folds are empty.")
    return pd.concat(filled, ignore_index=True)
