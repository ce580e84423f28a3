"""All models on the same folds: their metrics, intervals, and differences to the network."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.intervals import corrected_t, permutation_p
from voxplain.models.metrics import BOUNDS, LOWER_IS_BETTER, METRICS, fold_metrics

NETWORK = "cnn"
Predictions = Mapping[str, Sequence[pd.DataFrame]]
SUMMARY_COLUMNS = [
    *("model", "metric", "mean", "sd", "ci_low", "ci_high"),
    *("difference_to_cnn", "p_corrected_t", "chance", "p_permutation"),
]


def model_metrics(
    predictions: Predictions, n_train: Mapping[str, Sequence[float]], task: str, labels: Sequence[str]
) -> pd.DataFrame:
    """Measure every model in every fold.

    Parameters
    ----------
    predictions : mapping of str to sequence of DataFrame
        A table of predictions a fold, in the same order for every model; a table may be empty.
    n_train : mapping of str to sequence
        Number of people that each was trained on; NaN where unknown.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``model, fold, n_train, n_test`` and the metrics of `fold_metrics`; a row a model and fold. A table with people
        of several folds is of a network from outside: its fold is ``external``.

    Raises
    ------
    InputError
        When the models were not tested on the same folds, a model predicts someone twice, or targets contradict.
    """
    names = _check(predictions)
    rows = [
        {"model": model, "fold": name, "n_train": size, "n_test": len(frame)} | fold_metrics(frame, task, labels)
        for model, frames in predictions.items()
        for name, size, frame in zip(names, n_train[model], frames, strict=True)
    ]
    frame = pd.DataFrame(rows)
    frame["n_train"] = frame["n_train"].astype("Int64")
    return frame


def summarise_models(
    accuracy: pd.DataFrame,
    predictions: Predictions,
    task: str,
    labels: Sequence[str],
    permuted: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Summarise the metrics over folds, beside the network and beside chance.

    Parameters
    ----------
    accuracy : DataFrame
        From `model_metrics`.
    predictions : mapping of str to sequence of DataFrame
        The same that it was made from.
    task : {'classification', 'regression'}
    labels : sequence of str
    permuted : DataFrame, optional
        From `permuted_means`.

    Returns
    -------
    DataFrame
        ``model, metric, mean, sd, ci_low, ci_high, difference_to_cnn, p_corrected_t, chance, p_permutation``.

        The SD over folds has ddof 1. Interval and p are those of `corrected_t` (for k-fold a heuristic); the interval
        is cut at the bounds of its metric. A fold in which a metric is undefined, as the AUC is when a class has
        nobody in it, does not count for that metric. The difference to the network is the mean over folds of model
        minus network, both measured on the people that both predicted; n_train is the smaller one of the two. `chance`
        is what needs no image, among the people that the model predicted: the share of the largest class, 1 / classes,
        0.5 for the AUC, the mean absolute deviation from the median, and 0 for r. `p_permutation` is the network's.
    """
    rows = []
    sizes = {model: own["n_train"].to_numpy(dtype=float, na_value=np.nan) for model, own in accuracy.groupby("model")}
    for model, own in accuracy.groupby("model", sort=False):
        chance = chance_levels(pd.concat(predictions[model])["target"], task, labels)
        versus = paired = None
        if NETWORK in predictions and model != NETWORK:
            versus, paired, people = paired_metrics(predictions[model], predictions[NETWORK], task, labels)
            ratio = people / np.fmin(sizes[model], sizes[NETWORK])
        for metric in METRICS[task]:
            low, high = interval_over_folds(metric, own[metric], own["n_test"] / sizes[model])
            row = {
                "model": model,
                "metric": metric,
                "mean": own[metric].mean(),
                "sd": own[metric].std(ddof=1),
                "ci_low": low,
                "ci_high": high,
                "difference_to_cnn": math.nan,
                "p_corrected_t": math.nan,
                "chance": chance[metric],
                "p_permutation": math.nan,
            }
            if versus is not None:
                differences = versus[metric] - paired[metric]
                row["difference_to_cnn"] = differences.mean()
                row["p_corrected_t"] = corrected_t(differences, ratio).p
            if permuted is not None and model == NETWORK:
                draws = permuted.loc[permuted["metric"] == metric, "value"]
                row["p_permutation"] = permutation_p(row["mean"], draws, metric in LOWER_IS_BETTER)
            rows.append(row)
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def interval_over_folds(metric: str, values: Sequence[float], ratio: Sequence[float]) -> tuple[float, float]:
    """Return the interval of `corrected_t` for the mean of a metric over folds, cut at the metric's bounds."""
    interval = corrected_t(values, ratio)
    return tuple(float(np.clip(end, *BOUNDS[metric])) for end in (interval.low, interval.high))


