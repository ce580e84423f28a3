"""What a baseline says about people, in the columns in which the network says it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

# Beyond this, exp no longer changes 1 in double precision: a probability of exactly 0 or 1 is given this logit.
LARGEST_LOGIT = 36.0


def class_predictions(
    labels: Sequence[str], scores: np.ndarray | None = None, probabilities: np.ndarray | None = None
) -> pd.DataFrame:
    """Return predicted classes with their scores, one row a person.

    Parameters
    ----------
    labels : sequence of str
        Classes in the order of the columns; with two, the second is the positive one.
    scores : array [n] or [n, labels], optional
        Decision values: with two classes one a person, above 0 for the second; with more one a class. They decide;
        where they are not given, the logarithms of the probabilities do.
    probabilities : array [n, labels], optional

    Returns
    -------
    DataFrame
        ``prediction`` (label), ``score`` and, with probabilities, ``p_{label}`` per class. The score is, with two
        classes, the decision value or the logit of the second class, and with more the margin of the largest decision
        value or log probability over the next. Logits and margins of log probabilities are clipped at ±36.
    """
    labels = [str(label) for label in labels]
    if scores is None and probabilities is None:
        raise ValueError("predictions of classes need scores or probabilities")
    if probabilities is not None:
        probabilities = np.asarray(probabilities, dtype=float)
        _check_shape("probabilities", probabilities, (len(probabilities), len(labels)))
    if scores is None:
        scores = _log_odds(probabilities)
    scores = np.asarray(scores, dtype=float)
    if len(labels) == 2:
        _check_shape("scores", scores, (len(scores),))
        winners, score = (scores > 0).astype(int), scores
    else:
        _check_shape("scores", scores, (len(scores), len(labels)))
        ordered = np.sort(scores, axis=1)
        winners, score = scores.argmax(axis=1), ordered[:, -1] - ordered[:, -2]
    frame = pd.DataFrame({"prediction": pd.Series([labels[i] for i in winners], dtype="str"), "score": score})
    if probabilities is None:
        return frame
    return frame.assign(**{f"p_{label}": probabilities[:, i] for i, label in enumerate(labels)})


def value_predictions(values: np.ndarray) -> pd.DataFrame:
    """Return the predicted values [n] of a regression, in the target's unit, as ``prediction`` and ``score``."""
    values = np.asarray(values, dtype=float)
    return pd.DataFrame({"prediction": values, "score": values})


def no_predictions(task: str, labels: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns of the other functions for nobody."""
    if task == "regression":
        return value_predictions(np.empty(0))
    return class_predictions(labels, probabilities=np.empty((0, len(labels))))


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the logit of the second of two classes [n], or log probabilities relative to the most likely [n, k]."""
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities)
    if probabilities.shape[1] == 2:
        return np.clip(logs[:, 1] - logs[:, 0], -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.maximum(logs - logs.max(axis=1, keepdims=True), -LARGEST_LOGIT)


def _check_shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} of shape {array.shape} were given, expected {expected}")
