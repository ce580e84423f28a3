"""The two scripts of the machine on voxels: dot products of everybody, then one fold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

import compute_voxel_kernel
import fit_voxel_svm as script
from few_voxels import LABELS, VOXELS, cohort, fitted
from voxplain.base.files import read_table, write_array, write_table


def write_inputs(folder, stack, targets, ids):
    """Four folds by id; p000 to p007 have no head size."""
    write_array(stack, folder / "stack.npy")
    write_table(pd.DataFrame({"participant_id": ids}), folder / "index.tsv")
    numbers = np.array([int(person[1:]) for person in ids])
    folds = pd.DataFrame({"participant_id": ids, "fold": numbers // 2 % 4, "target": targets})
    folds = folds.sort_values("participant_id")
    write_table(folds, folder / "folds.tsv")
    write_table(folds.assign(group=None)[::-1], folder / "participants.tsv")
    size = np.where(numbers < 8, np.nan, 1.5e6 + 1e4 * (numbers % 7))
    write_table(pd.DataFrame({"participant_id": ids, "tiv_mm3": size})[::-1], folder / "confounders.tsv")


def compute(folder, people=5000, task="classification", seed=7):
    names = ("stack.npy", "index.tsv", "participants.tsv", "products.npy", "sums.tsv")
    compute_voxel_kernel.run(*(folder / name for name in names), people=people, task=task, seed=seed, threads=1)
    return read_table(folder / "sums.tsv")


@pytest.fixture
def files(tmp_path):
    stack, targets = cohort(40)
    write_inputs(tmp_path, stack, targets, [f"p{number:03d}" for number in range(40)])
    compute(tmp_path)
    return tmp_path


def run_script(folder, residualised=True, **options):
    inputs = ("products.npy", "sums.tsv", "folds.tsv", "participants.tsv", "confounders.tsv")
    outputs = [folder / "predictions.tsv", folder / "residualised.tsv" if residualised else None, folder / "used.tsv"]
    settings = {"task": "classification", "labels": LABELS, "hyperparameters": {"C": [1, 10]}, "inner_folds": 3}
    options = {"fold": "2", "grouped": True, "predictions_only": False, "seed": 7, **settings, **options}
    script.run(*(folder / name for name in inputs), *outputs, **options)
    return [read_table(path) for path in outputs if path]


def test_scripts_write_the_predictions_of_one_fold(files):
    sums = read_table(files / "sums.tsv")
    assert list(sums.columns) == ["participant_id", "sum", "square", "voxels", "sampled"]
    assert sums["sampled"].all()
    assert sums["square"].to_numpy() == pytest.approx(np.diag(np.load(files / "products.npy")), rel=1e-13)
    assert set(sums["voxels"]) == {VOXELS}
    guesses, left, used = run_script(files)
    assert list(guesses.columns) == ["participant_id", "fold", "target", "prediction", "score", "p_F", "p_M"]
    everybody = read_table(files / "folds.tsv").query("fold == 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(guesses[["participant_id", "fold", "target"]], everybody)
    # p000 to p007 have no head size
    assert left["participant_id"].tolist() == [i for i in everybody["participant_id"] if i > "p007"]
    assert list(left.columns) == list(guesses.columns)
    assert used["value"].iloc[0] in (30, "30")
    assert len(run_script(files, residualised=False)) == 2


def test_nobody_s_head_size_is_known(files):
    confounders = read_table(files / "confounders.tsv")
    write_table(confounders.assign(tiv_mm3=np.nan), files / "confounders.tsv")
    guesses, left, _ = run_script(files)
    assert left.empty
    assert list(left.columns) == list(guesses.columns)


@pytest.mark.parametrize("known", [lambda fold, sex: (fold != 2) & (sex == "F"), lambda fold, sex: fold == 2])
def test_too_few_head_sizes_cost_the_residualised_model_only(files, known):
    """One class without head sizes, and head sizes of nobody to train on."""
    folds = read_table(files / "folds.tsv").set_index("participant_id")
    there = known(folds["fold"], folds["target"])
    confounders = read_table(files / "confounders.tsv")
    sizes = np.where(there[confounders["participant_id"]], 1.5e6 + 1e4 * np.arange(40), np.nan)
    write_table(confounders.assign(tiv_mm3=sizes), files / "confounders.tsv")
    guesses, left, _ = run_script(files)
    assert len(guesses) == (folds["fold"] == 2).sum()
    assert left.empty
    assert list(left.columns) == list(guesses.columns)


def test_predictions_alone(files):
    guesses, left, _ = run_script(files, predictions_only=True)
    assert len(guesses)
    assert left.empty


def test_folds_of_other_people_are_noticed(files):
    write_table(read_table(files / "folds.tsv").iloc[1:], files / "folds.tsv")
    with pytest.raises(ValueError, match="39 of the 40 people"):
        run_script(files)


def test_as_many_people_as_there_are_change_nothing(files):
    before, products = run_script(files), np.load(files / "products.npy")
    for people in (40, 41, None):
        assert compute(files, people)["sampled"].all()
        assert np.array_equal(np.load(files / "products.npy"), products)
        for frame, expected in zip(run_script(files), before, strict=True):
            pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_scripts_learn_from_a_sample(files, capsys):
    whole = read_table(files / "sums.tsv")
    sums = compute(files, people=24)
    assert "24 of 40 people are a sample" in capsys.readouterr().out
    folds = read_table(files / "folds.tsv")
    sampled = sums["sampled"].to_numpy(dtype=bool)
    assert folds["target"][sampled].value_counts().to_dict() == {"F": 12, "M": 12}
    assert np.load(files / "products.npy").shape == (40, 24)
    pd.testing.assert_frame_equal(sums[whole.columns[:-1]], whole[whole.columns[:-1]])
    guesses, left, used = run_script(files, hyperparameters={})
    train, test = np.flatnonzero(sampled & (folds["fold"] != 2)), np.flatnonzero(folds["fold"] == 2)
    assert f"{len(train)} people trained on, 10 tested" in (said := capsys.readouterr().out)
    assert "a sample of 30" in said
    assert used["value"].iloc[0] in (len(train), str(len(train)))
    assert guesses["participant_id"].tolist() == folds["participant_id"][test].tolist()
    images = np.load(files / "stack.npy").reshape(40, -1).astype(float)
    plain = SVC().fit(images[train], folds["target"][train])
    assert guesses["score"].to_numpy() == pytest.approx(plain.decision_function(images[test]), abs=1e-6)
    # Without head size: nobody of p000 to p007.
    size = read_table(files / "confounders.tsv").set_index("participant_id")["tiv_mm3"].loc[folds["participant_id"]]
    size = size.to_numpy(dtype=float)
    train, test = (rows[rows > 7] for rows in (train, test))
    slopes = LinearRegression().fit(size[train, None], images[train])
    images = images - slopes.predict(np.nan_to_num(size)[:, None]) + images[train].mean(axis=0)
    plain = SVC().fit(images[train], folds["target"][train])
    assert left["participant_id"].tolist() == folds["participant_id"][test].tolist()
    assert left["score"].to_numpy() == pytest.approx(plain.decision_function(images[test]), abs=1e-6)


def test_the_sample_does_not_depend_on_the_order_of_the_stack(tmp_path):
    stack, targets = cohort(40)
    ids, frames, samples = np.array([f"p{number:03d}" for number in range(40)]), [], []
    for order in (np.arange(40), np.random.default_rng(1).permutation(40)):
        write_inputs(tmp_path, stack[order], targets[order], ids[order])
        sums = compute(tmp_path, people=24)
        samples.append(set(sums["participant_id"][sums["sampled"]]))
        frames.append(run_script(tmp_path)[0].set_index("participant_id").sort_index())
    assert samples[0] == samples[1]
    assert samples[0] != set(compute(tmp_path, people=24, seed=8).query("sampled")["participant_id"])
    assert frames[1]["score"].to_numpy() == pytest.approx(frames[0]["score"].to_numpy(), abs=5e-3)


def test_regression_learns_from_a_sample(tmp_path):
    stack, _ = cohort(60)
    years = 30 + 5 * stack[:, 0].mean(axis=(1, 2)).astype(float)
    write_inputs(tmp_path, stack, years, [f"p{number:03d}" for number in range(60)])
    sampled = compute(tmp_path, people=40, task="regression")["sampled"].to_numpy(dtype=bool)
    fifths = np.argsort(np.argsort(years)) * 5 // 60
    assert np.bincount(fifths[sampled]).tolist() == [8] * 5
    guesses, _, used = run_script(tmp_path, task="regression", labels=[], hyperparameters={})
    folds = read_table(tmp_path / "folds.tsv")
    train, test = np.flatnonzero(sampled & (folds["fold"] != 2)), np.flatnonzero(folds["fold"] == 2)
    expected, _ = fitted(stack, years, train, test, {}, "regression", [])
    assert guesses["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-6)
    assert float(used["value"].iloc[0]) == len(train)
