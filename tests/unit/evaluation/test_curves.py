import math

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.curves import calibration_bins, calibration_summary, mean_roc

LABELS = ["F", "M"]


def table(targets, chances, fold=0):
    """Return predictions of two classes; `chances` are those of M."""
    chances = np.asarray(chances, dtype=float)
    frame = pd.DataFrame({"participant_id": [f"p{n}" for n in range(len(chances))], "fold": fold})
    with np.errstate(divide="ignore"):
        score = np.log(chances) - np.log(1 - chances)
    frame = frame.assign(target=list(targets), prediction=np.where(chances > 0.5, "M", "F"), score=score)
    return frame.assign(p_F=1 - chances, p_M=chances)


def summary_of(frames, task="classification", labels=LABELS):
    return calibration_summary({"cnn": frames}, task, labels).set_index("metric")["value"]


def test_roc_of_a_perfect_and_of_a_useless_model():
    perfect = mean_roc({"cnn": [table("FFMM", [0.1, 0.2, 0.8, 0.9])]}, LABELS)
    assert perfect["fpr"].tolist() == pytest.approx(np.linspace(0, 1, 101))
    assert perfect["tpr"].tolist() == [0] + [1] * 100
    assert perfect["label"].unique().tolist() == ["M"]
    assert perfect["sd"].isna().all()
    useless = mean_roc({"cnn": [table("FMFM", [0.5] * 4)]}, LABELS)
    assert useless["tpr"].to_numpy() == pytest.approx(useless["fpr"].to_numpy())


def test_mean_and_spread_of_two_folds():
    """One fold perfect, one the diagonal: their mean is (1 + fpr) / 2, their SD (1 - fpr) / sqrt(2)."""
    frames = [table("FFMM", [0.1, 0.2, 0.8, 0.9]), table("FMFM", [0.5] * 4, fold=1)]
    curve = mean_roc({"cnn": frames}, LABELS).iloc[1:]
    assert curve["tpr"].to_numpy() == pytest.approx((1 + curve["fpr"].to_numpy()) / 2)
    assert curve["sd"].to_numpy() == pytest.approx((1 - curve["fpr"].to_numpy()) / math.sqrt(2))


def test_a_scale_of_its_own_in_every_fold_does_not_matter():
    """Pooled, the scores of these folds would rank women of one above men of the other."""
    frames = [table("FFMM", [0.01, 0.02, 0.03, 0.04]), table("FFMM", [0.91, 0.92, 0.93, 0.94], fold=1)]
    assert mean_roc({"cnn": frames}, LABELS)["tpr"].iloc[1:].eq(1).all()


def test_folds_without_a_class_do_not_count():
    frames = [table("FFMM", [0.1, 0.2, 0.8, 0.9]), table("FFFF", [0.9] * 4, fold=1), table("", [], fold=2)]
    assert mean_roc({"cnn": frames}, LABELS)["tpr"].iloc[1:].eq(1).all()
    empty = mean_roc({"cnn": frames[1:]}, LABELS)
    assert list(empty) == ["model", "label", "fpr", "tpr", "sd"]
    assert empty.empty


def three_classes():
    chances = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]])
    frame = pd.DataFrame({"target": ["1", "2", "3", "1"], "score": 0.1})
    return frame.assign(**{f"p_{n + 1}": chances[:, n] for n in range(3)})


def test_three_classes_one_against_the_rest():
    curves = mean_roc({"cnn": [three_classes()]}, [1, 2, 3])
    assert curves["label"].unique().tolist() == ["1", "2", "3"]
    assert curves.groupby("label")["tpr"].nth(50).tolist() == [1, 1, 1]


def test_three_classes_by_their_most_likely_one():
    twice = pd.concat([three_classes(), three_classes()], ignore_index=True)
    bins = calibration_bins({"cnn": [twice]}, "classification", ["1", "2", "3"])
    assert bins["n"].tolist() == [8]
    assert bins["predicted"].tolist() == pytest.approx([(0.7 + 0.7 + 0.6 + 0.5) / 4])
    assert bins["observed"].tolist() == [0.75]
    values = summary_of([three_classes()], labels=["1", "2", "3"])
    # Squared errors of the persons: .09+.04+.01, .04+.09+.01, .01+.36+.49, .25+.09+.04.
    assert values["brier"] == pytest.approx((0.14 + 0.14 + 0.86 + 0.38) / 4)
    # Bins (0.6, 0.7] with two right, (0.5, 0.6] with one wrong and (0.4, 0.5] with one right.
    assert values["expected_calibration_error"] == pytest.approx((2 * 0.3 + 0.6 + 0.5) / 4)


def test_bins_with_few_people_join_the_nearer_neighbour():
    """Bins of 6 at 0.05, 2 at 0.35, 5 at 0.45 and 6 at 0.95: the two join those at 0.45."""
    chances = [0.05] * 6 + [0.35] * 2 + [0.45] * 5 + [0.95] * 6
    targets = "FFFFFM" + "FM" + "FFFMM" + "MMMMMM"
    bins = calibration_bins({"svm": [table(targets, chances)]}, "classification", LABELS)
    assert bins["bin"].tolist() == [1, 2, 3]
    assert bins["n"].tolist() == [6, 7, 6]
    assert bins["predicted"].tolist() == pytest.approx([0.05, (0.7 + 2.25) / 7, 0.95])
    assert bins["observed"].tolist() == pytest.approx([1 / 6, 3 / 7, 1])
    assert ((bins["ci_low"] <= bins["observed"]) & (bins["observed"] <= bins["ci_high"])).all()


