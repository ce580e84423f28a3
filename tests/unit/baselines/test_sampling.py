import numpy as np
import pandas as pd

from voxplain.baselines.sampling import sampled


def people(classes):
    return pd.Series(list(classes), index=[f"p{number:04d}" for number in range(len(classes))])


def test_everybody_where_there_are_not_more():
    targets = people("FMFM")
    for most in (4, 5, None):
        assert sampled(targets, most, "classification", 1).tolist() == [True] * 4


def test_classes_keep_their_shares_and_none_is_lost():
    targets = people("A" * 600 + "B" * 397 + "C" * 3)
    drawn = sampled(targets, 100, "classification", 1)
    assert drawn.dtype == bool
    assert targets[drawn].value_counts().to_dict() == {"A": 60, "B": 39, "C": 1}


def test_fifths_of_a_number_keep_their_shares():
    targets = people(np.random.default_rng(0).normal(size=1000) ** 3)
    ranks = targets.rank().to_numpy(dtype=int) - 1
    drawn = sampled(targets, 50, "regression", 1)
    assert np.bincount(ranks[drawn] // 200).tolist() == [10] * 5


def test_it_follows_from_the_seed_and_the_ids_alone():
    targets = people("FM" * 100)
    drawn = sampled(targets, 40, "classification", 1)
    order = np.random.default_rng(0).permutation(200)
    assert np.array_equal(sampled(targets.iloc[order], 40, "classification", 1), drawn[order])
    assert not np.array_equal(sampled(targets, 40, "classification", 2), drawn)
    # Everybody has an own lot: a larger sample holds the smaller one.
    assert sampled(targets, 80, "classification", 1)[drawn].all()
