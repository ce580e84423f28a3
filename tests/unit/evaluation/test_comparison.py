import math

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.comparison import (
    by_model,
    chance_levels,
    interval_over_folds,
    model_metrics,
    paired_metrics,
    permuted_means,
    split_folds,
    summarise_models,
    training_sizes,
)

LABELS = ["F", "M"]


def fold(number, targets, guesses):
    """Return predictions as files hold them; a letter a person, the score as sure as the guess."""
    people = [f"p{number}{place:02d}" for place in range(len(targets))]
    frame = pd.DataFrame({"participant_id": people, "fold": number, "target": list(targets)})
    return frame.assign(prediction=list(guesses), score=[1.0 if guess == "M" else -1.0 for guess in guesses])


@pytest.fixture
def cnn():
    return [fold(0, "FFMM", "FFMM"), fold(1, "FFMM", "FFMF"), fold(2, "FFMM", "FMMF")]


@pytest.fixture
def svm():
    return [fold(0, "FFMM", "FFMF"), fold(1, "FFMM", "FFMF"), fold(2, "FFMM", "MMMF")]


def summary_of(predictions, task="classification", labels=LABELS, permuted=None):
    sizes = {model: training_sizes(frames) for model, frames in predictions.items()}
    accuracy = model_metrics(predictions, sizes, task, labels)
    return summarise_models(accuracy, predictions, task, labels, permuted).set_index(["model", "metric"])


def test_a_row_a_model_and_fold(cnn, svm):
    table = model_metrics(
        {"cnn": cnn, "svm": svm}, {"cnn": [8, 8, 8], "svm": [8, 8, math.nan]}, "classification", LABELS
    )
    assert list(table) == ["model", "fold", "n_train", "n_test", "accuracy", "balanced_accuracy", "auc"]
    assert table["model"].tolist() == ["cnn"] * 3 + ["svm"] * 3
    assert table["fold"].tolist() == [0, 1, 2] * 2
    assert table["accuracy"].tolist() == [1, 0.75, 0.5, 0.75, 0.75, 0.25]
    assert table["n_train"].dtype == "Int64"
    assert table["n_train"].isna().tolist() == [False] * 5 + [True]


def test_summary_in_closed_form(cnn, svm):
    summary = summary_of({"cnn": cnn, "svm": svm})
    row = summary.loc[("svm", "accuracy")]
    # Differences -1/4, 0, -1/4: mean -1/6, variance 1/48; n_test / n_train is 1/2 and 1/k + 1/2 = 5/6.
    error = math.sqrt(5 / 6 / 48)
    assert row["difference_to_cnn"] == pytest.approx(-1 / 6)
    # Two degrees of freedom: p = 1 - |t| / sqrt(2 + t²).
    t = 1 / 6 / error
    assert row["p_corrected_t"] == pytest.approx(1 - t / math.sqrt(2 + t**2))
    # Accuracies 3/4, 3/4, 1/4: variance 1/12; the 97.5 % quantile of t with two degrees of freedom is 4.302653.
    assert row["mean"] == pytest.approx(7 / 12)
    assert row["sd"] == pytest.approx(math.sqrt(1 / 12))
    # The interval 7/12 ± 4.302653 · √(5/72) reaches beyond both ends of an accuracy.
    assert (row["ci_low"], row["ci_high"]) == (0, 1)
    assert summary["chance"].tolist() == [0.5] * 6


def test_the_network_is_not_compared_with_itself(cnn, svm):
    own = summary_of({"cnn": cnn, "svm": svm}).loc["cnn"]
    assert own[["difference_to_cnn", "p_corrected_t", "p_permutation"]].isna().all(axis=None)
    assert own["mean"].notna().all()


def test_the_same_predictions_do_not_differ(cnn):
    row = summary_of({"cnn": cnn, "knn": cnn}).loc[("knn", "accuracy")]
    assert (row["difference_to_cnn"], row["p_corrected_t"]) == (0, 1)


def test_differences_are_on_the_people_whom_both_predicted(cnn):
    """Whoever drops the people that the network gets wrong is no better than the network."""
    picky = [frame[frame["target"] == frame["prediction"]] for frame in cnn]
    summary = summary_of({"cnn": cnn, "knn": picky}).loc[("knn", "accuracy")]
    assert summary["mean"] == 1
    assert (summary["difference_to_cnn"], summary["p_corrected_t"]) == (0, 1)


def test_paired_metrics_follow_ids_not_rows(cnn, svm):
    own, other, people = paired_metrics(
        [frame[::-1] for frame in svm], [cnn[0][1:], *cnn[1:]], "classification", LABELS
    )
    assert people.tolist() == [3, 4, 4]
    assert own["accuracy"].tolist() == pytest.approx([2 / 3, 0.75, 0.25])
    assert other["accuracy"].tolist() == [1, 0.75, 0.5]


