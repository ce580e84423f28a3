import math

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.models.metrics import fold_metrics

LABELS = ["F", "M"]


def test_known_classification():
    frame = pd.DataFrame(
        {"target": ["F", "F", "F", "M"], "prediction": ["F", "F", "M", "M"], "score": [-2.0, -1.0, 3.0, 1.0]}
    )
    metrics = fold_metrics(frame, "classification", LABELS)
    assert metrics == pytest.approx({"accuracy": 3 / 4, "balanced_accuracy": (2 / 3 + 1) / 2, "auc": 2 / 3})


def test_direction_of_the_auc_follows_the_labels():
    frame = pd.DataFrame({"target": ["F", "M"], "prediction": ["F", "M"], "score": [-1.0, 1.0]})
    assert fold_metrics(frame, "classification", ["F", "M"])["auc"] == 1
    assert fold_metrics(frame, "classification", ["M", "F"])["auc"] == 0


def test_fold_without_one_of_the_classes():
    frame = pd.DataFrame({"target": ["F", "F"], "prediction": ["F", "M"], "score": [-1.0, 1.0]})
    metrics = fold_metrics(frame, "classification", LABELS)
    assert metrics["accuracy"] == 0.5
    assert math.isnan(metrics["balanced_accuracy"])
    assert math.isnan(metrics["auc"])


def test_three_classes_with_numeric_labels():
    frame = pd.DataFrame({"target": [1, 2, 3], "prediction": ["1", "2", "2"], "score": [1.0, 1.0, 1.0]})
    chances = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.5, 0.4]])
    frame[["p_1", "p_2", "p_3"]] = chances
    metrics = fold_metrics(frame, "classification", ["1", "2", "3"])
    assert metrics == pytest.approx({"accuracy": 2 / 3, "balanced_accuracy": 2 / 3, "auc": 1.0})


def test_regression():
    frame = pd.DataFrame({"target": [1.0, 2.0, 3.0], "prediction": [3.0, 5.0, 7.0]})
    assert fold_metrics(frame, "regression") == pytest.approx({"mae": 3.0, "r": 1.0})
    frame["prediction"] = 2.0
    assert fold_metrics(frame, "regression")["mae"] == pytest.approx(2 / 3)
    assert math.isnan(fold_metrics(frame, "regression")["r"])
    assert math.isnan(fold_metrics(frame.head(1), "regression")["r"])


def test_nobody_in_the_fold():
    empty = pd.DataFrame({"target": [], "prediction": [], "score": []})
    assert all(math.isnan(value) for value in fold_metrics(empty, "classification", LABELS).values())
    assert all(math.isnan(value) for value in fold_metrics(empty, "regression").values())


def test_targets_that_are_no_label():
    frame = pd.DataFrame({"target": ["F", "X"], "prediction": ["F", "M"], "score": [-1.0, 1.0]})
    with pytest.raises(InputError, match="'X'"):
        fold_metrics(frame, "classification", LABELS)
