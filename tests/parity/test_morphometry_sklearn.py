"""Models on morphometry against the plain script that one would write with scikit-learn, loops and all."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from voxplain.base.seeds import seed_for
from voxplain.baselines.nested import fit_fold

SEED, INNER = 42, 4
GRIDS = {
    "logistic": {"C": [0.001, 0.1, 10], "max_iter": [10000]},
    "knn": {"n_neighbors": [3, 4, 5, 7, 9, 11]},
    "xgboost": {"n_estimators": [20], "max_depth": [2, 4], "learning_rate": [0.1, 0.3]},
    "ridge": {"alpha": [0.1, 1, 3, 10, 20, 40, 80, 160, 320]},
    "svr": {"C": [0.1, 0.5, 1, 2, 4, 10], "gamma": ["scale"], "epsilon": [0.1, 0.3]},
}
CLASSES = {"logistic": LogisticRegression, "knn": KNeighborsClassifier, "xgboost": xgboost.XGBClassifier}
NUMBERS = {"ridge": Ridge, "svr": SVR, "knn": KNeighborsRegressor, "xgboost": xgboost.XGBRegressor}


@pytest.fixture(scope="module")
def brains():
    """59 people like the IXI's: volumes in mm³ that follow head size, sex and age, thickness in mm, missing cells."""
    rng = np.random.default_rng(0)
    n = 59
    sex, age = rng.integers(0, 2, n), rng.uniform(20, 80, n)
    tiv = 1.4e6 + 1.4e5 * sex + rng.normal(0, 1e5, n)
    volumes = tiv[:, None] * rng.uniform(1e-3, 0.3, 25) * (1 + rng.normal(0, 0.08, (n, 25)) - age[:, None] / 1000)
    thickness = rng.normal(2.5, 0.15, (n, 15)) - 0.004 * age[:, None]
    x = np.hstack([volumes, thickness])
    x[rng.random(x.shape) < 0.02] = np.nan
    ids = [f"IXI{number:03d}" for number in range(n)]
    test = np.arange(n) % 5 == 2
    return ids, x, sex, age, tiv, test


def prepared(x_fit, x_new, tiv_fit=None, tiv_new=None):
    """Median, then minus the slope on head size, then mean 0 and SD 1: all from the people to fit on."""
    medians = np.nanmedian(x_fit, axis=0)
    x_fit, x_new = (np.where(np.isnan(x), medians, x) for x in (x_fit, x_new))
    if tiv_fit is not None:
        lines = LinearRegression().fit(tiv_fit[:, None], x_fit)
        x_fit, x_new = (x - lines.predict(tiv[:, None]) for x, tiv in ((x_fit, tiv_fit), (x_new, tiv_new)))
    scaler = StandardScaler().fit(x_fit)
    return scaler.transform(x_fit), scaler.transform(x_new)


def plain(model, kind, settings, x_fit, y_fit, x_new):
    if model == "svr":
        scaler = StandardScaler().fit(y_fit[:, None])
        fitted = SVR(**settings).fit(x_fit, scaler.transform(y_fit[:, None])[:, 0])
        return scaler.inverse_transform(fitted.predict(x_new)[:, None])[:, 0]
    more = {"random_state": seed_for(SEED, model) % 2**32} if model == "xgboost" else {}
    fitted = kind(**settings, **more).fit(x_fit, y_fit)
    return fitted.predict_proba(x_new)[:, 1] if model in CLASSES and kind is CLASSES[model] else fitted.predict(x_new)


def by_hand(model, kind, classes, strata, x, y, tiv, test):
    """Nested cross-validation: the best mean over the inner folds, then everybody to train on."""
    train = ~test
    x_train, y_train, t_train = x[train], y[train], None if tiv is None else tiv[train]
    splitter = StratifiedKFold(INNER, shuffle=True, random_state=seed_for(SEED, "inner folds") % 2**32)
    splits = list(splitter.split(x_train, strata[train] if classes else strata))
    inner = [
        prepared(x_train[fit], x_train[new], *((None, None) if tiv is None else (t_train[fit], t_train[new])))
        for fit, new in splits
    ]
    best, best_settings = -np.inf, None
    for values in product(*(GRIDS[model][name] for name in sorted(GRIDS[model]))):
        settings = dict(zip(sorted(GRIDS[model]), values, strict=True))
        scores = []
        for (fit, new), inside in zip(splits, inner, strict=True):
            guess = plain(model, kind, settings, inside[0], y_train[fit], inside[1])
            right = accuracy_score(y_train[new], guess > 0.5) if classes else -mean_absolute_error(y_train[new], guess)
            scores.append(right)
        if np.mean(scores) > best:
            best, best_settings = np.mean(scores), settings
    sizes = (None, None) if tiv is None else (t_train, tiv[test])
    inside = prepared(x_train, x[test], *sizes)
    return plain(model, kind, best_settings, inside[0], y_train, inside[1]), best_settings


def by_voxplain(model, task, brains, targets, labels, residualise):
    ids, x, _, _, tiv, test = brains
    return fit_fold(
        pd.DataFrame(x, index=ids),
        pd.Series(targets, index=ids),
        [person for person, held_out in zip(ids, test, strict=True) if not held_out],
        [person for person, held_out in zip(ids, test, strict=True) if held_out],
        model,
        task,
        labels,
        GRIDS[model],
        INNER,
        SEED,
        tiv=pd.Series(tiv, index=ids) if residualise else None,
    )


def check_settings(fit, expected):
    used = dict(zip(fit.settings["setting"], fit.settings["value"], strict=True))
    assert used == {"n_train": "47", **{name: str(value) for name, value in expected.items()}}


@pytest.mark.parametrize("residualise", [False, True])
@pytest.mark.parametrize("model", list(CLASSES))
def test_sex(model, residualise, brains):
    _, x, sex, _, tiv, test = brains
    fit = by_voxplain(model, "classification", brains, np.array(["F", "M"])[sex], ["F", "M"], residualise)
    chance, settings = by_hand(model, CLASSES[model], True, sex, x, sex, tiv if residualise else None, test)
    check_settings(fit, settings)
    np.testing.assert_allclose(fit.predictions["p_M"], chance, atol=1e-10)


@pytest.mark.parametrize("residualise", [False, True])
@pytest.mark.parametrize("model", list(NUMBERS))
def test_age(model, residualise, brains):
    _, x, _, age, tiv, test = brains
    fit = by_voxplain(model, "regression", brains, age, [], residualise)
    strata = age[~test].argsort().argsort() * min(10, 47 // INNER) // 47
    guess, settings = by_hand(model, NUMBERS[model], False, strata, x, age, tiv if residualise else None, test)
    check_settings(fit, settings)
    np.testing.assert_allclose(fit.predictions["prediction"], guess, rtol=1e-9)
