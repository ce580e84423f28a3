import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.baselines.estimators import MODELS, build, grid_of

EVERY = [(model, task) for task, models in MODELS.items() for model in models]


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 2, (60, 4))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0], nan=5) + 0.3 * rng.normal(size=60)
    return x, y, (y > np.median(y)).astype(int)


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_learns_with_missing_cells_and_the_same_twice(model, task, sample):
    x, y, codes = sample
    answers = codes if task == "classification" else y
    first, second = (build(model, task, False, seed=2**70 + 3).fit(x[:45], answers[:45]) for _ in range(2))
    guesses = first.predict(x[45:])
    np.testing.assert_array_equal(guesses, second.predict(x[45:]))
    if task == "classification":
        assert np.mean(guesses == codes[45:]) > 0.7
    else:
        assert np.corrcoef(guesses, y[45:])[0, 1] > 0.6


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_unit_and_offset_of_features_do_not_matter(model, task, sample):
    x, y, codes = sample
    answers = codes if task == "classification" else y
    moved = x * [0.5, 4096, 2, 1] + [0, 8, 0, -32]
    here = build(model, task, False, 1).fit(x[:45], answers[:45]).predict(x[45:])
    there = build(model, task, False, 1).fit(moved[:45], answers[:45]).predict(moved[45:])
    np.testing.assert_allclose(there, here, rtol=1e-5)


@pytest.mark.parametrize("model", ["ridge", "svr", "knn"])
def test_unit_of_a_regression_s_target_does_not_matter(model, sample):
    x, y, _ = sample
    here = build(model, "regression", False, 1).fit(x[:45], y[:45]).predict(x[45:])
    there = build(model, "regression", False, 1).fit(x[:45], 365 * y[:45] + 7).predict(x[45:])
    np.testing.assert_allclose(there, 365 * here + 7, rtol=1e-3)


def test_feature_without_any_training_value_keeps_its_place(sample):
    x, _, codes = sample
    x[:45, 1] = np.nan
    fitted = build("logistic", "classification", False, 1).fit(x[:45], codes[:45])
    assert fitted["model"].coef_.shape == (1, 4)
    assert fitted["model"].coef_[0, 1] == 0


def test_confounder_is_the_last_column_and_no_feature(sample):
    x, y, _ = sample
    rng = np.random.default_rng(1)
    tiv = rng.normal(1.5e6, 1e5, 60)
    with_size = np.column_stack([np.nan_to_num(x, nan=5.0) + (tiv[:, None] - 1.5e6) / 2e4, tiv])
    fitted = build("ridge", "regression", True, 1).fit(with_size[:45], y[:45])
    assert fitted["model"].n_features_in_ == 4
    left = fitted[:-1].transform(with_size[:45])
    np.testing.assert_allclose(left.T @ (tiv[:45] - tiv[:45].mean()) / 1e5, 0, atol=1e-6)


def test_grid():
    fixed, searched = grid_of("xgboost", {"n_estimators": 100, "max_depth": [2, 4], "learning_rate": [0.1]})
    assert fixed == {"model__n_estimators": 100, "model__learning_rate": 0.1}
    assert searched == {"model__max_depth": [2, 4]}
    assert grid_of("svr", {"C": [1, 2], "gamma": "scale"}) == (
        {"model__regressor__gamma": "scale"},
        {"model__regressor__C": [1, 2]},
    )
    with pytest.raises(InputError, match=r"knn.n_neighbors: the list of values is empty"):
        grid_of("knn", {"n_neighbors": []})


@pytest.mark.parametrize(
    ("model", "task"), [("ridge", "classification"), ("logistic", "regression"), ("x", "regression")]
)
def test_model_of_the_other_task(model, task):
    with pytest.raises(InputError, match=f"'{model}' does not do {task}"):
        build(model, task, False, 1)
