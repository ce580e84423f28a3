"""The scripts of the statistics on tables as the workflow writes them."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
LABELS = ["0", "1"]


def script(name):
    """Import a script of the workflow, which lies outside the package."""
    spec = importlib.util.spec_from_file_location(f"workflow_script_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["classification", "regression"])
def task(request):
    return request.param


@pytest.fixture
def run_folder(tmp_path, task):
    """Return a folder with folds, predictions of two models, confounders and reruns; ids have leading zeros."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"participant_id": [f"{n:04d}" for n in range(48)], "fold": np.arange(48) // 2 % 3})
    people["target"] = LABELS * 24 if task == "classification" else rng.normal(40, 10, 48)
    write_table(people, tmp_path / "folds.tsv")
    tiv = 1.4e6 + rng.normal(0, 1e5, 48)
    facts = people[["participant_id"]].assign(tiv_mm3=tiv, age_years=np.nan, tiv_source="brain mask")
    write_table(facts, tmp_path / "confounders.tsv")
    truth = people["target"].astype(float).to_numpy()
    for number, model in enumerate(["cnn", "svm", "ungrouped", "permutation-1", "permutation-2"]):
        guess = truth + rng.normal(0, truth.std() * (1 + number), 48)
        table = people.assign(prediction=guess, score=guess)
        if task == "classification":
            chances = 1 / (1 + np.exp(1 - 2 * guess))
            table = people.assign(prediction=np.where(guess > 0.5, *LABELS[::-1]), score=2 * guess - 1)
            table = table.assign(p_0=1 - chances, p_1=chances)
        write_table(table, tmp_path / f"{model}.tsv")
        for fold in range(3):
            own = table[table["fold"] == fold]  # the SVM does not know one person a fold
            write_table(own[1:] if model == "svm" else own, tmp_path / f"{model}_{fold}.tsv")
    settings = pd.DataFrame({"setting": ["n_train", "C", "gamma"], "value": ["30", "1", "scale"]})
    write_table(settings, tmp_path / "settings.tsv")
    return tmp_path


def paths(folder, *models):
    return {model: [folder / f"{model}_{fold}.tsv" for fold in range(3)] for model in models}


def test_accuracy(run_folder, task):
    script("tabulate_accuracy").run(
        predictions=paths(run_folder, "cnn", "svm"),
        settings={"svm": [run_folder / "settings.tsv"] * 3},
        folds=run_folder / "folds.tsv",
        permutations=[run_folder / "permutation-1.tsv", run_folder / "permutation-2.tsv"],
        table=run_folder / "accuracy.tsv",
        summary=run_folder / "summary.tsv",
        permuted=run_folder / "permutations.tsv",
        task=task,
        labels=LABELS if task == "classification" else [],
    )
    accuracy, summary = read_table(run_folder / "accuracy.tsv"), read_table(run_folder / "summary.tsv")
    assert accuracy["model"].tolist() == ["cnn"] * 3 + ["svm"] * 3
    assert accuracy["n_train"].tolist() == [32] * 3 + [30] * 3
    assert accuracy["n_test"].tolist() == [16] * 3 + [15] * 3
    assert summary["p_corrected_t"].notna().tolist() == (summary["model"] == "svm").tolist()
    assert summary["p_permutation"].notna().tolist() == (summary["model"] == "cnn").tolist()
    assert summary["p_permutation"].min() == pytest.approx(1 / 3)
    assert read_table(run_folder / "permutations.tsv")["permutation"].max() == 2


def test_accuracy_of_a_network_from_outside(run_folder, task):
    script("tabulate_accuracy").run(
        predictions={"cnn": [run_folder / "cnn.tsv"]},
        settings={},
        folds=run_folder / "folds.tsv",
        permutations=[],
        table=run_folder / "accuracy.tsv",
        summary=run_folder / "summary.tsv",
        permuted=None,
        task=task,
        labels=LABELS if task == "classification" else [],
    )
    row = read_table(run_folder / "accuracy.tsv").iloc[0]
    assert (row["fold"], row["n_test"]) == ("external", 48)
    assert np.isnan(row["n_train"])
    summary = read_table(run_folder / "summary.tsv")
    assert summary["mean"].notna().all()
    assert summary[["sd", "ci_low", "p_permutation"]].isna().all(axis=None)


def test_curves(run_folder, task):
    classes = task == "classification"
    script("tabulate_curves").run(
        predictions=paths(run_folder, "cnn", "svm"),
        roc=run_folder / "roc.tsv" if classes else None,
        calibration=run_folder / "calibration.tsv",
        summary=run_folder / "calibration_summary.tsv",
        task=task,
        labels=LABELS if classes else [],
    )
    assert (run_folder / "roc.tsv").exists() == classes
    bins = read_table(run_folder / "calibration.tsv")
    assert bins.groupby("model")["n"].sum().to_dict() == {"cnn": 48, "svm": 45}
    names = ["brier", "expected_calibration_error"] if classes else []
    summary = read_table(run_folder / "calibration_summary.tsv")
    assert summary["metric"].tolist() == [*names, "slope", "intercept"] * 2


@pytest.mark.parametrize("hide_target", [False, True])
def test_confounds(run_folder, task, hide_target):
    script("tabulate_confounds").run(
        predictions=paths(run_folder, "cnn", "svm"),
        residualised=paths(run_folder, "svm"),
        folds=run_folder / "folds.tsv",
        confounders=run_folder / "confounders.tsv",
        output=run_folder / "confounds.tsv",
        task=task,
        labels=LABELS if task == "classification" else [],
        caliper_sd=0.2,
        target_is_age=False,
        hide_target=hide_target,
    )
    table = read_table(run_folder / "confounds.tsv")
    matched = ["tiv_matched"] if task == "classification" else []
    expected = ["tiv_only", "raw", *matched, "tiv_residualised", "score_tiv_correlation"]
    assert table["analysis"].unique().tolist() == expected
    assert table["mean"].notna().all()
    groups = table.loc[table["analysis"] == "score_tiv_correlation", "group"].tolist()
    assert groups == (LABELS if task == "classification" else ["everyone", "everyone"])
    of_classes = table["group"].isin(LABELS)
    assert table.loc[of_classes, "n"].isna().all() if hide_target else table["n"].notna().all()
    assert "participant_id" not in table


def test_grouping(run_folder, task):
    script("compare_grouping").run(
        grouped=paths(run_folder, "cnn", "svm"),
        ungrouped={"cnn": [run_folder / "ungrouped.tsv"], **paths(run_folder, "svm")},
        output=run_folder / "grouping.tsv",
        task=task,
        labels=LABELS if task == "classification" else [],
    )
    table = read_table(run_folder / "grouping.tsv").set_index("model")
    assert (table.loc["svm", "difference"] == 0).all()
    assert (table.loc["cnn", "difference"] != 0).all()
