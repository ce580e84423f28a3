"""The gap between what a model predicts and the truth (brain age minus age), with and without the pull to the mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import Predictions
from voxplain.evaluation.intervals import correlation_test

SUMMARY_COLUMNS = ["model", "gap", "mean", "sd", "r_with_target", "ci_low", "ci_high", "p", "n"]
FEWEST = 3


def gaps(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the gap of everybody, raw and corrected.

    Predictions are pulled towards the mean: the young are predicted too old and the old too young, so that the raw gap
    follows age itself. The correction fits ``prediction = a + b · target`` by least squares and takes
    ``prediction − (a + b · target)`` as the gap. For the people of a fold the line is that of the people of all other
    folds, each predicted by a network that had not seen them.

    Source: Beheshti et al. 2019, NeuroImage: Clinical 24, and de Lange & Cole 2020, NeuroImage: Clinical 26, equation
    2. The corrected gap uses the truth: it is no measure of how well anything is predicted (Butler et al. 2021).

    Parameters
    ----------
    frames : sequence of DataFrame
        Predictions of one model, a table a fold: ``participant_id, fold, target, prediction``.

    Returns
    -------
    DataFrame
        ``participant_id, fold, target, prediction, gap, gap_corrected``, sorted by id; in the target's unit.

    Raises
    ------
    InputError
        When the other folds have fewer than three people, or all of the same target.
    """
    people = pd.concat(frames, ignore_index=True)[["participant_id", "fold", "target", "prediction"]]
    people[["target", "prediction"]] = people[["target", "prediction"]].astype(float)
    people["gap"] = people["prediction"] - people["target"]
    people["gap_corrected"] = np.nan
    for fold in people["fold"].unique():
        own = people["fold"] == fold
        others = people[~own]
        if len(others) < FEWEST or others["target"].nunique() < 2:
            refuse(
                f"The pull to the mean cannot be corrected for fold {fold}: the other folds have {len(others)} people "
                f"with {others['target'].nunique()} different targets; at least {FEWEST} and 2 are needed",
                advice="Use more folds or people, or set statistics.age_gap: false.",
            )
        slope, intercept = np.polyfit(others["target"], others["prediction"], 1)
        expected = intercept + slope * people.loc[own, "target"]
        people.loc[own, "gap_corrected"] = people.loc[own, "prediction"] - expected
    return people.sort_values("participant_id", ignore_index=True)


def summarise_gaps(predictions: Predictions) -> pd.DataFrame:
    """Return mean and SD of every model's gaps, and how they go along with the target.

    Returns
    -------
    DataFrame
        ``model, gap`` (``raw``, ``corrected``), ``mean, sd`` (ddof 1), ``r_with_target`` with its interval (Fisher's z)
        and ``p``, and ``n``: over the people of all folds.
    """
    rows = []
    for model, frames in predictions.items():
        people = gaps(frames)
        for name, column in (("raw", "gap"), ("corrected", "gap_corrected")):
            values = people[column]
            varies = len(people) > 1 and np.ptp(values) > 0
            r = float(np.corrcoef(values, people["target"])[0, 1]) if varies else float("nan")
            low, high, p = correlation_test(r, len(people))
            rows.append([model, name, values.mean(), values.std(ddof=1), r, low, high, p, len(people)])
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)
