"""The rules on morphometry, one after the other, on a small table."""

import numpy as np
import pandas as pd
import pytest

import fit_morphometry
import prepare_features
import tabulate_hyperparameters
import tabulate_importance
from voxplain.base.files import read_table, write_table

IDS = [f"{n:03d}" for n in range(40)]


@pytest.fixture
def run_dir(tmp_path):
    """40 people in two folds; 003 has no features, 004 and 005 no head size; ids look like numbers with zeros."""
    rng = np.random.default_rng(0)
    sex = np.array(["F", "M"])[np.arange(40) % 2]
    write_table(
        pd.DataFrame({"participant_id": IDS, "fold": np.arange(40) // 2 % 2, "target": sex}), tmp_path / "folds.tsv"
    )
    people = {"participant_id": IDS, "target": sex, "group": np.nan, "image": "x.nii"}
    write_table(pd.DataFrame(people | {"mask": np.nan}), tmp_path / "participants.tsv")
    tiv = pd.DataFrame({"participant_id": IDS, "tiv_mm3": rng.normal(1.5e6, 1e5, 40)})
    tiv.loc[4:5, "tiv_mm3"] = np.nan
    write_table(tiv, tmp_path / "confounders.tsv")
    write_table(tiv.assign(tiv_mm3=np.nan), tmp_path / "unknown.tsv")
    volumes = pd.DataFrame({"participant_id": IDS, "sex": sex, "target": (sex == "M") + rng.normal(0, 0.4, 40)})
    volumes["hippocampus"] = rng.normal(4000, 300, 40)
    write_table(volumes.drop(index=3), tmp_path / "volumes.tsv")
    cohort = {"source": "table", "target": "sex", "task": "classification", "table": {}}
    prepare_features.run(
        [tmp_path / "volumes.tsv"],
        tmp_path / "participants.tsv",
        tmp_path / "features.tsv",
        tmp_path / "dropped.tsv",
        cohort,
        {"tables": [], "id_column": "participant_id", "include": None, "exclude": None, "on_missing": "drop"},
    )
    return tmp_path


def fit(folder, model, fold, settings, residualised="residualised.tsv", confounders="confounders.tsv", **changes):
    name = f"{model}_fold-{fold}"
    fit_morphometry.run(
        *(folder / table for table in ("features.tsv", "folds.tsv", "participants.tsv", confounders)),
        folder / f"{name}.tsv",
        residualised and folder / residualised,
        folder / f"{name}_settings.tsv",
        folder / f"{name}_importance.tsv",
        fold=str(fold),
        model=model,
        task="classification",
        labels=["F", "M"],
        hyperparameters=settings,
        inner_folds=3,
        repeats=2,
        grouped=True,
        seed=42,
        **{"predictions_only": False} | changes,
    )
    return read_table(folder / f"{name}.tsv")


def test_features_and_what_was_left_out(run_dir):
    features = read_table(run_dir / "features.tsv", dtype={"participant_id": str})
    assert features["participant_id"].tolist() == [person for person in IDS if person != "003"]
    assert list(features.columns) == ["participant_id", "target", "hippocampus"]  # "target" is just a name here
    assert read_table(run_dir / "dropped.tsv")["feature"].tolist() == ["participant_id", "sex"]


def test_predictions_of_one_fold(run_dir):
    guesses = fit(run_dir, "logistic", 1, {"C": [0.1, 1]})
    assert list(guesses.columns) == ["participant_id", "fold", "target", "prediction", "score", "p_F", "p_M"]
    tested = [person for n, person in enumerate(IDS) if n // 2 % 2 == 1]
    assert guesses["participant_id"].tolist() == [person for person in tested if person != "003"]
    assert (guesses["fold"] == 1).all()
    assert guesses["target"].tolist() == [["F", "M"][int(person) % 2] for person in guesses["participant_id"]]
    assert np.mean(guesses["target"] == guesses["prediction"]) > 0.7
    assert read_table(run_dir / "logistic_fold-1_settings.tsv", dtype=str)["value"].iloc[0] == "20"
    residualised = read_table(run_dir / "residualised.tsv")
    assert residualised["participant_id"].tolist() == guesses["participant_id"].tolist()  # 004 and 005 are of fold 0
    assert not np.allclose(residualised["score"], guesses["score"])
    first = fit(run_dir, "logistic", 0, {"C": 1})
    known = read_table(run_dir / "residualised.tsv")["participant_id"]
    assert set(first["participant_id"]) - set(known) == {"004", "005"}


def test_without_head_sizes(run_dir):
    guesses = fit(run_dir, "knn", 0, {"n_neighbors": 3}, confounders="unknown.tsv")
    empty = read_table(run_dir / "residualised.tsv")
    assert empty.empty
    assert list(empty.columns) == list(guesses.columns)
    pd.testing.assert_frame_equal(fit(run_dir, "knn", 0, {"n_neighbors": 3}, residualised=None), guesses)


def test_predictions_alone(run_dir):
    guesses = fit(run_dir, "knn", 0, {"n_neighbors": 3})
    pd.testing.assert_frame_equal(fit(run_dir, "knn", 0, {"n_neighbors": 3}, predictions_only=True), guesses)
    assert read_table(run_dir / "residualised.tsv").empty
    assert read_table(run_dir / "knn_fold-0_importance.tsv").empty


def test_a_sample_is_learned_from(run_dir, capsys):
    """Every class keeps its share of the sample; everybody of the fold is predicted."""
    whole = fit(run_dir, "knn", 0, {"n_neighbors": 3})
    pd.testing.assert_frame_equal(fit(run_dir, "knn", 0, {"n_neighbors": 3}, most=19), whole)
    part = fit(run_dir, "knn", 0, {"n_neighbors": 3}, most=10)
    assert "sample of 10 of 19 people" in capsys.readouterr().out
    assert part["participant_id"].tolist() == whole["participant_id"].tolist()
    assert not np.allclose(part["score"], whole["score"])
    assert read_table(run_dir / "knn_fold-0_settings.tsv", dtype=str)["value"].iloc[0] == "10"


def test_tables_of_all_folds(run_dir):
    models = {"logistic": {"C": 1}, "knn": {"n_neighbors": [3, 5]}}
    for model, settings in models.items():
        for fold in range(2):
            fit(run_dir, model, fold, settings, residualised=None)
    for fold in range(2):
        svm = pd.DataFrame({"setting": ["n_train", "gamma"], "value": ["20", "scale"]})
        write_table(svm, run_dir / f"svm_fold-{fold}_settings.tsv")

    def of_folds(what, *names):
        return {name: [run_dir / f"{name}_fold-{fold}_{what}.tsv" for fold in range(2)] for name in names}

    tabulate_importance.run(of_folds("importance", *models), run_dir / "importance.tsv")
    tabulate_hyperparameters.run(of_folds("settings", "svm", *models), ["0", "1"], run_dir / "hyperparameters.tsv")
    importance = read_table(run_dir / "importance.tsv")
    assert set(zip(importance["model"], importance["kind"], strict=True)) == {
        ("logistic", "coefficient"),
        ("logistic", "permutation"),
        ("knn", "permutation"),
    }
    assert (importance.loc[importance["rank"] == 1, "feature"] == "target").all()
    assert (importance["folds"] == 2).all()
    settings = read_table(run_dir / "hyperparameters.tsv", dtype=str)
    assert settings.iloc[1].tolist() == ["svm", "0", "gamma", "scale"]
    assert settings.loc[settings["setting"] == "n_train", "value"].tolist() == ["20", "20", "19", "20", "19", "20"]
    assert set(zip(settings["model"], settings["setting"], strict=True)) >= {("logistic", "C"), ("knn", "n_neighbors")}
