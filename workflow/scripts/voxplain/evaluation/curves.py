"""How a model's scores rank people (ROC curves), and whether its probabilities can be believed (calibration)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import Predictions
from voxplain.evaluation.intervals import corrected_t, wilson
from voxplain.models.answers import Answers

FALSE_POSITIVE_RATES = np.linspace(0, 1, 101)
BINS = 10
FEWEST_PEOPLE = 5
ROC_COLUMNS = ["model", "label", "fpr", "tpr", "sd"]
CALIBRATION_COLUMNS = ["model", "bin", "n", "predicted", "observed", "ci_low", "ci_high"]


def mean_roc(predictions: Predictions, labels: Sequence[str]) -> pd.DataFrame:
    """Average the ROC curves of the folds: the true positive rate at given false positive rates.

    Curves are averaged, not scores pooled: scores of different networks have no common scale (vertical averaging,
    Fawcett 2006, Pattern Recognition Letters 27).

    Parameters
    ----------
    predictions : mapping of str to sequence of DataFrame
        A table a fold; folds without somebody of both sides do not count.
    labels : sequence of str
        Two: the second is the positive class, its score is ``score``. More: each against the rest, by ``p_{label}``.

    Returns
    -------
    DataFrame
        ``model, label, fpr, tpr, sd``: 101 rates from (0, 0) to (1, 1) a model and positive class; `sd` over folds
        (ddof 1) is NaN for one fold.
    """
    labels = [str(label) for label in labels]
    positives = labels[1:] if len(labels) == 2 else labels
    tables = []
    for model, frames in predictions.items():
        for label in positives:
            curves = [_roc(frame, label, "score" if len(labels) == 2 else f"p_{label}") for frame in frames]
            curves = np.array([curve for curve in curves if curve is not None])
            if len(curves):
                spread = curves.std(axis=0, ddof=1) if len(curves) > 1 else math.nan
                columns = {"fpr": FALSE_POSITIVE_RATES, "tpr": curves.mean(axis=0), "sd": spread}
                tables.append(pd.DataFrame({"model": model, "label": label} | columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=ROC_COLUMNS)


def _roc(frame: pd.DataFrame, label: str, column: str) -> np.ndarray | None:
    truth = (frame["target"].astype(str) == label).to_numpy()
    if truth.all() or not truth.any():
        return None
    false, true, _ = roc_curve(truth, frame[column].to_numpy(dtype=float), drop_intermediate=False)
    curve = np.interp(FALSE_POSITIVE_RATES, false, true)
    curve[0] = 0.0
    return curve


def calibration_bins(predictions: Predictions, task: str, labels: Sequence[str] = ()) -> pd.DataFrame:
    """Hold what was predicted against what was observed, in bins of people of all folds.

    Two classes: ten bins of equal width of the probability of the second class; observed is its share, with Wilson's
    interval. More classes: the same for the largest probability and the share of people of that class. Regression: ten
    bins of equally many people by the predicted value; observed is the mean target with its t interval. A bin with
    fewer than 5 people is merged with the neighbour whose mean prediction is nearer; fewer than 5 people in all have no
    bin.

    Parameters
    ----------
    predictions : mapping of str to sequence of DataFrame
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``model, bin`` (from 1), ``n, predicted`` (mean in the bin), ``observed, ci_low, ci_high``.
    """
    rows = []
    for model, frames in predictions.items():
        guess, truth = _pooled(model, frames, task, labels)
        bins = [people for people in _merge(_bins(guess, task), guess) if len(people) >= FEWEST_PEOPLE]
        for number, people in enumerate(bins, start=1):
            low, high = _interval(truth[people], task)
            row = {"model": model, "bin": number, "n": len(people), "predicted": guess[people].mean()}
            rows.append(row | {"observed": truth[people].mean(), "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def calibration_summary(predictions: Predictions, task: str, labels: Sequence[str] = ()) -> pd.DataFrame:
    """Sum up the calibration of every model, over the people of all folds.

    Returns
    -------
    DataFrame
        ``model, metric, value``. Classification: ``brier`` (mean squared error of the probability of the second class;
        with more classes the sum over classes, Brier 1950); ``expected_calibration_error`` (mean over people of
        |observed − predicted| of their bin, ten bins of equal width, none merged; Naeini et al. 2015); ``slope`` and
        ``intercept`` of a logistic regression of the truth on the logit of the probability, 1 and 0 when calibrated, a
        slope below 1 meaning overconfidence (Cox 1958). They are NaN where they are infinite or undefined: when the
        probabilities tell the classes apart without error, are all the same, or are exactly 0 or 1 for someone.
        Regression: ``slope`` and ``intercept`` of the target on the predicted value.
    """
    rows = []
    for model, frames in predictions.items():
        guess, truth = _pooled(model, frames, task, labels)
        if task == "regression":
            values = dict(zip(("slope", "intercept"), _line(guess, truth), strict=True))
        else:
            chances = _chances(model, pd.concat(frames), labels)
            slope, intercept = _logistic(_logit(chances), truth)
            values = {
                "brier": _brier(chances, pd.concat(frames)["target"], labels),
                "expected_calibration_error": _calibration_error(guess, truth),
                "slope": slope,
                "intercept": intercept,
            }
        rows += [{"model": model, "metric": name, "value": value} for name, value in values.items()]
    return pd.DataFrame(rows, columns=["model", "metric", "value"])


def _pooled(
    model: str, frames: Sequence[pd.DataFrame], task: str, labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what was predicted and what was true: values, or the probability of an event and whether it happened."""
    everybody = pd.concat(frames, ignore_index=True)
    truth = Answers.encode(everybody["target"], task, labels).values
    if task == "regression":
        return everybody["score"].to_numpy(dtype=float), truth
    chances = _chances(model, everybody, labels)
    if len(labels) == 2:
        return chances[:, 1], truth.astype(float)
    return chances.max(axis=1), (chances.argmax(axis=1) == truth).astype(float)


