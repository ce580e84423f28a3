"""Surrogates of a map: its values, its smoothness, other places."""

from itertools import islice

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata, spearmanr

from voxplain.base.errors import InputError
from voxplain.evaluation.spatial_null import fit_field, surrogates

LAGS = range(1, 7)


def ball(size, shift=0):
    axes = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    brain = sum(axis**2 for axis in axes) <= 1
    return np.pad(brain, shift)


def smooth_field(seed, shape, sigma):
    """Return a patch of a stationary Gaussian field, whose borders are no borders of the noise."""
    margin = int(4 * max(np.atleast_1d(sigma)))
    noise = np.random.default_rng(seed).standard_normal([n + 2 * margin for n in shape])
    return gaussian_filter(noise, sigma)[(slice(margin, -margin),) * 3].astype(np.float32)


def lag_correlations(volume, brain, axis):
    """Return the correlation of ranks between voxels of the brain that lie 1, 2, ... apart along an axis."""
    ranks = np.zeros(brain.shape)
    ranks[brain] = rankdata(volume[brain])
    ranks, brain = np.moveaxis(ranks, axis, 0), np.moveaxis(brain, axis, 0)
    pairs = [(brain[lag:] & brain[:-lag], lag) for lag in LAGS]
    return np.array([np.corrcoef(ranks[lag:][both], ranks[:-lag][both])[0, 1] for both, lag in pairs])


@pytest.fixture(scope="module")
def brain():
    return ball(32, shift=2)


def test_values_stay_and_places_change(brain):
    volume = np.exp(2 * smooth_field(0, brain.shape, 2) / 0.1)  # heavy tails
    found = list(surrogates(volume, brain, 3, 7, "gradcam"))
    assert len(found) == 3
    for one in found:
        assert one.dtype == np.float32
        assert one.shape == brain.shape
        assert not one[~brain].any()
        np.testing.assert_array_equal(np.sort(one[brain]), np.sort(volume[brain]))
        assert abs(spearmanr(one[brain], volume[brain]).statistic) < 0.4
    assert abs(spearmanr(found[0][brain], found[1][brain]).statistic) < 0.4


@pytest.mark.parametrize("sigma", [0.7, 1.5, (1, 2, 3)])
def test_autocorrelation_stays(brain, sigma):
    volume = smooth_field(3, brain.shape, sigma)
    found = list(surrogates(volume, brain, 10, 7))
    for axis in range(3):
        mean = np.mean([lag_correlations(one, brain, axis) for one in found], axis=0)
        real = lag_correlations(volume, brain, axis)
        assert mean[0] == pytest.approx(real[0], abs=0.03)
        np.testing.assert_allclose(mean, real, atol=0.08)


def test_what_lies_outside_the_brain_does_not_count(brain):
    volume = smooth_field(3, brain.shape, 1.5)
    other = np.where(brain, volume, 1e6)
    np.testing.assert_array_equal(next(surrogates(volume, brain, 1, 7)), next(surrogates(other, brain, 1, 7)))


def test_the_spectrum_is_even():
    """As it must be for real and imaginary part to be independent fields."""
    brain = ball(9)[:, :8, :7]
    amplitude = fit_field(smooth_field(0, brain.shape, 1), brain).amplitude
    np.testing.assert_allclose(amplitude, np.roll(amplitude[::-1, ::-1, ::-1], 1, (0, 1, 2)), rtol=1e-2, atol=1e-3)


def test_streams_depend_on_seed_and_words_and_not_on_the_count(brain):
    volume = smooth_field(3, brain.shape, 1.5)
    five, eight = list(surrogates(volume, brain, 5, 7, "a")), list(surrogates(volume, brain, 8, 7, "a"))
    np.testing.assert_array_equal(five, eight[:5])
    for seed, word in ((8, "a"), (7, "b")):
        assert not np.array_equal(five[0], next(surrogates(volume, brain, 1, seed, word)))


def test_p_values_of_unrelated_smooth_maps_are_uniform_and_naive_ones_are_not():
    brain, repeats, count = ball(14), 150, 19
    p, naive = np.empty(repeats), 0
    for repeat in range(repeats):
        first, second = (smooth_field([repeat, which], brain.shape, 1.5) for which in range(2))
        ranks = rankdata(second[brain])
        chance = np.array(
            [np.corrcoef(rankdata(s[brain]), ranks)[0, 1] for s in surrogates(first, brain, count, repeat)]
        )
        real = spearmanr(first[brain], second[brain])
        p[repeat] = (1 + (chance >= real.statistic).sum()) / (count + 1)
        naive += real.pvalue < 0.05
    assert 0.01 <= (p <= 0.05).mean() <= 0.12
    assert 0.1 <= (p <= 0.2).mean() <= 0.3
    assert 0.38 <= (p <= 0.5).mean() <= 0.62
    assert naive / repeats > 0.6


def test_a_constant_map_stays_as_it_is(brain):
    for one in surrogates(np.full(brain.shape, 0.5), brain, 2, 7):
        np.testing.assert_array_equal(one, 0.5 * brain)


def test_refusals_come_at_once(brain):
    volume = np.ones(brain.shape)
    for bad, mask, count in (
        (volume[1:], brain, 3),
        (volume, brain & False, 3),
        (np.where(brain, np.nan, 0), brain, 3),
        (volume, brain, 0),
    ):
        with pytest.raises(InputError):
            surrogates(bad, mask, count, 7)


def test_maps_are_drawn_one_by_one(brain):
    assert len(list(islice(surrogates(smooth_field(3, brain.shape, 1.5), brain, 10**9, 7), 3))) == 3
