import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

import compute_voxel_kernel
import fit_voxel_svm as script
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_table
from voxplain.baselines.kernel import dot_products, dot_products_with
from voxplain.baselines.voxel_svm import fit_voxel_svm, platt

LABELS = ["F", "M"]
SHAPE = (3, 4, 5)
VOXELS = 60


def cohort(people=48, effect=1.0, seed=0):
    generator = np.random.default_rng(seed)
    targets = np.array(LABELS * (people // 2))
    stack = generator.normal(size=(people, *SHAPE)).astype(np.float32)
    stack[targets == "M", :2] += effect
    return stack, targets


def fitted(stack, targets, train, test, settings=None, task="classification", labels=LABELS, **options):
    products, sums = dot_products(stack)
    rows = (products, sums, stack[0].size, train, test, targets, task, labels, settings or {})
    return fit_voxel_svm(*rows, 7, **options)


def in_four_folds(stack, targets, **options):
    people = np.arange(len(stack))
    fold = people // 2 % 4
    parts = [fitted(stack, targets, people[fold != f], people[fold == f], **options)[0] for f in range(4)]
    truth = np.concatenate([targets[fold == f] for f in range(4)])
    return np.mean(pd.concat(parts)["prediction"].to_numpy() == truth)


def test_two_points_in_closed_form():
    """Two people of each class with the same image each, k = exp(-1.5) between the classes.

    The decision value of x is (k(x, M) - k(x, F)) / (1 - k). In the inner folds one of each class is left, each with
    weight C = 1: the held-out decision values are ±(1 - k), and Platt's targets for two of two are 3/4 and 1/4.
    """
    stack = np.zeros((7, 1, 1, 3), dtype=np.float32)
    stack[[1, 3]] = [[[1, 1, 1]]]
    stack[4], stack[5] = stack[1], [[[0.5, 0.5, 0.5]]]
    settings = {"gamma": 0.5}
    frame, used = fitted(stack, [*"FMFM", None, None, None], [0, 1, 2, 3], [4, 5, 6], settings)
    k = np.exp(-1.5)
    assert frame["score"].to_numpy() == pytest.approx([1, 0, -1], abs=1e-3)  # libsvm stops at 1e-3
    assert frame["prediction"].tolist()[::2] == ["M", "F"]
    assert frame["p_M"].to_numpy() == pytest.approx(expit(np.log(3) * frame["score"] / (1 - k)), abs=1e-6)
    assert (frame["p_F"] + frame["p_M"]).to_numpy() == pytest.approx(1)
    assert used.set_index("setting")["value"].to_dict() == {
        "n_train": "4",
        "C": "1.0",
        "gamma": "0.5",
        "gamma_used": "0.5",
    }
    assert used["setting"].iloc[0] == "n_train"


def test_platt_is_between_the_smoothed_targets_when_classes_are_apart():
    held_out, truth = np.array([-3.0, -2.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    chances = platt(held_out, truth, np.array([-2.5, 0.0, 2.5]))
    assert chances[:, 1] == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    assert platt(1000 * held_out, truth, np.array([-2500.0]))[0, 1] == pytest.approx(chances[0, 1], rel=1e-6)


def test_platt_without_any_information_is_the_share_of_the_class():
    chances = platt(np.full(6, 0.3), np.array([0, 1, 1, 1, 1, 1]), np.array([0.3, 9.0]))
    assert chances[:, 1] == pytest.approx((1 / 3 + 5 * 6 / 7) / 6, rel=1e-4)


def test_nothing_is_learned_from_test_people():
    """Neither from their images, nor from their answers, nor from their head size."""
    stack, targets = cohort()
    size = np.random.default_rng(1).normal(1.5e6, 1.5e5, 48)
    train, test = np.arange(36), np.arange(36, 48)
    grid = {"C": [0.1, 1, 10], "gamma": ["scale", 0.001]}
    before, used = fitted(stack, targets, train, test, grid, confounder=size)
    stack[37:], size[37:] = stack[37:] * 50 - 20, 9e6
    targets = np.array([*targets[:36], *["?"] * 12])
    after, used_after = fitted(stack, targets, train, test, grid, confounder=size)
    assert after["score"][0] == pytest.approx(before["score"][0], rel=1e-6)
    assert after["p_M"][0] == pytest.approx(before["p_M"][0], rel=1e-6)
    pd.testing.assert_frame_equal(used.iloc[:-1], used_after.iloc[:-1])
    assert float(used["value"].iloc[-1]) == pytest.approx(float(used_after["value"].iloc[-1]), rel=1e-9)
    assert not np.allclose(after["score"][1:], before["score"][1:])


def test_order_of_training_people_does_not_matter():
    stack, targets = cohort()
    train, test = np.arange(36), np.arange(36, 48)
    shuffled = np.random.default_rng(0).permutation(train)
    a, _ = fitted(stack, targets, train, test)
    b, _ = fitted(stack, targets, shuffled, test[::-1])
    assert b["score"].to_numpy()[::-1] == pytest.approx(a["score"].to_numpy(), abs=5e-3)
    assert b["p_M"].to_numpy()[::-1] == pytest.approx(a["p_M"].to_numpy(), abs=5e-3)


def test_signal_is_found_and_shuffled_labels_are_not():
    stack, targets = cohort(people=120)
    assert in_four_folds(stack, targets) > 0.95
    shuffled = np.random.default_rng(5).permutation(targets)
    low, high = binom.interval(0.99, 120, 0.5)
    assert low / 120 <= in_four_folds(stack, shuffled) <= high / 120


def test_residualising_takes_what_follows_head_size():
    """Classes that differ in head size alone, and images that differ in nothing but what follows head size."""
    generator = np.random.default_rng(2)
    targets = np.array(LABELS * 60)
    size = 1.4e6 + 1e5 * generator.normal(size=120) + 2.5e5 * (targets == "M")
    stack = generator.normal(size=(120, *SHAPE)) + ((size - 1.5e6) / 1e5)[:, None, None, None]
    assert in_four_folds(stack, targets) > 0.8
    low, high = binom.interval(0.99, 120, 0.5)
    assert low / 120 <= in_four_folds(stack, targets, confounder=size) <= high / 120


def test_people_without_head_size_who_are_neither_trained_on_nor_tested():
    stack, targets = cohort()
    size = np.random.default_rng(1).normal(1.5e6, 1.5e5, 48)
    train, test = np.arange(30), np.arange(30, 40)
    before, _ = fitted(stack, targets, train, test, confounder=size)
    size[40:] = np.nan
    after, _ = fitted(stack, targets, train, test, confounder=size)
    pd.testing.assert_frame_equal(after, before)
    with pytest.raises(InputError, match="missing for 1 people"):
        fitted(stack, targets, train, [*test, 41], confounder=size)


def test_regression_does_not_depend_on_the_unit_of_the_target():
    stack, _ = cohort()
    years = 30 + 5 * stack[:, 0].mean(axis=(1, 2)).astype(float)
    train, test = np.arange(36), np.arange(36, 48)
    a, used = fitted(stack, years, train, test, {"C": [1, 10]}, "regression", [])
    b, _ = fitted(stack, years * 365.25 - 100, train, test, {"C": [1, 10]}, "regression", [])
    assert list(a.columns) == ["prediction", "score"]
    assert list(used["setting"]) == ["n_train", "C", "epsilon", "gamma", "gamma_used"]
    assert b["prediction"].to_numpy() == pytest.approx(a["prediction"] * 365.25 - 100, rel=1e-6)
    assert np.corrcoef(a["prediction"], years[test])[0, 1] > 0.5
    same, _ = fitted(stack, np.full(48, 30.0), train, test, {}, "regression", [])
    assert same["prediction"].to_numpy() == pytest.approx(30)


def test_families_stay_together_within_the_inner_cross_validation():
    stack, targets = cohort()
    family = np.where(targets == "M", "one", None)
    train, test = np.arange(36), np.arange(36, 48)
    assert len(fitted(stack, targets, train, test)[0]) == 12
    with pytest.raises(InputError, match="inner"):
        fitted(stack, targets, train, test, groups=family)


def test_errors():
    stack, targets = cohort()
    with pytest.raises(InputError, match=r"Nobody of these classes is among the 18 training people\n  - M\n"):
        fitted(stack, targets, np.arange(0, 36, 2), np.arange(36, 48))
    with pytest.raises(InputError, match=r"does not have these settings\n  - degree\nIt has: C, gamma, epsilon"):
        fitted(stack, targets, np.arange(36), np.arange(36, 48), {"degree": 2})
    with pytest.raises(ValueError, match=r"rows \[35\] would be both"):
        fitted(stack, targets, np.arange(36), np.arange(35, 48))


def with_sample(stack, targets, sample, train, test, settings=None, task="classification", labels=LABELS, **options):
    products, squares, sums = dot_products_with(stack, sample)
    rows = (products, sums, stack[0].size, train, test, targets, task, labels, settings or {})
    return fit_voxel_svm(*rows, 7, squares=squares, sample=sample, **options)


@pytest.mark.parametrize("residualised", [False, True])
def test_a_sample_is_learned_from_as_svc_learns_from_its_rows(residualised):
    """The sample lies scattered among the rows; some of it is tested, and of the others some are neither."""
    stack, targets = cohort(80, effect=0.3)
    stack, generator = stack + 3, np.random.default_rng(3)
    size = generator.normal(1.5e6, 1.5e5, 80)
    stack += 2e-6 * size[:, None, None, None].astype(np.float32)
    sample, test = np.sort(generator.choice(80, 50, replace=False)), np.arange(0, 80, 4)
    train = np.setdiff1d(sample, test)
    images = stack.reshape(80, -1).astype(float)
    if residualised:
        fit = LinearRegression().fit(size[train, None], images[train])
        images = images - fit.predict(size[:, None]) + images[train].mean(axis=0)
    plain = SVC().fit(images[train], targets[train])
    frame, used = with_sample(stack, targets, sample, train, test, confounder=size if residualised else None)
    assert frame["score"].to_numpy() == pytest.approx(plain.decision_function(images[test]), abs=1e-6)
    used = used.set_index("setting")["value"]
    assert used["n_train"] == str(len(train))
    assert float(used["gamma_used"]) == pytest.approx(plain._gamma, rel=1e-9)
    # Probabilities and the search among inner folds are those of the training people alone, too.
    alone, alone_used = fitted(
        stack, targets, train, test, {"C": [0.1, 1, 10]}, confounder=size if residualised else None
    )
    frame, used = with_sample(
        stack, targets, sample, train, test, {"C": [0.1, 1, 10]}, confounder=size if residualised else None
    )
    pd.testing.assert_frame_equal(frame, alone, rtol=1e-6)
    pd.testing.assert_frame_equal(used.iloc[:-1], alone_used.iloc[:-1])


def test_only_the_sample_can_be_learned_from():
    stack, targets = cohort(48)
    with pytest.raises(ValueError, match=r"rows \[31 33\] would be trained on, but are not in the sample"):
        with_sample(stack, targets, np.arange(30), [*range(20), 31, 33], np.arange(34, 48))


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