def _chances(model: str, frame: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    columns = [f"p_{label}" for label in labels]
    missing = [column for column in columns if column not in frame]
    if missing:
        refuse(f"Calibration needs probabilities; the predictions of {model} lack the columns", missing)
    return frame[columns].to_numpy(dtype=float)


def _bins(guess: np.ndarray, task: str) -> np.ndarray:
    """Return the bin of each person; equal predictions fall into one bin."""
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    if task == "regression" and len(guess):
        edges = np.unique(np.quantile(guess, edges))
    return np.searchsorted(edges, guess)


def _merge(bins: np.ndarray, guess: np.ndarray) -> list[np.ndarray]:
    """Return the people of each bin, bins with too few merged, the smallest first."""
    groups = [np.flatnonzero(bins == number) for number in np.unique(bins)]
    while len(groups) > 1 and min(map(len, groups)) < FEWEST_PEOPLE:
        means = [guess[people].mean() for people in groups]
        small = min(range(len(groups)), key=lambda place: len(groups[place]))
        beside = [place for place in (small - 1, small + 1) if 0 <= place < len(groups)]
        first = min(small, min(beside, key=lambda place: abs(means[place] - means[small])))
        groups[first : first + 2] = [np.concatenate(groups[first : first + 2])]
    return groups


def _interval(truth: np.ndarray, task: str) -> tuple[float, float]:
    if task == "classification":
        return wilson(int(truth.sum()), len(truth))
    # With nothing to correct for, the test of a mean over folds is the ordinary one of a mean over people.
    interval = corrected_t(truth, 0.0)
    return interval.low, interval.high


def _brier(chances: np.ndarray, targets: Sequence[object], labels: Sequence[str]) -> float:
    if not len(chances):
        return math.nan
    squares = (chances - np.eye(len(labels))[Answers.encode(targets, "classification", labels).values]) ** 2
    return float(squares[:, 1].mean() if len(labels) == 2 else squares.sum(axis=1).mean())


def _calibration_error(guess: np.ndarray, truth: np.ndarray) -> float:
    bins = _bins(guess, "classification")
    gaps = [abs(truth[bins == number].sum() - guess[bins == number].sum()) for number in np.unique(bins)]
    return float(sum(gaps) / len(guess)) if len(guess) else math.nan


def _logit(chances: np.ndarray) -> np.ndarray:
    """Return the log odds of the second of two classes, or of the most likely of more; ±inf for exactly 0 or 1.

    From both sides' probabilities, because 1 − p is lost to rounding where p is nearly 1.
    """
    if chances.shape[1] == 2:
        for_it, against = chances[:, 1], chances[:, 0]
    else:
        ordered = np.sort(chances, axis=1)
        for_it, against = ordered[:, -1], ordered[:, :-1].sum(axis=1)
    with np.errstate(divide="ignore"):
        return np.log(for_it) - np.log(against)


def _logistic(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of a logistic regression without penalty; NaN where there is no finite answer."""
    yes, no = logits[truth == 1], logits[truth == 0]
    if not len(yes) or not len(no) or not np.all(np.isfinite(logits)):
        return math.nan, math.nan
    if yes.min() >= no.max() or no.min() >= yes.max():  # told apart, or constant
        return math.nan, math.nan
    centre, scale = logits.mean(), logits.std()
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(((logits - centre) / scale)[:, np.newaxis], truth)
    slope = float(model.coef_[0, 0] / scale)
    return slope, float(model.intercept_[0] - slope * centre)


def _line(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of least squares; NaN for predictions that are all the same."""
    if len(guess) < 2 or np.ptp(guess) == 0:
        return math.nan, math.nan
    slope = float(np.cov(guess, truth)[0, 1] / guess.var(ddof=1))
    return slope, float(truth.mean() - slope * guess.mean())
