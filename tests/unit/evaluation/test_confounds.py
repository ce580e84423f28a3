import math

import numpy as np
import pandas as pd
import pytest

from voxplain.evaluation.comparison import model_metrics, summarise_models, training_sizes
from voxplain.evaluation.confounds import COLUMNS, correlation_rows, tabulate_confounds
from voxplain.evaluation.single_number import predict_from

LABELS = ["F", "M"]
NUMBERS = ["mean", "sd", "ci_low", "ci_high", "reference", "p"]


def make_people(n=60, folds=3):
    ids = [f"p{number:03d}" for number in range(n)]
    targets = ["F", "M"] * (n // 2)
    return pd.DataFrame({"participant_id": ids, "fold": np.arange(n) // 2 % folds, "target": targets})


def classified(people, score):
    score = np.asarray(score, dtype=float)
    chances = 1 / (1 + np.exp(-score))
    frame = people.assign(prediction=np.where(score > 0, "M", "F"), score=score, p_F=1 - chances, p_M=chances)
    return [own.reset_index(drop=True) for _, own in frame.groupby("fold")]


def confounders_of(people, tiv, age=math.nan, source="FS_IntraCranial_Vol"):
    return pd.DataFrame(
        {"participant_id": people["participant_id"], "tiv_mm3": tiv, "age_years": age, "tiv_source": source}
    )


def make_tiv(people):
    rng = np.random.default_rng(0)
    return 1_400_000 + 150_000 * (people["target"] == "M").to_numpy() + rng.normal(0, 100_000, len(people))


def make_models(people, tiv):
    """Return a network that sees the class itself and head size, and an SVM that sees head size alone."""
    rng = np.random.default_rng(1)
    truth = np.where(people["target"] == "M", 1.0, -1.0)
    by_size = (tiv - tiv.mean()) / tiv.std()
    cnn = classified(people, truth + by_size + rng.normal(0, 0.5, len(people)))
    return {"cnn": cnn, "svm": classified(people, by_size)}


@pytest.fixture
def people():
    return make_people()


@pytest.fixture
def tiv(people):
    return make_tiv(people)


@pytest.fixture
def models(people, tiv):
    return make_models(people, tiv)


def test_all_analyses_for_two_classes(people, tiv, models):
    age = np.random.default_rng(2).uniform(20, 80, len(people))
    table = tabulate_confounds(
        models, {"svm": models["svm"]}, people, confounders_of(people, tiv, age), "classification", LABELS
    )
    assert list(table) == COLUMNS
    metrics = ["accuracy", "balanced_accuracy", "auc"]
    expected = [("tiv_only", "tiv", "everyone", metric) for metric in metrics]
    expected += [("age_only", "age", "everyone", metric) for metric in metrics]
    expected += [("raw", model, "everyone", metric) for model in ("cnn", "svm") for metric in metrics]
    expected += [("tiv_matched", model, "everyone", metric) for model in ("cnn", "svm", "tiv") for metric in metrics]
    expected += [("tiv_residualised", "svm", "everyone", metric) for metric in metrics]
    expected += [("score_tiv_correlation", "cnn", label, "r") for label in LABELS]
    assert table[["analysis", "model", "group", "metric"]].apply(tuple, axis=1).tolist() == expected
    assert (table.loc[table["analysis"] != "tiv_matched", "n"][:-2] == 60).all()
    assert table["pairs"].notna().tolist() == (table["analysis"] == "tiv_matched").tolist()


def test_raw_rows_are_those_of_the_summary(people, tiv, models):
    table = tabulate_confounds(models, {}, people, confounders_of(people, tiv), "classification", LABELS)
    sizes = {model: training_sizes(frames) for model, frames in models.items()}
    summary = summarise_models(model_metrics(models, sizes, "classification", LABELS), models, "classification", LABELS)
    raw = table[table["analysis"] == "raw"].reset_index(drop=True)
    columns = ["model", "metric", "mean", "sd", "ci_low", "ci_high"]
    pd.testing.assert_frame_equal(raw[columns], summary[columns])


def test_a_model_that_only_sees_head_size_falls_to_chance_on_pairs():
    """The network also sees the class itself and falls less."""
    people = make_people(300)
    tiv = make_tiv(people)
    table = tabulate_confounds(
        make_models(people, tiv), {}, people, confounders_of(people, tiv), "classification", LABELS
    )
    rows = table[(table["analysis"] == "tiv_matched") & (table["metric"] == "auc")].set_index("model")
    assert rows["pairs"].iloc[0] >= 50
    assert (rows["n"] == 2 * rows["pairs"]).all()
    assert rows.loc[["svm", "tiv"], "reference"].min() > 0.75
    assert rows.loc["svm", "mean"] == pytest.approx(0.5, abs=0.05)
    assert rows.loc["tiv", "mean"] == pytest.approx(0.5, abs=0.05)
    assert rows.loc["cnn", "mean"] > 0.8
    assert "pairs within" in rows.loc["cnn", "note"]


def test_people_without_head_size_are_in_no_row_about_it(people, tiv, models):
    unknown = people["participant_id"].isin(["p001", "p010", "p020"])
    tiv = np.where(unknown, math.nan, tiv)
    without = {
        "svm": [frame[~frame["participant_id"].isin(people[unknown]["participant_id"])] for frame in models["svm"]]
    }
    table = tabulate_confounds(models, without, people, confounders_of(people, tiv), "classification", LABELS)
    counts = table.groupby("analysis")["n"].max()
    assert counts[["tiv_only", "tiv_residualised", "raw"]].tolist() == [57, 57, 60]
    assert table.loc[table["analysis"] == "score_tiv_correlation", "n"].tolist() == [28, 29]
    assert table.loc[table["analysis"] == "tiv_matched", "note"].str.contains("among 57 people").all()
    # The reference of the residualised model is the raw one on the same people, which it equals here.
    rows = table[table["analysis"] == "tiv_residualised"]
    assert rows["reference"].tolist() == pytest.approx(rows["mean"].tolist())
    assert rows["p"].tolist() == [1, 1, 1]


def test_a_residualised_model_beside_its_raw_self(people, tiv, models):
    blind = {"svm": [frame.assign(prediction="F", score=0.0) for frame in models["svm"]]}
    table = tabulate_confounds(models, blind, people, confounders_of(people, tiv), "classification", LABELS)
    row = table[(table["analysis"] == "tiv_residualised") & (table["metric"] == "accuracy")].iloc[0]
    raw = table[(table["analysis"] == "raw") & (table["model"] == "svm") & (table["metric"] == "accuracy")].iloc[0]
    assert row["mean"] == 0.5
    assert row["reference"] == raw["mean"]
    assert row["p"] < 0.05


def test_nothing_is_known_of_head_size(people, models):
    table = tabulate_confounds(
        models, {}, people, confounders_of(people, math.nan, 30.0, math.nan), "classification", LABELS
    )
    assert table["analysis"].unique().tolist() == ["tiv_only", "age_only", "raw"]
    row = table.iloc[0]
    assert (row["model"], row["note"]) == ("tiv", "head size is not known")
    assert row[NUMBERS].isna().all()
    # An age that everybody shares says nothing.
    assert table.loc[(table["analysis"] == "age_only") & (table["metric"] == "auc"), "mean"].item() == 0.5


def test_age_is_not_held_against_itself(people, tiv):
    target = np.linspace(20, 80, len(people)).round(2)
    people = people.assign(target=target.astype(str))
    frames = [frame.assign(score=frame["target"].astype(float)) for frame in classified(people, target)]
    frames = [frame.assign(prediction=frame["score"]) for frame in frames]
    facts = confounders_of(people, tiv, target)
    itself = tabulate_confounds({"cnn": frames}, {}, people, facts, "regression", [], target_is_age=True)
    assert "age_only" not in set(itself["analysis"])
    other = tabulate_confounds({"cnn": frames}, {}, people, facts, "regression", [])
    row = other[(other["analysis"] == "age_only") & (other["metric"] == "mae")].iloc[0]
    assert row["mean"] == pytest.approx(0, abs=1e-9)
    assert "tiv_matched" not in set(other["analysis"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("FS_IntraCranial_Vol", "head size: FS_IntraCranial_Vol"),
        ("brain mask", "head size: brain mask (brain volume, not intracranial volume)"),
        ("affine determinant", "head size: affine determinant (estimated by the registration, not measured)"),
        (math.nan, "head size: source unknown"),
    ],
)
def test_the_note_says_where_head_size_comes_from(people, tiv, models, source, said):
    table = tabulate_confounds(models, {}, people, confounders_of(people, tiv, source=source), "classification", LABELS)
    about = table[table["analysis"].str.contains("tiv")]
    assert about["note"].str.startswith(said).all()
    assert about["note"].iloc[0] == said


def test_order_of_people_changes_nothing(people, tiv, models):
    facts = confounders_of(people, tiv)
    table = tabulate_confounds(models, {}, people, facts, "classification", LABELS)
    again = tabulate_confounds(
        {model: [frame[::-1] for frame in frames] for model, frames in models.items()},
        {},
        people.sample(frac=1, random_state=0),
        facts[::-1],
        "classification",
        LABELS,
    )
    pd.testing.assert_frame_equal(table, again)


def test_three_classes():
    rng = np.random.default_rng(0)
    people = make_people(90).assign(target=["1", "2", "3"] * 30)
    tiv = rng.normal(size=90) + people["target"].astype(int)
    chances = rng.dirichlet(np.ones(3), 90)
    frame = people.assign(prediction=[str(n + 1) for n in chances.argmax(axis=1)], score=0.0)
    frame = frame.assign(**{f"p_{n + 1}": chances[:, n] for n in range(3)})
    frames = [own for _, own in frame.groupby("fold")]
    table = tabulate_confounds({"cnn": frames}, {}, people, confounders_of(people, tiv), "classification", [1, 2, 3])
    assert table["analysis"].unique().tolist() == ["tiv_only", "raw", "score_tiv_correlation"]
    assert table.loc[table["analysis"] == "score_tiv_correlation", "group"].tolist() == ["1", "2", "3"]
    assert table.loc[0, "mean"] > 1 / 3


def test_one_number_is_learned_from_the_other_folds(people):
    """What tells the classes apart in training is turned round in the fold that is tested."""
    sign = np.where(people["fold"] == 0, -1.0, 1.0)
    value = np.where(people["target"] == "M", 1.0, -1.0) * sign + np.random.default_rng(0).normal(0, 0.5, len(people))
    tables = predict_from(value, people, "classification", LABELS)
    assert [table["fold"].unique().tolist() for table in tables] == [[0], [1], [2]]
    right = [(table["prediction"] == table["target"]).mean() for table in tables]
    assert right[0] < 0.3
    assert list(tables[0]) == ["participant_id", "fold", "target", "prediction", "score", "p_F", "p_M"]


def test_one_number_does_not_see_whom_it_is_tested_on(people, tiv):
    before = predict_from(tiv, people, "classification", LABELS)[0]
    moved = np.where(people["participant_id"] == before["participant_id"].iloc[-1], 10 * tiv, tiv)
    after = predict_from(moved, people, "classification", LABELS)[0]
    pd.testing.assert_frame_equal(before.iloc[:-1], after.iloc[:-1])
    assert after["score"].iloc[-1] > before["score"].iloc[-1]


def test_folds_for_which_a_class_is_missing_are_not_predicted():
    """Only one man is known outside fold 0, and nobody in fold 2."""
    people = make_people(12)
    value = np.where(people["target"] == "F", 1.0, 2.0)
    value[(people["target"] == "M") & (people["fold"] != 0)] = math.nan
    value[people["fold"] == 2] = math.nan
    counts = [len(table) for table in predict_from(value, people, "classification", LABELS)]
    assert counts == [0, 2, 0]
    assert [len(table) for table in predict_from([math.nan] * 12, people, "classification", LABELS)] == [0, 0, 0]


def correlation(scores, sizes, **options):
    """Correlate within folds; each argument is a list with the values of one class, a list a fold."""
    frames = [
        pd.DataFrame({"participant_id": [f"{fold}-{n}" for n in range(len(own))], "target": "F", "score": own})
        for fold, own in enumerate(scores)
    ]
    ids = [person for frame in frames for person in frame["participant_id"]]
    size = pd.Series(np.concatenate(sizes).astype(float), index=ids)
    return correlation_rows("cnn", frames, size, "classification", LABELS, "")[0]


def test_scores_of_each_fold_have_a_scale_of_their_own():
    row = correlation([[1, 2, 3, 5], [1001, 1002, 1003, 1005]], [[10, 20, 30, 50], [-1, -2, -3, -5]])
    assert row["mean"] == pytest.approx(0, abs=1e-12)
    assert (row["n"], row["p"]) == (8, pytest.approx(1))
    assert correlation([[1, 2, 3, 5], [100, 200, 300, 500]], [[10, 20, 30, 50], [1, 2, 3, 5]])["mean"] == pytest.approx(
        1
    )


def test_pooled_correlation_is_the_mean_of_the_folds_weighted_by_people():
    rng = np.random.default_rng(0)
    scores, sizes = [rng.normal(size=n) for n in (5, 9, 12)], [rng.normal(size=n) for n in (5, 9, 12)]
    row = correlation(scores, sizes)
    each = [np.corrcoef(one, other)[0, 1] for one, other in zip(scores, sizes, strict=True)]
    assert row["mean"] == pytest.approx(np.average(each, weights=[5, 9, 12]))
    # 26 people in 3 folds: Fisher's z with 24 - 3.
    assert math.atanh(row["ci_high"]) - math.atanh(row["mean"]) == pytest.approx(1.959964 / math.sqrt(21), rel=1e-6)


def test_folds_that_say_nothing_about_a_correlation():
    """Two people always correlate by ±1; people of one score not at all."""
    row = correlation([[1, 2, 4], [1, 2], [7, 7, 7], []], [[1, 3, 3], [1, 2], [1, 2, 3], []])
    assert row["n"] == 3
    assert row["mean"] == pytest.approx(np.corrcoef([1, 2, 4], [1, 3, 3])[0, 1])
    nothing = correlation([[1, 2]], [[1, 2]])
    assert nothing["n"] == 0
    assert math.isnan(nothing["mean"])
    assert math.isnan(nothing["p"])


def test_the_class_itself_explains_nothing(people):
    """Score and head size follow the class, and nothing else."""
    rng = np.random.default_rng(3)
    male = (people["target"] == "M").to_numpy()
    score, size = 10 * male + rng.normal(size=60), 10 * male + rng.normal(size=60)
    rows = correlation_rows(
        "cnn", classified(people, score), pd.Series(size, people["participant_id"]), "classification", LABELS, ""
    )
    assert np.corrcoef(score, size)[0, 1] > 0.9
    assert all(abs(row["mean"]) < 0.4 for row in rows)


def test_errors_of_a_regression():
    """The value follows head size because the truth does; the error does not."""
    people = make_people()
    rng = np.random.default_rng(0)
    size = rng.normal(size=60)
    truth, error = 50 + 10 * size, rng.normal(size=60)
    frame = people.assign(target=truth.astype(str), score=truth + error)
    frames = [own for _, own in frame.groupby("fold")]
    rows = correlation_rows("cnn", frames, pd.Series(size, people["participant_id"]), "regression", [], "")
    assert [(row["group"], row["metric"]) for row in rows] == [("everyone", "r"), ("everyone", "r_error")]
    assert rows[0]["mean"] > 0.95
    assert abs(rows[1]["mean"]) < 0.3


@pytest.mark.parametrize(
    "known",
    [
        lambda people: people["target"] == "F",
        lambda people: people["fold"] == 0,
        lambda people: people["participant_id"] == "p007",
    ],
)
def test_too_few_head_sizes_leave_their_rows_empty(people, tiv, models, known):
    """Of one class only, in one fold only, of one person."""
    sizes = np.where(known(people), tiv, np.nan)
    empty = [frame.head(0) for frame in models["svm"]]
    table = tabulate_confounds(models, {"svm": empty}, people, confounders_of(people, sizes), "classification", LABELS)
    about_size = table[table["analysis"].isin(["tiv_only", "tiv_matched", "tiv_residualised"])]
    assert len(about_size)
    assert about_size["mean"].isna().all()
    assert table.loc[table["analysis"] == "raw", "mean"].notna().all()
