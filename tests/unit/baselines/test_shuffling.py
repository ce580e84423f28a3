import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVR

from voxplain.baselines import shuffling
from voxplain.baselines.shuffling import area_under_curve, draw_shuffles, guesses_of_kernel, guesses_of_neighbours


class Recorder:
    """Predicts the number of each row, and so tells a scorer how rows were shuffled."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X[:, 0]


def test_shuffles_are_those_of_scikit_learn():
    seen = []
    rows = np.arange(20.0)[:, None]

    def scorer(estimator, X, y):
        seen.append(estimator.predict(X).astype(int).copy())
        return 0.0

    permutation_importance(Recorder(), rows, rows[:, 0], scoring=scorer, n_repeats=4, random_state=5)
    assert np.array_equal(draw_shuffles(20, 4, 5), seen[1:])


def cohort(features, known=150, new=23, repeats=3):
    generator = np.random.default_rng(features)
    mixing = generator.normal(size=(features, features)) / np.sqrt(features)
    X = generator.standard_t(3, size=(known + new, features)) @ mixing
    X[:, 0] = 0  # constant
    return X[:known], X[known:], draw_shuffles(new, repeats, 1)


def shuffled_rows(new, drawn, feature, repeat):
    rows = new.copy()
    rows[:, feature] = new[drawn[repeat], feature]
    return rows


@pytest.mark.parametrize("block", [1, 700, 2**16])
@pytest.mark.parametrize(("features", "neighbours"), [(2, 1), (5, 7), (40, 11), (40, 150)])
def test_neighbours_after_each_shuffle_are_those_measured_anew(monkeypatch, features, neighbours, block):
    monkeypatch.setattr(shuffling, "BLOCK", block)
    monkeypatch.setattr(shuffling, "PEOPLE_AT_ONCE", 7)
    known, new, drawn = cohort(features)
    answers = np.random.default_rng(0).integers(0, 10**6, len(known))

    def guess(rows):
        return answers[rows].sum(axis=1)

    def anew(rows):
        return guess(cdist(rows, known).argsort(axis=1)[:, :neighbours])

    before, after = guesses_of_neighbours(known, new, drawn, neighbours, guess)
    assert np.array_equal(before, anew(new))
    assert after.shape == (features, 3, 23)
    for feature in range(features):
        for repeat in range(3):
            assert np.array_equal(after[feature, repeat], anew(shuffled_rows(new, drawn, feature, repeat)))
    assert np.array_equal(after[0], np.tile(before, (3, 1)))


@pytest.mark.parametrize("model", [KNeighborsClassifier(3), KNeighborsRegressor(3)])
def test_neighbours_of_scikit_learn(model):
    known, new, drawn = cohort(30)
    answers = (known[:, 1] > 0).astype(int)
    model.fit(known, answers)
    before, after = guesses_of_neighbours(known, new, drawn, 3, lambda rows: answers[rows].mean(axis=1))
    rows = shuffled_rows(new, drawn, 4, 1)
    classifies = isinstance(model, KNeighborsClassifier)
    for mine, values in ((before, new), (after[4, 1], rows)):
        theirs = model.predict_proba(values)[:, 1] if classifies else model.predict(values)
        assert mine == pytest.approx(theirs, abs=1e-15)


@pytest.mark.parametrize("block", [1, 1000, 2**16])
def test_kernel_machine_after_each_shuffle(monkeypatch, block):
    monkeypatch.setattr(shuffling, "BLOCK", block)
    known, new, drawn = cohort(6)
    machine = SVR(C=2).fit(known, known[:, 1] + np.sin(known[:, 2]))
    arguments = machine.support_vectors_, machine.dual_coef_[0], machine.intercept_[0], machine._gamma
    before, after = guesses_of_kernel(*arguments, new, drawn)
    assert before == pytest.approx(machine.predict(new), abs=1e-12)
    for feature in range(6):
        for repeat in range(3):
            expected = machine.predict(shuffled_rows(new, drawn, feature, repeat))
            assert after[feature, repeat] == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(after[0], np.tile(before, (3, 1)))


def test_a_kernel_that_vanishes_does_not_overflow():
    known, new = np.array([[0.0], [1000.0]]), np.array([[0.0], [1000.0]])
    _, after = guesses_of_kernel(known, np.array([1.0, 2.0]), 0.0, 10.0, new, np.array([[1, 0]]))
    assert after.tolist() == [[[2.0, 1.0]]]


def test_area_under_curve_with_ties():
    generator = np.random.default_rng(0)
    second, guesses = np.arange(30) % 3 == 0, generator.integers(0, 5, (4, 30)) / 4
    expected = [roc_auc_score(second, row) for row in guesses]
    assert area_under_curve(guesses, second) == pytest.approx(expected, abs=1e-15)
    assert area_under_curve(np.array([0.1, 0.2, 0.2, 0.9]), np.array([False, False, True, True])) == 0.875
