import math

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.grouping import COLUMNS, compare_grouping

LABELS = ["F", "M"]


def table(folds, targets, guesses):
    frame = pd.DataFrame({"participant_id": [f"p{n}" for n in range(len(targets))], "fold": folds})
    score = [1.0 if guess == "M" else -1.0 for guess in guesses]
    return frame.assign(target=list(targets), prediction=list(guesses), score=score)


def test_difference_in_closed_form():
    grouped = table([0, 0, 0, 0, 1, 1, 1, 1], "FFMMFFMM", "FMMFFFMF")
    ungrouped = table([0, 1, 0, 1, 0, 1, 0, 1], "FFMMFFMM", "FFMMFFMF")
    result = compare_grouping({"cnn": [grouped]}, {"cnn": [ungrouped]}, "classification", LABELS)
    assert list(result) == COLUMNS
    row = result.set_index("metric").loc["accuracy"]
    assert (row["grouped"], row["ungrouped"], row["difference"]) == pytest.approx((5 / 8, 7 / 8, 2 / 8))
    assert row["grouped_sd"] == pytest.approx(np.std([1 / 2, 3 / 4], ddof=1))
    assert row["ungrouped_sd"] == pytest.approx(np.std([1, 3 / 4], ddof=1))


def test_tables_may_be_cut_in_any_way():
    whole = table([0, 0, 0, 1, 1, 1], "FMMFFM", "FMFFMM")
    cut = [whole[whole["fold"] == fold][::-1] for fold in (1, 0)]
    one = compare_grouping({"cnn": cut, "svm": [whole]}, {"cnn": [whole], "svm": cut}, "classification", LABELS)
    assert one["difference"].tolist() == [0] * 6
    assert one["model"].tolist() == ["cnn"] * 3 + ["svm"] * 3


def test_undefined_folds_and_single_folds():
    grouped = table([0, 0, 1, 1], "FMFF", "FMFF")
    result = compare_grouping({"cnn": [grouped]}, {"cnn": [grouped.assign(fold=0)]}, "classification", LABELS)
    row = result.set_index("metric").loc["auc"]
    assert (row["grouped"], row["ungrouped"]) == (1, 1)
    assert math.isnan(row["grouped_sd"])
    assert math.isnan(row["ungrouped_sd"])


def test_regression():
    frame = table([0, 0, 0, 1, 1, 1], "123456", "FFFFFF").assign(prediction=[2.0, 3, 4, 5, 6, 7])
    better = frame.assign(prediction=[1.5, 2.5, 3.5, 4.5, 5.5, 6.5])
    result = compare_grouping({"cnn": [frame]}, {"cnn": [better]}, "regression").set_index("metric")
    assert result["difference"].to_dict() == pytest.approx({"mae": -0.5, "r": 0})


def test_only_like_is_compared_with_like():
    frame = table([0, 0, 1, 1], "FMFM", "FMFM")
    with pytest.raises(InputError, match="svm"):
        compare_grouping({"cnn": [frame], "svm": [frame]}, {"cnn": [frame]}, "classification", LABELS)
    with pytest.raises(InputError, match="cnn: p3"):
        compare_grouping({"cnn": [frame]}, {"cnn": [frame.head(3)]}, "classification", LABELS)
