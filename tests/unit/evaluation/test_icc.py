"""Intraclass correlations voxel by voxel."""

import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.icc import Ratings

# Shrout & Fleiss 1979, table 2: six people, four judges; table 4 has the correlations.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def correlations(ratings):
    """ratings: [people, raters, places]"""
    sums = Ratings()
    for person in ratings:
        sums.add(person)
    return sums.correlations()


def by_anova(table):
    """Both correlations of one place, from the mean squares as the textbook has them."""
    n, k = table.shape
    rows, columns, grand = table.mean(axis=1), table.mean(axis=0), table.mean()
    people = k * ((rows - grand) ** 2).sum() / (n - 1)
    raters = n * ((columns - grand) ** 2).sum() / (k - 1)
    residual = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    consistency = (people - residual) / (people + (k - 1) * residual)
    return (people - residual) / (people + (k - 1) * residual + k * (raters - residual) / n), consistency


def test_the_published_example():
    found = correlations(SHROUT_FLEISS[:, :, None])
    assert found["agreement"].round(2).tolist() == [0.29]
    assert found["consistency"].round(2).tolist() == [0.71]


@pytest.mark.parametrize(("level", "k"), [(0.0, 2), (1e6, 3)])
def test_equals_the_analysis_of_variance_at_every_place_even_beside_a_large_mean(level, k):
    rng = np.random.default_rng(0)
    ratings = level + rng.normal(size=(9, 1, 5)) + 0.5 * rng.normal(size=(9, k, 5)) + rng.normal(size=(1, k, 5))
    found = correlations(ratings)
    for place in range(5):
        agreement, consistency = by_anova(ratings[:, :, place])
        np.testing.assert_allclose(found["agreement"][place], agreement, rtol=1e-6)
        np.testing.assert_allclose(found["consistency"][place], consistency, rtol=1e-6)
    np.testing.assert_allclose(correlations(ratings[::-1])["agreement"], found["agreement"], rtol=1e-6)


def test_equal_raters_give_one_and_a_shift_costs_agreement_only():
    one = np.random.default_rng(1).normal(size=(8, 1, 4))
    assert all((value == 1).all() for value in correlations(np.repeat(one, 3, axis=1)).values())
    shifted = correlations(np.concatenate([one, one + 2], axis=1))
    np.testing.assert_allclose(shifted["consistency"], 1)
    assert (shifted["agreement"] < 0.7).all()


def test_where_nothing_varies_there_is_no_correlation():
    ratings = np.random.default_rng(2).normal(size=(6, 3, 3))
    ratings[:, :, 0] = 0.1  # nothing varies
    ratings[:, :, 1] = [0.1, 0.2, 0.4]  # raters differ, people do not
    found = correlations(ratings)
    assert np.isnan(found["agreement"]).tolist() == [True, False, False]
    assert np.isnan(found["consistency"]).tolist() == [True, True, False]
    assert found["agreement"][1] == 0


def test_independent_ratings_are_near_zero():
    found = correlations(np.random.default_rng(3).normal(size=(20, 2, 4000)))
    for values in found.values():
        # An ICC of 20 people and 2 raters strays by about 1 / √19.
        assert abs(values.mean()) < 3 / np.sqrt(19 * 4000)
        assert 0.15 < values.std() < 0.3


def test_what_cannot_be_correlated_is_refused():
    sums = Ratings()
    with pytest.raises(InputError, match="2 raters"):
        sums.add(np.zeros((1, 4)))
    sums.add(np.zeros((2, 4)))
    with pytest.raises(InputError, match="2 people"):
        sums.correlations()
    with pytest.raises(InputError, match="shape"):
        sums.add(np.zeros((3, 4)))
