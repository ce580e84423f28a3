"""How well the predictions of one fold agree with the truth."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.models.answers import Answers

METRICS = {"classification": ("accuracy", "balanced_accuracy", "auc"), "regression": ("mae", "r")}
LOWER_IS_BETTER = frozenset({"mae"})
BOUNDS = {"accuracy": (0, 1), "balanced_accuracy": (0, 1), "auc": (0, 1), "mae": (0, math.inf), "r": (-1, 1)}


def fold_metrics(predictions: pd.DataFrame, task: str, labels: Sequence[str] = ()) -> dict[str, float]:
    """Measure predictions; NaN where a measure is undefined.

    Parameters
    ----------
    predictions : DataFrame
        ``target`` and the columns of `voxplain.models.prediction.predict`, one row a person.
    task : {'classification', 'regression'}
    labels : sequence of str
        Classes in the order of the outputs.

    Returns
    -------
    dict
        Classification: ``accuracy``; ``balanced_accuracy`` (mean recall of the classes) and ``auc`` (area under the
        ROC curve of ``score``; with more than two classes the unweighted mean over one-against-rest), both undefined
        when a class has nobody in the fold. Regression: ``mae`` in the target's unit, and ``r`` (Pearson), undefined
        for fewer than two people and when either side is constant.
    """
    if task == "regression":
        return _regression(predictions)
    # Only here: many a job needs the names above and not a second of importing.
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

    labels = [str(label) for label in labels]
    if predictions.empty:
        return dict.fromkeys(METRICS[task], math.nan)
    truth = Answers.encode(predictions["target"], task, labels).values
    guess = Answers.encode(predictions["prediction"], task, labels).values
    result = {"accuracy": float(accuracy_score(truth, guess)), "balanced_accuracy": math.nan, "auc": math.nan}
    if len(np.unique(truth)) == len(labels):
        result["balanced_accuracy"] = float(balanced_accuracy_score(truth, guess))
        if len(labels) == 2:
            result["auc"] = float(roc_auc_score(truth, predictions["score"]))
        else:
            chances = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
            result["auc"] = float(roc_auc_score(truth, chances, multi_class="ovr"))
    return result


def _regression(predictions: pd.DataFrame) -> dict[str, float]:
    if predictions.empty:
        return {"mae": math.nan, "r": math.nan}
    truth = Answers.encode(predictions["target"], "regression", ()).values
    guess = predictions["prediction"].to_numpy(dtype=float)
    varies = len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(guess) > 0
    r = float(np.corrcoef(truth, guess)[0, 1]) if varies else math.nan
    return {"mae": float(np.abs(truth - guess).mean()), "r": r}
