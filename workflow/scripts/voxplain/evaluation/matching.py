"""Pairs of people of two classes with nearly the same head size, and how well models do on them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import Predictions
from voxplain.evaluation.intervals import wilson
from voxplain.imaging.grid import MM3_PER_ML
from voxplain.models.metrics import METRICS


def match_pairs(
    tiv: Sequence[float], classes: Sequence[str], labels: Sequence[str], caliper: float
) -> list[tuple[int, int]]:
    """Match people of two classes one to one, without replacement, within a caliper.

    As many pairs as possible; among the matchings with that many, one with the smallest sum of distances (an optimal
    assignment, unlike greedy nearest neighbours, which lose pairs and depend on the order).

    Source: Rosenbaum 1989, JASA 84, "Optimal matching for observational studies".

    Parameters
    ----------
    tiv : sequence [n]
        Head sizes; people for whom it is NaN find no partner.
    classes : sequence [n]
        Class of each person.
    labels : sequence of two str
        People of other classes find no partner.
    caliper : float
        Largest distance within a pair, in the unit of `tiv`.

    Returns
    -------
    list of (int, int)
        Places of the partners, that of ``labels[0]`` first; sorted.

    Raises
    ------
    InputError
        For other than two labels, or a caliper that is negative or not a number.
    """
    from scipy.optimize import linear_sum_assignment

    if len(labels) != 2:
        refuse(f"Pairs are matched between two classes, not {len(labels)}", labels)
    if not caliper >= 0:
        refuse(f"The caliper must be 0 or more, not {caliper}")
    tiv, classes = np.asarray(tiv, dtype=float), np.asarray([str(name) for name in classes])
    first, second = (np.flatnonzero((classes == str(label)) & np.isfinite(tiv)) for label in labels)
    if not len(first) or not len(second):
        return []
    distances = np.abs(tiv[first][:, np.newaxis] - tiv[second])
    allowed = distances <= caliper
    # All distances within the caliper together, at most 1 each, weigh less than one pair that need not be forbidden.
    costs = np.where(allowed, distances / (caliper or 1.0), min(distances.shape) + 1.0)
    pairs = zip(*linear_sum_assignment(costs), strict=True)
    return sorted((int(first[i]), int(second[j])) for i, j in pairs if allowed[i, j])


def pooled_sd(values: Sequence[float], classes: Sequence[str]) -> float:
    """Return the standard deviation within classes, pooled: √(Σ (n_c − 1)·s²_c / Σ (n_c − 1)).

    Parameters
    ----------
    values : sequence [n]
        NaN does not count.
    classes : sequence [n]

    Returns
    -------
    float
        NaN when no class has two people.
    """
    values, classes = np.asarray(values, dtype=float), np.asarray(classes)
    groups = [values[(classes == name) & np.isfinite(values)] for name in np.unique(classes)]
    freedom = sum(len(group) - 1 for group in groups if len(group))
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def matched_metrics(
    predictions: Predictions, people: pd.DataFrame, sizes: pd.Series, labels: Sequence[str], caliper_sd: float
) -> tuple[list[dict[str, object]], str]:
    """Measure every model on pairs of the two classes with nearly the same head size.

    Pairs are matched inside each test fold, among the people whom all models predicted and whose head size is known,
    so that every model is measured on the same people. The caliper is `caliper_sd` SDs of head size, pooled within
    class over everybody.

    Parameters
    ----------
    predictions : mapping of str to sequence of DataFrame
        A table a fold.
    people : DataFrame
        ``participant_id, fold, target``; the folds are those of this table.
    sizes : Series
        Head size in mm³ by participant_id; NaN where unknown.
    labels : sequence of two str
        The second is the positive class.
    caliper_sd : float

    Returns
    -------
    rows : list of dict
        ``model, metric, mean, sd, ci_low, ci_high, reference, n, pairs``, a row a model and metric. ``accuracy`` and
        ``balanced_accuracy`` (the same on pairs; only their references differ) are over the pairs of all folds, with
        Wilson's interval, which takes people as independent; ``auc`` is the mean of the folds' own, weighted by their
        pairs, without an interval. `sd` is over the folds with pairs. `reference` is the same, the AUC's weights too,
        for all people of those folds from among whom the pairs were drawn.
    note : str
        The caliper, and the mean difference in head size that is left within pairs.
    """
    known = people.assign(target=people["target"].astype(str), tiv=sizes.reindex(people["participant_id"]).to_numpy())
    caliper = caliper_sd * pooled_sd(known["tiv"], known["target"])
    tables = {model: pd.concat(frames).set_index("participant_id") for model, frames in predictions.items()}
    common = set(known.loc[known["tiv"].notna(), "participant_id"]).intersection(*(t.index for t in tables.values()))
    pool = known[known["participant_id"].isin(common)].sort_values("participant_id", ignore_index=True)
    pairs = {}
    if math.isfinite(caliper):  # otherwise no class has two people
        for fold, own in pool.groupby("fold"):
            found = match_pairs(own["tiv"], own["target"], labels, caliper)
            if found:
                pairs[fold] = own.index.to_numpy()[np.array(found)]
    count = sum(len(found) for found in pairs.values())
    rows = []
    for model, table in tables.items():
        guesses = table.reindex(pool["participant_id"])
        told = pool[["fold", "target"]].assign(
            right=guesses["prediction"].astype(str).to_numpy() == pool["target"].to_numpy(),
            score=guesses["score"].to_numpy(dtype=float),
        )
        for metric, values in _on_pairs(told, pairs, labels).items():
            rows.append({"model": model, "metric": metric, "n": 2 * count, "pairs": count} | values)
    return rows, _matching_note(pool, pairs, labels, caliper, caliper_sd)


def _on_pairs(
    told: pd.DataFrame, pairs: Mapping[object, np.ndarray], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return mean, SD, interval and reference of each metric; `told` has ``fold, target, right, score``."""
    if not pairs:
        return {metric: {} for metric in METRICS["classification"]}
    second = (told["target"] == str(labels[1])).to_numpy()
    right, score = told["right"].to_numpy(), told["score"].to_numpy()
    matched = [found.ravel() for found in pairs.values()]
    whole = [np.flatnonzero(told["fold"] == fold) for fold in pairs]
    weights = [len(found) for found in pairs.values()]
    areas, areas_before = (
        np.array([roc_auc_score(second[rows], score[rows]) for rows in cut]) for cut in (matched, whole)
    )
    chosen, everybody = np.concatenate(matched), np.concatenate(whole)
    low, high = wilson(int(right[chosen].sum()), len(chosen))
    spread = pd.Series([right[rows].mean() for rows in matched]).std(ddof=1)
    accuracy = {"mean": float(right[chosen].mean()), "sd": spread, "ci_low": low, "ci_high": high}
    answers = np.where(right, second, ~second)
    balanced = balanced_accuracy_score(second[everybody], answers[everybody])
    return {
        "accuracy": accuracy | {"reference": float(right[everybody].mean())},
        "balanced_accuracy": accuracy | {"reference": float(balanced)},
        "auc": {
            "mean": float(np.average(areas, weights=weights)),
            "sd": pd.Series(areas).std(ddof=1),
            "reference": float(np.average(areas_before, weights=weights)),
        },
    }


def _matching_note(
    pool: pd.DataFrame, pairs: Mapping[object, np.ndarray], labels: Sequence[str], caliper: float, caliper_sd: float
) -> str:
    within = f"pairs within {caliper / MM3_PER_ML:.0f} ml ({caliper_sd:g} SD within class)"
    if not pairs:
        return f"no {within} among {len(pool)} people"
    tiv, found = pool["tiv"].to_numpy(), np.concatenate(list(pairs.values()))
    first, second = (tiv[pool["target"] == str(label)].mean() for label in labels)
    left = (tiv[found[:, 1]] - tiv[found[:, 0]]).mean()
    return (
        f"{within} among {len(pool)} people; mean difference {labels[1]} − {labels[0]} {left / MM3_PER_ML:.1f} ml in "
        f"the pairs, {(second - first) / MM3_PER_ML:.1f} ml in all of them"
    )