def paired_metrics(
    frames: Sequence[pd.DataFrame], others: Sequence[pd.DataFrame], task: str, labels: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Measure two models, fold by fold, on the people that both predicted.

    Returns
    -------
    own, other : DataFrame
        The metrics, a row a fold.
    people : ndarray of int [folds]
        How many both predicted.
    """
    sides, counts = ([], []), []
    for pair in zip(frames, others, strict=True):
        both = set(pair[0]["participant_id"]) & set(pair[1]["participant_id"])
        counts.append(len(both))
        for side, frame in zip(sides, pair, strict=True):
            side.append(fold_metrics(frame[frame["participant_id"].isin(both)], task, labels))
    return pd.DataFrame(sides[0]), pd.DataFrame(sides[1]), np.array(counts)


def chance_levels(targets: pd.Series, task: str, labels: Sequence[str]) -> dict[str, float]:
    """Return what each metric is worth without a look at the images, given everybody's targets."""
    if task == "regression":
        values = targets.astype(float)
        return {"mae": float((values - values.median()).abs().mean()), "r": 0.0}
    largest = targets.astype(str).value_counts(normalize=True).max()
    return {"accuracy": float(largest), "balanced_accuracy": 1 / len(labels), "auc": 0.5}


def permuted_means(tables: Sequence[pd.DataFrame], task: str, labels: Sequence[str]) -> pd.DataFrame:
    """Measure the network trained on shuffled targets.

    Parameters
    ----------
    tables : sequence of DataFrame
        One a permutation: the predictions of all folds, ``target`` the shuffled one.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``permutation`` (from 1), ``metric``, ``value``: the mean over the folds where it is defined.
    """
    rows = []
    for number, table in enumerate(tables, start=1):
        metrics = pd.DataFrame([fold_metrics(fold, task, labels) for fold in split_folds([table])])
        rows += [{"permutation": number, "metric": name, "value": metrics[name].mean()} for name in METRICS[task]]
    return pd.DataFrame(rows, columns=["permutation", "metric", "value"])


def split_folds(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return one table a fold, in the order of the folds, however the predictions were cut into tables."""
    everybody = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    return [fold for _, fold in everybody.groupby("fold")]


def training_sizes(frames: Sequence[pd.DataFrame]) -> list[float]:
    """Return how many people each fold's model was trained on: all whom the models of the other folds predicted.

    In cross-validation everybody who can be trained on is tested once. NaN for a single table: that is none.
    """
    total = sum(len(frame) for frame in frames)
    return [total - len(frame) or math.nan for frame in frames]


def by_model(paths: Sequence[str], models: Sequence[str]) -> dict[str, list[str]]:
    """Cut a flat list of paths, fold by fold of one model after the other, into one list a model."""
    count = len(paths) // max(len(models), 1)
    if count * len(models) != len(paths):
        refuse(f"{len(paths)} files cannot be the same folds of each of the models", models)
    return {model: list(paths[place * count : (place + 1) * count]) for place, model in enumerate(models)}


def _check(predictions: Predictions) -> list[object]:
    """Return the names of the folds, or refuse tables that do not belong together."""
    counts = {len(frames) for frames in predictions.values()}
    if len(counts) > 1:
        refuse(
            "Models that were tested on different numbers of folds cannot be compared",
            [f"{model}: {len(frames)} folds" for model, frames in predictions.items()],
        )
    names, problems, targets = [], [], {}
    for place, frames in enumerate(zip(*predictions.values(), strict=True)):
        folds = {model: sorted(frame["fold"].unique()) for model, frame in zip(predictions, frames, strict=True)}
        found = [fold for fold in folds.values() if fold]
        if any(fold != found[0] for fold in found):
            problems += [f"table {place + 1} of {model}: fold {', '.join(map(str, f))}" for model, f in folds.items()]
        names.append("external" if found and len(found[0]) > 1 else found[0][0] if found else place)
    for model, frames in predictions.items():
        everybody = pd.concat(frames)
        twice = everybody.loc[everybody["participant_id"].duplicated(), "participant_id"]
        problems += [f"{model} predicts {person} twice" for person in twice.unique()]
        for person, target in zip(everybody["participant_id"], everybody["target"].astype(str), strict=True):
            if targets.setdefault(person, target) != target:
                problems.append(f"{model}: {person} has another target than elsewhere")
    if problems:
        refuse("Predictions that do not belong together", problems, "They come from different runs: make them anew.")
    return names
