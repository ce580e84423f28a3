"""The machine on voxels by itself."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

from few_voxels import LABELS, SHAPE, cohort, fitted
from voxplain.base.errors import InputError
from voxplain.baselines.kernel import dot_products_with
from voxplain.baselines.voxel_svm import fit_voxel_svm, platt


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
