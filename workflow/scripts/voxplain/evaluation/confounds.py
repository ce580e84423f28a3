"""How much of what a model does is head size: alone, matched, taken out, and in the score."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.baselines.predictions import LARGEST_LOGIT
from voxplain.evaluation.comparison import (
    NETWORK,
    Predictions,
    interval_over_folds,
    model_metrics,
    paired_metrics,
    training_sizes,
)
from voxplain.evaluation.intervals import corrected_t, correlation_test
from voxplain.evaluation.matching import matched_metrics
from voxplain.evaluation.single_number import predict_from
from voxplain.models.metrics import METRICS

COLUMNS = [
    *("analysis", "model", "group", "metric", "mean", "sd", "ci_low", "ci_high"),
    *("reference", "n", "pairs", "p", "note"),
]
EVERYONE = "everyone"
UNKNOWN = "head size is not known"
AGE = "age in years, or the middle of its band"
CAVEATS = {
    "brain mask": " (brain volume, not intracranial volume)",
    "affine determinant": " (estimated by the registration, not measured)",
}
# Fewer people of a fold have a correlation of ±1, or none, whatever the scores.
FEWEST_IN_FOLD = 3


def tabulate_confounds(
    predictions: Predictions,
    residualised: Predictions,
    people: pd.DataFrame,
    confounders: pd.DataFrame,
    task: str,
    labels: Sequence[str],
    caliper_sd: float = 0.2,
    target_is_age: bool = False,
) -> pd.DataFrame:
    """Make the table of confounds.

    Parameters
    ----------
    predictions : mapping of str to sequence of DataFrame
        Of every model, a table a fold.
    residualised : mapping of str to sequence of DataFrame
        The same of models trained on features without what follows head size; without those that were not trained so.
    people : DataFrame
        ``participant_id, fold, target`` of everybody.
    confounders : DataFrame
        ``participant_id, tiv_mm3, age_years, tiv_source``; NaN where unknown.
    task : {'classification', 'regression'}
    labels : sequence of str
        The second of two is the positive class.
    caliper_sd : float
        Caliper of the matching, in SDs of head size within a class.
    target_is_age : bool
        Age alone is not asked for then.

    Returns
    -------
    DataFrame
        ``analysis, model, group, metric, mean, sd, ci_low, ci_high, reference, n, pairs, p, note``. The analyses:
        ``tiv_only`` and ``age_only`` (one number alone, on the same folds), ``raw`` (each model as it is),
        ``tiv_matched`` (two classes; see `matched_metrics`), ``tiv_residualised`` (reference: the same model on raw
        features and the same people; p: `corrected_t` of the difference), ``score_tiv_correlation`` (see
        `correlation_rows`). Mean, SD and interval are over folds as in
        `voxplain.evaluation.comparison.summarise_models`, but for the last and `matched_metrics`; `n` counts people.
        People whose head size is unknown are in no row about it.
    """
    people = people.sort_values("participant_id", ignore_index=True)
    known = people[["participant_id"]].merge(confounders, on="participant_id", how="left", validate="one_to_one")
    tiv, age = known["tiv_mm3"].to_numpy(dtype=float), known["age_years"].to_numpy(dtype=float)
    rows, note = [], UNKNOWN
    tiv_alone = predict_from(tiv, people, task, labels)
    if np.isfinite(tiv).any():
        note = _source(known["tiv_source"])
        rows += _fold_rows("tiv_only", "tiv", tiv_alone, task, labels, note)
    else:
        rows.append({"analysis": "tiv_only", "model": "tiv", "group": EVERYONE, "note": UNKNOWN})
    if np.isfinite(age).any() and not target_is_age:
        rows += _fold_rows("age_only", "age", predict_from(age, people, task, labels), task, labels, AGE)
    for model, frames in predictions.items():
        rows += _fold_rows("raw", model, frames, task, labels, "")
    if np.isfinite(tiv).any():
        sizes = pd.Series(tiv, index=people["participant_id"])
        if task == "classification" and len(labels) == 2:
            matched, said = matched_metrics({**predictions, "tiv": tiv_alone}, people, sizes, labels, caliper_sd)
            same = {"analysis": "tiv_matched", "group": EVERYONE, "note": f"{note}; {said}"}
            rows += [row | same for row in matched]
        for model, frames in residualised.items():
            rows += _residualised_rows(model, frames, predictions[model], task, labels, note)
        if NETWORK in predictions:
            rows += correlation_rows(NETWORK, predictions[NETWORK], sizes, task, labels, note)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"n": "Int64", "pairs": "Int64"})


def _source(sources: pd.Series) -> str:
    names = [str(name) for name in sources.dropna().unique()]
    return "head size: " + ", ".join(f"{name}{CAVEATS.get(name, '')}" for name in names or ["source unknown"])


def _fold_rows(
    analysis: str, model: str, frames: Sequence[pd.DataFrame], task: str, labels: Sequence[str], note: str
) -> list[dict[str, object]]:
    """Return mean, SD and interval over folds of every metric of one model."""
    metrics = model_metrics({model: frames}, {model: training_sizes(frames)}, task, labels)
    ratio = metrics["n_test"] / metrics["n_train"].to_numpy(dtype=float, na_value=math.nan)
    rows = []
    for metric in METRICS[task]:
        low, high = interval_over_folds(metric, metrics[metric], ratio)
        row = {"analysis": analysis, "model": model, "group": EVERYONE, "metric": metric, "note": note}
        row |= {"mean": metrics[metric].mean(), "sd": metrics[metric].std(ddof=1), "n": int(metrics["n_test"].sum())}
        rows.append(row | {"ci_low": low, "ci_high": high})
    return rows


def _residualised_rows(
    model: str,
    frames: Sequence[pd.DataFrame],
    raw: Sequence[pd.DataFrame],
    task: str,
    labels: Sequence[str],
    note: str,
) -> list[dict[str, object]]:
    """Return the same of a model without head size, beside the raw model on the people that both predicted."""
    own, other, people = paired_metrics(frames, raw, task, labels)
    ratio = people / np.fmin(training_sizes(frames), training_sizes(raw))
    rows = _fold_rows("tiv_residualised", model, frames, task, labels, f"{note}; p against the model on raw features")
    for row in rows:
        row["reference"] = other[row["metric"]].mean()
        row["p"] = corrected_t(own[row["metric"]] - other[row["metric"]], ratio).p
    return rows


def correlation_rows(
    model: str, frames: Sequence[pd.DataFrame], sizes: pd.Series, task: str, labels: Sequence[str], note: str
) -> list[dict[str, object]]:
    """Correlate a model's score with head size among people of one class, where the class explains nothing.

    Score and head size are centred and scaled within fold and class, since each fold's model has its own scale, and
    pooled over folds with at least three people; each further fold costs one degree of freedom. The score is the
    decision for the second of two classes, and with more than two the log odds of the group's own class.

    Parameters
    ----------
    model : str
    frames : sequence of DataFrame
    sizes : Series
        Head size by participant_id.
    task : {'classification', 'regression'}
        Regression: everyone in one group, and also ``r_error``, the correlation of prediction − truth.
    labels : sequence of str
    note : str

    Returns
    -------
    list of dict
        ``mean`` is r, with its interval (Fisher's z), ``p``, and ``n``, the people that count.
    """
    folds = [frame.assign(tiv=sizes.reindex(frame["participant_id"]).to_numpy()) for frame in frames]
    folds = [frame[np.isfinite(frame["tiv"])] for frame in folds]
    rows = []
    if task == "regression":
        cases = [(EVERYONE, "r", [(frame["score"].astype(float), frame["tiv"]) for frame in folds])]
        errors = [(frame["score"].astype(float) - frame["target"].astype(float), frame["tiv"]) for frame in folds]
        cases.append((EVERYONE, "r_error", errors))
    else:
        cases = []
        for label in map(str, labels):
            own = [frame[frame["target"].astype(str) == label] for frame in folds]
            cases.append((label, "r", [(_class_score(frame, label, labels), frame["tiv"]) for frame in own]))
    for group, metric, values in cases:
        r, n, spare = _pooled_correlation(values)
        low, high, p = correlation_test(r, n - spare)
        row = {"analysis": "score_tiv_correlation", "model": model, "group": group, "metric": metric, "note": note}
        rows.append(row | {"mean": r, "ci_low": low, "ci_high": high, "n": n, "p": p})
    return rows


def _class_score(frame: pd.DataFrame, label: str, labels: Sequence[str]) -> pd.Series:
    if len(labels) == 2:
        return frame["score"].astype(float)
    own = frame[f"p_{label}"].astype(float)
    rest = frame[[f"p_{other}" for other in labels if str(other) != label]].astype(float).sum(axis=1)
    with np.errstate(divide="ignore"):
        return (np.log(own) - np.log(rest)).clip(-LARGEST_LOGIT, LARGEST_LOGIT)


def _pooled_correlation(folds: Sequence[tuple[pd.Series, pd.Series]]) -> tuple[float, int, int]:
    """Return r of what is scaled within folds, how many people count, and how many folds beyond the first."""
    scaled = []
    for pair in folds:
        one, other = (np.asarray(values, dtype=float) for values in pair)
        if len(one) >= FEWEST_IN_FOLD and np.ptp(one) > 0 and np.ptp(other) > 0:
            scaled.append([(values - values.mean()) / values.std() for values in (one, other)])
    if not scaled:
        return math.nan, 0, 0
    one, other = (np.concatenate(side) for side in zip(*scaled, strict=True))
    return float(np.clip((one * other).mean(), -1, 1)), len(one), len(scaled) - 1