def test_the_smaller_training_set_of_a_pair_counts(cnn, svm):
    def p_with(sizes):
        accuracy = model_metrics({"cnn": cnn, "svm": svm}, sizes, "classification", LABELS)
        return summarise_models(accuracy, {"cnn": cnn, "svm": svm}, "classification", LABELS)["p_corrected_t"].iloc[3]

    small, large = [4, 4, 4], [8, 8, 8]
    assert (
        p_with({"cnn": large, "svm": small})
        == p_with({"cnn": small, "svm": large})
        > p_with({"cnn": large, "svm": large})
    )


def test_a_fold_without_one_class_counts_for_the_accuracy_alone(cnn):
    frames = [*cnn[:2], fold(2, "MMMM", "MMMF")]
    summary = summary_of({"cnn": frames, "svm": [*cnn[:2], fold(2, "MMMM", "MMFF")]})
    assert summary.loc[("cnn", "accuracy"), "mean"] == pytest.approx(2.5 / 3)
    assert summary.loc[("cnn", "auc"), "mean"] == pytest.approx((1 + 0.75) / 2)
    assert summary.loc[("svm", "accuracy"), "difference_to_cnn"] == pytest.approx(-0.25 / 3)
    assert summary.loc[("svm", "auc"), ["difference_to_cnn", "p_corrected_t"]].tolist() == [0, 1]


def test_one_fold_has_a_mean_and_nothing_else():
    summary = summary_of({"cnn": [fold(0, "FFMM", "FFMF")], "svm": [fold(0, "FFMM", "FMMF")]})
    assert summary["mean"].notna().all()
    assert summary[["sd", "ci_low", "ci_high", "p_corrected_t"]].isna().all(axis=None)
    assert summary.loc[("svm", "accuracy"), "difference_to_cnn"] == pytest.approx(-0.25)


def test_a_model_without_people_in_a_fold(cnn):
    frames = [cnn[0], cnn[1].head(0), cnn[2]]
    predictions = {"cnn": cnn, "knn": frames}
    table = model_metrics(predictions, {"cnn": [8] * 3, "knn": training_sizes(frames)}, "classification", LABELS)
    row = table[table["model"] == "knn"].iloc[1]
    assert (row["fold"], row["n_test"], row["n_train"]) == (1, 0, 8)
    assert math.isnan(row["accuracy"])
    assert summary_of(predictions).loc[("knn", "accuracy"), "mean"] == 0.75


def test_a_network_from_outside_predicts_all_folds_at_once(cnn):
    frames = [pd.concat(cnn, ignore_index=True)]
    assert np.isnan(training_sizes(frames)).all()
    table = model_metrics({"cnn": frames}, {"cnn": training_sizes(frames)}, "classification", LABELS)
    assert table["fold"].tolist() == ["external"]
    assert table["n_train"].isna().all()
    assert summary_of({"cnn": frames}).loc[("cnn", "accuracy"), "mean"] == 0.75


def test_chance_is_that_of_the_people_predicted(cnn):
    women = [frame[(frame["target"] == "F") | (frame["participant_id"].str.endswith("2"))] for frame in cnn]
    summary = summary_of({"cnn": cnn, "knn": women})
    assert summary.loc[("cnn", "accuracy"), "chance"] == 0.5
    assert summary.loc[("knn", "accuracy"), "chance"] == pytest.approx(2 / 3)
    assert summary.loc[("knn", "balanced_accuracy"), "chance"] == 0.5
    assert chance_levels(pd.Series(["1", "2", "6"]), "regression", ()) == pytest.approx({"mae": 5 / 3, "r": 0})
    assert chance_levels(pd.Series(["a", "b", "c", "c"]), "classification", "abc")["balanced_accuracy"] == 1 / 3


def test_regression():
    rng = np.random.default_rng(0)
    truth = [rng.normal(50, 10, 8).round(3) for _ in range(3)]
    frames = {
        model: [
            fold(number, values.astype(str), "F" * 8).assign(prediction=values + shift, score=values + shift)
            for number, values in enumerate(truth)
        ]
        for model, shift in {"cnn": 1.0, "ridge": 3.0}.items()
    }
    summary = summary_of(frames, "regression", [])
    assert summary.loc[("cnn", "mae"), "mean"] == pytest.approx(1)
    assert summary.loc[("ridge", "mae"), "difference_to_cnn"] == pytest.approx(2)
    assert summary.loc[("ridge", "r"), "difference_to_cnn"] == pytest.approx(0, abs=1e-12)
    values = np.concatenate(truth)
    assert summary.loc[("cnn", "mae"), "chance"] == pytest.approx(np.abs(values - np.median(values)).mean())


