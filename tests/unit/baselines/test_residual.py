import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voxplain.base.errors import InputError
from voxplain.baselines.residual import Residualiser


def test_closed_form():
    """Slope 2 and the mean 5 of x = 3, 7, 5 at c = 0, 2, 1; the test person lies 4 above the line."""
    learned = Residualiser().fit(np.array([[3.0, 0.0], [7.0, 2.0], [5.5, 1.0], [4.5, 1.0]]))
    assert learned.slopes_ == pytest.approx(np.array([[2.0]]))
    assert learned.transform([[15.0, 4.0], [5.0, 1.0]]) == pytest.approx(np.array([[9.0], [5.0]]))


def test_residuals_of_plain_linear_regressions_around_the_training_mean():
    rng = np.random.default_rng(0)
    nuisance = np.column_stack([rng.normal(1.5e6, 1.5e5, 40), rng.normal(30, 3, 40)])
    features = rng.normal(size=(40, 5)) + nuisance @ (rng.normal(size=(2, 5)) * [[1e-5], [0.3]])
    train, test = np.arange(30), np.arange(30, 40)
    plain = LinearRegression().fit(nuisance[train], features[train])
    expected = features[test] - plain.predict(nuisance[test]) + features[train].mean(axis=0)
    both = np.hstack([features, nuisance])
    assert Residualiser(2).fit(both[train]).transform(both[test]) == pytest.approx(expected, rel=1e-8)


def test_residuals_of_the_training_people_do_not_follow_the_confounder_and_keep_their_mean():
    rng = np.random.default_rng(1)
    size = rng.normal(1.5e6, 1.5e5, 50)
    X = np.column_stack([rng.normal(size=50) + 1e-5 * size, rng.normal(size=50), size])
    left = Residualiser().fit_transform(X)
    assert np.abs(np.corrcoef(left.T, size)[-1, :-1]).max() < 1e-10
    assert left.mean(axis=0) == pytest.approx(X[:, :-1].mean(axis=0))


def test_columns_that_are_the_confounder_in_another_unit_become_constant():
    """Otherwise the scaler behind would turn rounding errors into a feature of unit variance."""
    rng = np.random.default_rng(2)
    size = rng.normal(1.5e6, 1.5e5, 50)
    X = np.column_stack([size / 1000 - 3, rng.normal(size=50), size])
    learned = Residualiser().fit(X[:40])
    left = learned.transform(X)
    assert learned.explained_.tolist() == [True, False]
    assert np.ptp(left[:, 0]) == 0
    assert left[0, 0] == pytest.approx(X[:40, 0].mean())
    scaled = make_pipeline(Residualiser(), StandardScaler()).fit(X[:40]).transform(X)
    assert np.abs(scaled[:, 0]).max() < 1e-9
    assert scaled[:40, 1].std() == pytest.approx(1)


def test_nothing_is_learned_from_test_people():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(30, 4))
    before = Residualiser().fit(X[:20]).transform(X[20:21])
    X[21:] = 1e9
    assert Residualiser().fit(X[:20]).transform(X[20:])[:1] == pytest.approx(before, rel=1e-12)


def test_constant_confounder_or_column_changes_nothing():
    features = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    same = np.full((3, 1), 1.1e6)
    assert Residualiser().fit_transform(np.hstack([features, same])) == pytest.approx(features)
    learned = Residualiser().fit(np.hstack([features, [[1.0], [5.0], [2.0]]]))
    assert learned.slopes_[0, 1] == 0
    assert not learned.explained_[1]


def test_missing_values_are_refused():
    X = np.ones((4, 3))
    X[1, 2] = np.nan
    with pytest.raises(InputError, match="missing in 1 rows\n  - row 1\n"):
        Residualiser().fit(X)
    X[1, 2], X[2, 0] = 1, np.inf
    with pytest.raises(InputError, match="column 0\nImpute"):
        Residualiser().fit(X)
    learned = Residualiser().fit(np.random.default_rng(0).normal(size=(4, 3)))
    with pytest.raises(InputError, match="row 0"):
        learned.transform([[1.0, 2.0, np.nan]])
    with pytest.raises(ValueError, match="features"):
        learned.transform([[1.0, 2.0]])