def test_few_people_are_one_bin_and_fewer_none():
    """A mean over fewer than five people says too much about each of them."""
    five = table("FMFMF", [0.1, 0.9, 0.2, 0.8, 0.3])
    assert calibration_bins({"svm": [five]}, "classification", LABELS)["n"].tolist() == [5]
    assert calibration_bins({"svm": [five.head(4)]}, "classification", LABELS).empty


def test_people_of_all_folds_are_pooled_in_any_order():
    rng = np.random.default_rng(0)
    chances = rng.uniform(size=80)
    whole = table(np.where(rng.uniform(size=80) < chances, "M", "F"), chances)
    parts = whole.sample(frac=1, random_state=2)
    cut = {"cnn": [parts.head(30), parts.tail(50)]}
    pd.testing.assert_frame_equal(
        calibration_bins(cut, "classification", LABELS), calibration_bins({"cnn": [whole]}, "classification", LABELS)
    )
    pd.testing.assert_series_equal(summary_of(cut["cnn"]), summary_of([whole]))


def test_summary_in_closed_form():
    """People with p = 1/5 of whom 1/3 is M, and with p = 4/5 of whom 2/3 are: logit(2/3) = slope · logit(4/5)."""
    values = summary_of([table("FFM" + "FMM", [0.2] * 3 + [0.8] * 3)])
    assert values["brier"] == pytest.approx((4 * 0.04 + 2 * 0.64) / 6)
    assert values["expected_calibration_error"] == pytest.approx(2 / 3 - 0.8 + 2 * (0.8 - 2 / 3))
    assert values["slope"] == pytest.approx(math.log(2) / math.log(4))
    assert values["intercept"] == pytest.approx(0, abs=1e-8)


def test_a_bias_is_the_intercept():
    """Of those with p = 1/2 ... 1/3 is M, and of those with odds 4 higher the odds are 4 higher: slope 1, intercept."""
    low, high = 0.5, 0.8
    values = summary_of([table("FFM" + "F" + "MM", [low] * 3 + [high] * 3)])
    assert values["slope"] == pytest.approx((math.log(2) - math.log(0.5)) / math.log(4))
    assert values["intercept"] == pytest.approx(math.log(0.5))


@pytest.mark.parametrize(
    ("targets", "chances"),
    [
        ("FFMM", [0.1, 0.2, 0.8, 0.9]),  # told apart: infinite
        ("FFMM", [0.9, 0.8, 0.2, 0.1]),  # the wrong way round
        ("FFMM", [0.1, 0.5, 0.5, 0.9]),  # told apart but for a tie
        ("FMFM", [0.3] * 4),  # nothing to go by
        ("FMFM", [0.0, 0.2, 0.6, 0.5]),  # infinite logits
        ("FFFF", [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_slopes_that_do_not_exist(targets, chances):
    values = summary_of([table(targets, chances)])
    assert math.isnan(values["slope"])
    assert math.isnan(values["intercept"])
    assert math.isfinite(values["brier"])


def test_probabilities_that_round_to_one_keep_their_logit():
    frame = table("FMMF", [0.3, 0.4, 0.8, 0.9])
    sure = frame.assign(p_M=[0.3, 0.4, 1.0, 1.0], p_F=[0.7, 0.6, 1e-30, 1e-25])
    assert math.isfinite(summary_of([sure])["slope"])


def test_probabilities_are_asked_for():
    with pytest.raises(InputError, match=r"predictions of svm[^\n]*\n  - p_F"):
        calibration_bins({"svm": [table("FM", [0.1, 0.9]).drop(columns=["p_F", "p_M"])]}, "classification", LABELS)


def values(truth, guess):
    return pd.DataFrame({"target": np.asarray(truth).astype(str), "prediction": guess, "score": guess})


def test_regression_in_deciles():
    guess = np.arange(100.0)
    bins = calibration_bins({"cnn": [values(2 * guess + 1, guess)[::-1]]}, "regression")
    assert bins["n"].tolist() == [10] * 10
    assert bins["predicted"].tolist() == pytest.approx(4.5 + 10 * np.arange(10))
    assert bins["observed"].tolist() == pytest.approx(10 + 20 * np.arange(10))
    # SE of 1, 3, ..., 19 is sqrt(4 · 55 / 6 / 10); the 97.5 % quantile of t with nine degrees of freedom.
    reach = 2.262157 * math.sqrt(4 * 55 / 6 / 10)
    assert (bins["ci_high"] - bins["observed"]).tolist() == pytest.approx([reach] * 10, rel=1e-6)
    summary = summary_of([values(2 * guess + 1, guess)], "regression", ())
    assert summary.to_dict() == pytest.approx({"slope": 2, "intercept": 1})


def test_a_regression_that_always_says_the_same():
    frame = values([1.0, 2, 3, 4, 5, 6], np.full(6, 3.5))
    assert calibration_bins({"cnn": [frame]}, "regression")["n"].tolist() == [6]
    assert summary_of([frame], "regression", ()).isna().all()


def test_equal_predictions_fall_into_one_bin():
    frame = values(np.arange(60.0), np.repeat([1.0, 2.0, 3.0], 20))
    bins = calibration_bins({"cnn": [frame]}, "regression")
    assert bins["predicted"].tolist() == [1, 2, 3]
    assert bins["n"].tolist() == [20] * 3
