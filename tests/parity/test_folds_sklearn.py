"""Our folds are scikit-learn's own, called directly."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from voxplain.cohort.folds import assign_folds


def fold_of_each(splitter, target, groups=None):
    fold = np.full(len(target), -1)
    for number, (_, test) in enumerate(splitter.split(np.zeros(len(target)), target, groups)):
        fold[test] = number
    return fold.tolist()


@pytest.mark.parametrize(("k", "seed"), [(10, 42), (5, 1), (2, 7)])
def test_stratified(k, seed):
    """As in Kan et al. 2020: StratifiedKFold(10, shuffle=True, random_state=42) on 606 F and 507 M."""
    target = np.random.default_rng(0).permutation(["F"] * 606 + ["M"] * 507)
    people = pd.DataFrame({"participant_id": [str(100000 + n) for n in range(1113)], "target": target, "group": None})
    folds = assign_folds(people, people["participant_id"], k, "classification", seed)
    assert folds["fold"].tolist() == fold_of_each(StratifiedKFold(k, shuffle=True, random_state=seed), target)


@pytest.mark.parametrize(("k", "seed"), [(10, 42), (3, 1)])
def test_stratified_by_family(k, seed):
    rng = np.random.default_rng(0)
    family = np.sort(rng.integers(0, 80, 200))
    target = rng.choice(["F", "M"], 200)
    people = pd.DataFrame({"participant_id": [str(1000 + n) for n in range(200)], "target": target})
    people["group"] = [f"{number:016x}" for number in family]
    folds = assign_folds(people, people["participant_id"], k, "classification", seed)
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    assert folds["fold"].tolist() == fold_of_each(splitter, target, family)


def test_regression_by_quantiles():
    target = np.random.default_rng(0).normal(size=97)
    people = pd.DataFrame({"participant_id": [str(100 + n) for n in range(97)], "target": target, "group": None})
    folds = assign_folds(people, people["participant_id"], 5, "regression", 3)
    bins = pd.qcut(pd.Series(target).rank(method="first"), 10, labels=False)
    splitter = StratifiedKFold(5, shuffle=True, random_state=3)
    # pd.qcut cuts 97 people at interpolated ranks, one place beside ours at most: so compare with our cut too.
    ours = pd.Series(target).rank(method="first").sub(1).mul(10).floordiv(97)
    assert (bins - ours).abs().max() <= 1
    assert folds["fold"].tolist() == fold_of_each(splitter, ours.astype(int).to_numpy())
