import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance

from voxplain.base.seeds import seed_for
from voxplain.baselines import importance
from voxplain.baselines.importance import importances, summarise_importances
from voxplain.baselines.nested import fit_fold
from voxplain.baselines.sampling import sampled

SETTINGS = {
    "xgboost": {"n_estimators": 10, "max_depth": 2},
    "knn": {"n_neighbors": 7},
    "logistic": {"C": 1},
    "ridge": {"alpha": 1},
    "svr": {"C": 1},
}


def fold(model, labels, people=90):
    """Only the second of four features tells something; the first is constant in training."""
    rng = np.random.default_rng(3)
    ids = [f"p{n:02d}" for n in range(people)]
    features = pd.DataFrame(rng.normal(size=(people, 4)) * [0, 5, 1, 1], index=ids, columns=["a", "b", "c", "d"])
    features.iloc[5, 2] = np.nan
    values = features["b"] + 0.3 * rng.normal(size=people)
    ranks = values.rank().astype(int) - 1
    targets = ranks.map(lambda rank: labels[rank * len(labels) // people]) if labels else values
    task = "classification" if labels else "regression"
    train, test = ids[:60], ids[60:]
    fit = fit_fold(features, targets, train, test, model, task, labels, SETTINGS[model], 3, 1)
    return fit, features.loc[test], targets.loc[test], task


def measure(model, labels):
    fit, features, targets, task = fold(model, labels)
    return fit, importances(fit, features, targets, task, labels, repeats=3, seed=42)


@pytest.mark.parametrize(
    ("model", "labels", "kinds"),
    [
        ("logistic", ["F", "M"], ["coefficient", "permutation"]),
        ("logistic", ["A", "B", "C"], ["coefficient", "permutation"]),
        ("xgboost", ["F", "M"], ["gain", "permutation"]),
        ("xgboost", [], ["gain", "permutation"]),
        ("knn", ["F", "M"], ["permutation"]),
        ("ridge", [], ["coefficient", "permutation"]),
        ("svr", [], ["permutation"]),
    ],
)
def test_kinds_and_the_feature_that_matters(model, labels, kinds):
    _, table = measure(model, labels)
    assert list(dict.fromkeys(table["kind"])) == kinds
    for _, part in table.groupby("kind"):
        assert part["feature"].tolist() == ["a", "b", "c", "d"]
        assert part["importance"].abs().idxmax() == part.index[1]
        assert part["importance"].iloc[0] == 0


def test_coefficients_point_to_the_second_class():
    fit, table = measure("logistic", ["F", "M"])
    coefficients = table.loc[table["kind"] == "coefficient", "importance"]
    np.testing.assert_array_equal(coefficients, fit.estimator["model"].coef_[0])
    assert coefficients.iloc[1] > 0
    fit, table = measure("logistic", ["A", "B", "C"])
    expected = np.abs(fit.estimator["model"].coef_).mean(axis=0)
    np.testing.assert_allclose(table.loc[table["kind"] == "coefficient", "importance"], expected)


def test_gains_are_shares_in_the_order_of_the_features():
    fit, table = measure("xgboost", ["F", "M"])
    gains = table[table["kind"] == "gain"].set_index("feature")["importance"]
    assert gains.sum() == pytest.approx(1)
    np.testing.assert_allclose(gains, fit.estimator["model"].feature_importances_, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "labels", "scoring"),
    [
        ("logistic", ["F", "M"], "roc_auc"),
        ("xgboost", ["F", "M"], "roc_auc"),
        ("knn", ["F", "M"], "roc_auc"),
        ("knn", ["A", "B", "C"], "accuracy"),
        ("knn", [], "neg_mean_absolute_error"),
        ("svr", [], "neg_mean_absolute_error"),
    ],
)
def test_permutation_is_that_of_the_whole_pipeline(model, labels, scoring):
    fit, features, targets, task = fold(model, labels)
    table = importances(fit, features, targets, task, labels, repeats=3, seed=42)
    codes = targets.map({label: code for code, label in enumerate(labels)}) if labels else targets
    expected = permutation_importance(
        fit.estimator,
        features.to_numpy(),
        codes.to_numpy(),
        scoring=scoring,
        n_repeats=3,
        random_state=seed_for(42, "permutation importance") % 2**32,
    )
    mine = table.loc[table["kind"] == "permutation", "importance"]
    np.testing.assert_allclose(mine, expected.importances_mean, atol=1e-12)


@pytest.mark.parametrize("model", ["knn", "logistic"])
def test_a_sample_of_many_people_is_shuffled(monkeypatch, model):
    """The model is measured before and after on those who are drawn alone."""
    fit, features, targets, task = fold(model, ["F", "M"])
    whole = importances(fit, features, targets, task, ["F", "M"], repeats=3, seed=42)
    pd.testing.assert_frame_equal(importances(fit, features, list(targets), task, ["F", "M"], 3, 42), whole)
    monkeypatch.setattr(importance, "MOST_PEOPLE", 20)
    drawn = sampled(targets, 20, task, 42)
    part = importances(fit, features, targets, task, ["F", "M"], 3, 42)
    alone = importances(fit, features[drawn], targets[drawn], task, ["F", "M"], 3, 42)
    pd.testing.assert_frame_equal(part, alone)
    assert not np.allclose(part["importance"], whole["importance"])


def test_a_fold_with_one_class_has_no_permutation_importance():
    """The AUC is undefined there, and another measure must not be mixed into the mean over folds."""
    fit, features, targets, task = fold("logistic", ["F", "M"])
    women = targets == "F"
    table = importances(fit, features[women], targets[women], task, ["F", "M"], repeats=3, seed=42)
    assert set(table["kind"]) == {"coefficient"}
    whole = importances(fit, features, targets, task, ["F", "M"], repeats=3, seed=42)
    summary = summarise_importances({"logistic": [table, whole]})
    assert set(summary.loc[summary["kind"] == "permutation", "folds"]) == {1}


def test_nobody_held_out():
    fit, features, targets, task = fold("logistic", ["F", "M"])
    table = importances(fit, features.head(0), targets.head(0), task, ["F", "M"], repeats=3, seed=42)
    assert set(table["kind"]) == {"coefficient"}
    knn = fold("knn", ["F", "M"])[0]
    assert importances(knn, features.head(0), targets.head(0), task, ["F", "M"], repeats=3, seed=42).empty


def test_residualised_models_have_none():
    fit, features, targets, task = fold("logistic", ["F", "M"])
    tiv = pd.Series(np.arange(90.0), index=[f"p{n:02d}" for n in range(90)])
    everybody = pd.DataFrame({"b": tiv**2, "c": np.sqrt(tiv)})
    sexes = pd.Series(np.array(["F", "M"])[np.arange(90) % 2], index=everybody.index)
    ids = list(everybody.index)
    fit = fit_fold(everybody, sexes, ids[:60], ids[60:], "logistic", task, ["F", "M"], {"C": 1}, 3, 1, tiv=tiv)
    with pytest.raises(ValueError, match="residuals"):
        importances(fit, features, targets, task, ["F", "M"], 3, 42)


def test_summary_over_folds():
    folds = [
        pd.DataFrame({"feature": ["a", "b", "c"], "kind": "coefficient", "importance": [1.0, -3.0, 0.5]}),
        pd.DataFrame({"feature": ["a", "b", "c"], "kind": "coefficient", "importance": [2.0, -1.0, 0.5]}),
    ]
    shuffled = [
        pd.DataFrame({"feature": ["a", "b", "c"], "kind": "permutation", "importance": [-0.5, 0.1, 0.1]}),
        pd.DataFrame({"feature": ["c"], "kind": "permutation", "importance": [0.3]}),
    ]
    table = summarise_importances({"logistic": folds, "knn": shuffled})
    assert list(table.columns) == ["model", "kind", "feature", "mean", "sd", "folds", "rank"]
    assert table["model"].tolist() == ["logistic"] * 3 + ["knn"] * 3
    assert table["feature"].tolist() == ["b", "a", "c", "c", "b", "a"]  # a permutation below 0 is no importance
    assert table["rank"].tolist() == [1, 2, 3] * 2
    assert table["mean"].tolist() == pytest.approx([-2, 1.5, 0.5, 0.2, 0.1, -0.5])
    expected = [np.sqrt(2), np.sqrt(0.5), 0, np.sqrt(0.02), np.nan, np.nan]
    assert table["sd"].tolist() == pytest.approx(expected, nan_ok=True)
    assert table["folds"].tolist() == [2, 2, 2, 2, 1, 1]
    assert summarise_importances({}).empty