def test_permutations(cnn):
    """Means over folds 0.75 (as observed), 0.5 and 0.25; the AUC of the last is defined in two folds."""
    tables = [
        pd.concat(cnn),
        pd.concat([fold(0, "FFMM", "FMFM"), fold(1, "FMFM", "FFMM"), fold(2, "FFMM", "FMMF")]),
        pd.concat([fold(0, "FFMM", "MMFM"), fold(1, "FFMM", "MMFM"), fold(2, "FFFF", "FMMM")]),
    ]
    draws = permuted_means([table.sample(frac=1, random_state=0) for table in tables], "classification", LABELS)
    assert draws["permutation"].tolist() == [1] * 3 + [2] * 3 + [3] * 3
    values = draws.pivot(index="permutation", columns="metric", values="value")
    assert values["accuracy"].tolist() == [0.75, 0.5, 0.25]
    assert values.loc[3, "auc"] == pytest.approx(0.25)
    summary = summary_of({"cnn": cnn, "svm": cnn}, permuted=draws)
    assert summary.loc[("cnn", "accuracy"), "p_permutation"] == pytest.approx(2 / 4)
    assert math.isnan(summary.loc[("svm", "accuracy"), "p_permutation"])


def test_a_small_permuted_error_speaks_against_a_regression():
    frames = [fold(n, ["1", "2", "4"], "FFF").assign(prediction=[1.5, 2.5, 4.5], score=[1.5, 2.5, 4.5]) for n in (0, 1)]
    draws = pd.DataFrame({"permutation": [1, 2, 3], "metric": "mae", "value": [0.4, 0.6, 0.7]})
    assert summary_of({"cnn": frames}, "regression", [], draws).loc[("cnn", "mae"), "p_permutation"] == 2 / 4


def test_order_of_rows_changes_nothing(cnn, svm):
    shuffled = {"cnn": [frame.sample(frac=1, random_state=1) for frame in cnn], "svm": [frame[::-1] for frame in svm]}
    pd.testing.assert_frame_equal(summary_of(shuffled), summary_of({"cnn": cnn, "svm": svm}))


def test_folds_can_be_cut_anyhow(cnn):
    whole = pd.concat(cnn).sample(frac=1, random_state=0)
    again = split_folds([whole.head(5), whole.tail(-5), cnn[0].head(0)])
    assert [frame["fold"].unique().tolist() for frame in again] == [[0], [1], [2]]
    assert [len(frame) for frame in again] == [4, 4, 4]


def test_training_sizes_are_the_people_of_the_other_folds(cnn):
    assert training_sizes([cnn[0].head(1), cnn[1], cnn[2]]) == [8, 5, 5]


def test_tables_of_different_runs_are_refused(cnn, svm):
    sizes = {"cnn": [8] * 3, "svm": [8] * 3}
    moved = [svm[1], svm[0], svm[2]]
    with pytest.raises(InputError, match="table 1 of svm: fold 1"):
        model_metrics({"cnn": cnn, "svm": moved}, sizes, "classification", LABELS)
    relabelled = [svm[0].assign(target=list("FFMF")), *svm[1:]]
    with pytest.raises(InputError, match="svm: p003 has another target than elsewhere"):
        model_metrics({"cnn": cnn, "svm": relabelled}, sizes, "classification", LABELS)
    doubled = [pd.concat([svm[0], svm[0].head(1)]), *svm[1:]]
    with pytest.raises(InputError, match="svm predicts p000 twice"):
        model_metrics({"cnn": cnn, "svm": doubled}, sizes, "classification", LABELS)
    with pytest.raises(InputError, match="svm: 2 folds"):
        model_metrics({"cnn": cnn, "svm": svm[:2]}, sizes, "classification", LABELS)


def test_paths_of_all_models_in_one_list():
    assert by_model(["a0", "a1", "b0", "b1"], ["a", "b"]) == {"a": ["a0", "a1"], "b": ["b0", "b1"]}
    assert by_model([], []) == {}
    with pytest.raises(InputError, match="3 files"):
        by_model(["a0", "a1", "b0"], ["a", "b"])


def test_interval_of_a_mean_over_folds_in_closed_form():
    # Variance 1/3, k = 3, n_test / n_train = 1/2; two degrees of freedom.
    reach = 4.302653 * math.sqrt((1 / 3 + 1 / 2) / 3)
    low, high = interval_over_folds("mae", [4, 5, 4], [0.5, 0.5, 0.5])
    assert (low, high) == pytest.approx((13 / 3 - reach, 13 / 3 + reach), rel=1e-6)
    assert interval_over_folds("mae", [0, 1, 0], [0.5, 0.5, 0.5])[0] == 0
    assert all(math.isnan(end) for end in interval_over_folds("auc", [0.5], [0.5]))
