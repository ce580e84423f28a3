import math

import numpy as np
import pytest

from voxplain.evaluation.intervals import corrected_t, correlation_test, permutation_p, wilson


def test_ten_folds_have_a_standard_error_of_1_453_times_the_naive_one():
    differences = np.arange(10) / 10
    naive = differences.std(ddof=1) / math.sqrt(10)
    result = corrected_t(differences, 1 / 9)
    assert differences.mean() / result.t / naive == pytest.approx(math.sqrt(1 + 10 / 9))
    assert math.sqrt(1 + 10 / 9) == pytest.approx(1.4530, abs=5e-5)
    assert result.df == 9
    # t distribution with 9 degrees of freedom: the tabulated 2.262.
    assert result.high - differences.mean() == pytest.approx(2.262157 * 1.452966 * naive, rel=1e-5)
    assert result.low + result.high == pytest.approx(2 * differences.mean())


def test_two_folds_in_closed_form():
    """With one degree of freedom t is Cauchy's distribution: p = 1 - 2 atan|t| / pi."""
    result = corrected_t([0.1, 0.3], 1.0)
    assert result.t == pytest.approx(0.2 / math.sqrt(1.5 * 0.02))
    assert result.p == pytest.approx(1 - 2 / math.pi * math.atan(result.t))


def test_p_is_one_in_twenty_where_the_interval_touches_zero():
    values = np.array([0.3, -0.1, 0.2, 0.05, -0.02])
    touching = values - corrected_t(values, 0.25).low
    result = corrected_t(touching, 0.25)
    assert result.low == pytest.approx(0, abs=1e-15)
    assert result.p == pytest.approx(0.05)


def test_undefined_folds_do_not_count_nor_do_their_ratios():
    whole = corrected_t([0.1, 0.2, 0.4], [0.3, 0.5, 0.4])
    assert corrected_t([0.1, math.nan, 0.2, 0.4], [0.3, 99, 0.5, 0.4]) == pytest.approx(whole)


def test_numbers_without_spread_tell_nothing_about_their_error():
    none = corrected_t([0.0, 0.0, 0.0], 0.1)
    assert (none.t, none.df, none.p) == (0.0, 2, 1.0)
    same = corrected_t([0.1, 0.1, 0.1], 0.1)  # whose mean is not exactly 0.1
    assert same.df == 2
    for test in (same, corrected_t([-0.5, -0.5], 0.5)):
        assert all(math.isnan(value) for value in (test.t, test.p, test.low, test.high))


@pytest.mark.parametrize("values", [[], [0.7], [0.7, math.nan]])
def test_fewer_than_two_folds_say_nothing(values):
    assert all(math.isnan(value) for value in (corrected_t(values, 0.5).p, corrected_t(values, 0.5).low))


def test_unknown_ratio_says_nothing():
    assert math.isnan(corrected_t([0.1, 0.2], math.nan).p)
    assert math.isnan(corrected_t([0.1, 0.2], [0.5, math.inf]).high)


def test_wilson_in_closed_form():
    """Nobody of n: [0, z² / (n + z²)]."""
    z2 = 1.959963984540054**2
    assert wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)))
    assert wilson(10, 10) == pytest.approx((10 / (10 + z2), 1))
    assert all(math.isnan(bound) for bound in wilson(0, 0))


def test_correlation_at_its_edges():
    assert all(math.isnan(value) for value in correlation_test(math.nan, 10))
    assert correlation_test(1.0, 10) == (1, 1, 0)
    low, _, p = correlation_test(0.5, 3)
    assert math.isnan(low)
    assert p == pytest.approx(2 / 3)  # one degree of freedom: t = 1 / sqrt(3), Cauchy
    low, high, p = correlation_test(0.0, 50)
    assert (-low, p) == pytest.approx((high, 1))


def test_permutation_p_counts_the_observed_one_and_ties():
    assert permutation_p(0.8, [0.5, 0.6, 0.8, 0.9]) == pytest.approx(3 / 5)
    assert permutation_p(0.8, [0.5] * 99) == pytest.approx(1 / 100)
    assert permutation_p(0.1 + 0.2, [0.3]) == 1  # a tie but for the last bit
    assert permutation_p(2.0, [1.0, 3.0, 4.0], lower_is_better=True) == pytest.approx(2 / 4)
    assert permutation_p(0.8, [0.5, math.nan]) == pytest.approx(1 / 2)
    assert math.isnan(permutation_p(0.8, []))
    assert math.isnan(permutation_p(math.nan, [0.5]))
