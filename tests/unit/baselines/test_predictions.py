import numpy as np
import pytest

from voxplain.baselines.predictions import class_predictions, no_predictions, value_predictions
from voxplain.models.metrics import fold_metrics


def test_two_classes_from_decision_values():
    chances = np.array([[0.4, 0.6], [0.9, 0.1], [0.5, 0.5]])
    frame = class_predictions(["F", "M"], np.array([-0.5, -2.0, 1.0]), chances)
    assert list(frame.columns) == ["prediction", "score", "p_F", "p_M"]
    assert frame["prediction"].tolist() == ["F", "F", "M"]  # the decision value's, not that of p
    assert frame["score"].tolist() == [-0.5, -2.0, 1.0]
    assert frame["p_M"].tolist() == [0.6, 0.1, 0.5]


def test_two_classes_from_probabilities():
    chances = np.array([[0.25, 0.75], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    frame = class_predictions(["F", "M"], probabilities=chances)
    assert frame["prediction"].tolist() == ["M", "F", "M", "F"]
    assert frame["score"].tolist() == pytest.approx([np.log(3), 0, 36, -36])


def test_three_classes():
    frame = class_predictions(["a", "b", "c"], np.array([[2.0, 5.0, 4.5], [-1.0, -3.0, -2.0]]))
    assert list(frame.columns) == ["prediction", "score"]
    assert frame["prediction"].tolist() == ["b", "a"]
    assert frame["score"].tolist() == [0.5, 1.0]


def test_three_classes_from_probabilities():
    frame = class_predictions(["a", "b", "c"], probabilities=np.array([[0.2, 0.2, 0.6], [1.0, 0.0, 0.0]]))
    assert frame["prediction"].tolist() == ["c", "a"]
    assert frame["score"].tolist() == pytest.approx([np.log(3), 36])


def test_values():
    frame = value_predictions(np.array([30, 41.5], dtype=np.float32))
    assert frame["prediction"].tolist() == frame["score"].tolist() == [30, 41.5]
    assert list(frame.columns) == ["prediction", "score"]


@pytest.mark.parametrize("labels", [["F", "M"], ["a", "b", "c"]])
def test_nobody(labels):
    frame = no_predictions("classification", labels)
    assert list(frame.columns) == ["prediction", "score", *(f"p_{label}" for label in labels)]
    assert frame.empty
    assert list(no_predictions("regression").columns) == ["prediction", "score"]


def test_the_metrics_read_them():
    frame = class_predictions(["0", "1"], probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    metrics = fold_metrics(frame.assign(target=["0", "1", "1"]), "classification", ["0", "1"])
    assert metrics == pytest.approx({"accuracy": 2 / 3, "balanced_accuracy": 0.75, "auc": 1.0})


@pytest.mark.parametrize(
    ("labels", "scores", "chances"),
    [
        (["F", "M"], np.zeros((3, 2)), None),
        (["a", "b", "c"], np.zeros(3), None),
        (["F", "M"], None, np.zeros((3, 3))),
    ],
)
def test_shapes_that_do_not_fit_the_labels(labels, scores, chances):
    with pytest.raises(ValueError, match="expected"):
        class_predictions(labels, scores, chances)


def test_nothing_to_go_by():
    with pytest.raises(ValueError, match="scores or probabilities"):
        class_predictions(["F", "M"])
