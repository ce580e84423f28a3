"""The SVM on dot products is scikit-learn's own on the flattened images, called directly."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, xlog1py, xlogy
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from voxplain.base.seeds import seed_for
from voxplain.baselines.kernel import dot_products
from voxplain.baselines.voxel_svm import fit_voxel_svm

PEOPLE, SEED = 90, 11
TRAIN, TEST = np.arange(60), np.arange(60, 90)
INNER = StratifiedKFold(5, shuffle=True, random_state=seed_for(SEED, "inner folds") % 2**32)
GRID = {"C": [0.03, 1, 30], "gamma": [1e-5, "scale", 3e-3]}


@pytest.fixture(scope="module")
def cohort():
    """Return (stack float32 [90, 6, 7, 5], sex, site of three, age, head size); images follow all of them weakly."""
    generator = np.random.default_rng(4)
    sex, site = generator.integers(0, 2, PEOPLE), generator.integers(0, 3, PEOPLE)
    age, size = generator.normal(40, 12, PEOPLE), generator.normal(1.5e6, 1.5e5, PEOPLE) + 1e5 * sex
    stack = 2 + generator.normal(size=(PEOPLE, 6, 7, 5))
    stack[:, :2] += 0.25 * sex[:, None, None, None]
    stack[:, 2:4, :, :3] += 0.4 * site[:, None, None, None]
    stack[:, 4:] += (age - 40)[:, None, None, None] / 60 + (size - 1.5e6)[:, None, None, None] / 5e5
    return stack.astype(np.float32), sex, site, age, size


def ours(stack, targets, task="classification", labels=("0", "1"), settings=None, **options):
    products, sums = dot_products(stack)
    fit = fit_voxel_svm(
        products, sums, stack[0].size, TRAIN, TEST, targets, task, labels, settings or {}, SEED, **options
    )
    return fit[0], fit[1].set_index("setting")["value"]


def without(flat, size, train, test):
    """Residuals of plain linear regressions, one a voxel, around the training mean."""
    model = LinearRegression().fit(size[train, None], flat[train])
    mean = flat[train].mean(axis=0)
    return (flat[rows] - model.predict(size[rows, None]) + mean for rows in (train, test))


def test_defaults_are_those_of_svc(cohort):
    stack, sex, *_ = cohort
    flat = stack.reshape(PEOPLE, -1)
    plain = SVC().fit(flat[TRAIN], sex[TRAIN])
    frame, used = ours(stack, sex)
    assert frame["score"].to_numpy() == pytest.approx(plain.decision_function(flat[TEST]), abs=1e-6)
    assert frame["prediction"].astype(int).tolist() == plain.predict(flat[TEST]).tolist()
    assert float(used["gamma_used"]) == pytest.approx(plain._gamma, rel=1e-10)
    assert 0 < np.mean(plain.predict(flat[TEST]) == sex[TEST]) < 1


def test_probabilities_are_those_of_a_sigmoid_calibration_on_held_out_decisions(cohort):
    stack, sex, *_ = cohort
    flat = stack.reshape(PEOPLE, -1).astype(float)
    plain = CalibratedClassifierCV(SVC(), method="sigmoid", cv=INNER, ensemble=False).fit(flat[TRAIN], sex[TRAIN])
    frame, _ = ours(stack, sex)
    assert frame[["p_0", "p_1"]].to_numpy() == pytest.approx(plain.predict_proba(flat[TEST]), abs=1e-5)


def test_three_classes(cohort):
    stack, _, site, *_ = cohort
    flat, labels = stack.reshape(PEOPLE, -1).astype(float), ["0", "1", "2"]
    plain = SVC(break_ties=True).fit(flat[TRAIN], site[TRAIN])
    ordered = np.sort(plain.decision_function(flat[TEST]), axis=1)
    frame, _ = ours(stack, site, labels=labels)
    assert frame["score"].to_numpy() == pytest.approx(ordered[:, 2] - ordered[:, 1], abs=1e-6)
    assert frame["prediction"].astype(int).tolist() == plain.predict(flat[TEST]).tolist()
    plain = CalibratedClassifierCV(SVC(), method="sigmoid", cv=INNER, ensemble=False).fit(flat[TRAIN], site[TRAIN])
    chances = frame[[f"p_{label}" for label in labels]].to_numpy()
    assert chances == pytest.approx(plain.predict_proba(flat[TEST]), abs=1e-5)


def test_search_is_that_of_a_plain_grid_search(cohort):
    stack, sex, *_ = cohort
    flat = stack.reshape(PEOPLE, -1).astype(float)
    plain = GridSearchCV(SVC(), GRID, cv=INNER).fit(flat[TRAIN], sex[TRAIN])
    frame, used = ours(stack, sex, settings=GRID)
    assert (float(used["C"]), used["gamma"]) == (plain.best_params_["C"], str(plain.best_params_["gamma"]))
    assert plain.best_params_ != {"C": 1, "gamma": "scale"}  # a search that never leaves the defaults shows nothing
    assert frame["score"].to_numpy() == pytest.approx(plain.decision_function(flat[TEST]), abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"C": [0.1, 1, 10], "epsilon": [0.05, 0.5]}])
def test_regression_is_svr_on_the_standardised_target(cohort, settings):
    stack, _, _, age, _ = cohort
    flat = stack.reshape(PEOPLE, -1).astype(float)
    # The quantile bins of voxplain.cohort.folds: ten by rank.
    bins = age[TRAIN].argsort().argsort() * 10 // len(TRAIN)
    splits = list(INNER.split(bins, bins))
    plain = GridSearchCV(
        TransformedTargetRegressor(SVR(), transformer=StandardScaler()),
        {f"regressor__{name}": values for name, values in settings.items()},
        scoring="neg_mean_absolute_error",
        cv=splits,
    ).fit(flat[TRAIN], age[TRAIN])
    frame, used = ours(stack, age, "regression", (), settings)
    assert frame["prediction"].to_numpy() == pytest.approx(plain.predict(flat[TEST]), abs=1e-6)
    for name, value in plain.best_params_.items():
        assert float(used[name.removeprefix("regressor__")]) == value


def test_residualised_voxels(cohort):
    stack, sex, _, _, size = cohort
    flat = stack.reshape(PEOPLE, -1).astype(float)
    train, test = without(flat, size, TRAIN, TEST)
    plain = SVC().fit(train, sex[TRAIN])
    frame, used = ours(stack, sex, confounder=size)
    assert frame["score"].to_numpy() == pytest.approx(plain.decision_function(test), abs=1e-6)
    assert float(used["gamma_used"]) == pytest.approx(plain._gamma, rel=1e-9)
    raw, _ = ours(stack, sex)
    assert np.abs(raw["score"] - frame["score"]).max() > 0.01


def test_search_residualises_anew_in_every_inner_fold(cohort):
    """The whole nested search as a plain loop: accuracy of every setting in every inner fold, then Platt's held-out
    decision values with the best one.
    """
    stack, sex, _, _, size = cohort
    flat = stack.reshape(PEOPLE, -1).astype(float)
    candidates = [{"C": c, "gamma": gamma} for c in GRID["C"] for gamma in GRID["gamma"]]
    decisions = np.empty((len(candidates), len(TRAIN)))
    accuracy = np.empty((len(candidates), 5))
    for fold, (fit, score) in enumerate(INNER.split(flat[TRAIN], sex[TRAIN])):
        train, test = without(flat, size, fit, score)
        for row, settings in enumerate(candidates):
            decisions[row, score] = SVC(**settings).fit(train, sex[fit]).decision_function(test)
            accuracy[row, fold] = np.mean((decisions[row, score] > 0) == sex[score])
    best = int(accuracy.mean(axis=1).argmax())
    train, test = without(flat, size, TRAIN, TEST)
    final = SVC(**candidates[best]).fit(train, sex[TRAIN]).decision_function(test)
    frame, used = ours(stack, sex, settings=GRID, confounder=size)
    assert (float(used["C"]), used["gamma"]) == (candidates[best]["C"], str(candidates[best]["gamma"]))
    assert frame["score"].to_numpy() == pytest.approx(final, abs=1e-6)
    positives, negatives = np.sum(sex[TRAIN] == 1), np.sum(sex[TRAIN] == 0)
    smoothed = np.where(sex[TRAIN] == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, intercept = minimize(
        lambda ab: -np.sum(xlogy(smoothed, p := expit(ab[0] * decisions[best] + ab[1])) + xlog1py(1 - smoothed, -p)),
        [1.0, 0.0],
        tol=1e-10,
    ).x
    assert frame["p_1"].to_numpy() == pytest.approx(expit(slope * final + intercept), abs=1e-4)
