import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import ttest_1samp, ttest_ind

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON
from voxplain.population.summary import FWHM_PER_SIGMA, BrainSmoother, joint, smooth, summarise, welch


def people(*maps):
    return [(f"p{n}", np.asarray(one, dtype=np.float32)) for n, one in enumerate(maps)]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean_rectified", [1.0, 2.0, 0.0]),
        ("mean_absolute", [2.0, 2.0, 1.0]),
        ("mean_signed", [0.0, 2.0, -1.0]),
        # mean 2, sd 2 / sqrt(2) -> t = 2 / (sqrt(2) / sqrt(2)); zero spread gives 0, not infinity
        ("t", [0.0, 2.0, 0.0]),
    ],
)
def test_known_values(statistic, expected):
    result = summarise(people([2, 1, -1], [-2, 3, -1]), statistic)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.dtype == np.float32


def test_normalising_is_per_person_after_rectification():
    maps = people([2, -8, 1], [0, 0, 0], [-1, 10, 5])
    np.testing.assert_allclose(summarise(maps, "mean_rectified", "max"), [1 / 3, 1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(
        summarise(maps, "mean_signed", "max"), [(0.25 - 0.1) / 3, 0.0, (0.125 + 0.5) / 3], atol=1e-7
    )


def test_an_all_zero_cohort_stays_zero_and_finite():
    zeros = people(*np.zeros((3, 4)))
    for statistic in ("mean_rectified", "mean_absolute", "mean_signed", "t"):
        assert not summarise(zeros, statistic, "max").any()


def test_the_spread_survives_a_large_mean():
    maps = people(*(np.array([1e4]) + np.array([[-1.0], [0.0], [1.0]])))
    assert summarise(maps, "t")[0] == pytest.approx(1e4 * np.sqrt(3), rel=1e-6)


def test_a_generator_is_enough():
    assert summarise((pair for pair in people([1.0], [3.0])), "mean_signed")[0] == 2


@pytest.mark.parametrize(
    ("maps", "statistic", "normalise", "message"),
    [
        ([[1]], "median", "none", "Unknown statistic 'median'"),
        ([[1]], "t", "none", "at least 2 people, got 1"),
        ([[1]], "mean_signed", "sum", "Unknown normalisation 'sum'"),
        ([], "mean_signed", "none", "no maps to summarise"),
        ([[1], [1, 2]], "mean_signed", "none", r"participant p1 has the shape \(2,\)"),
    ],
)
def test_refusals(maps, statistic, normalise, message):
    with pytest.raises(InputError, match=message):
        summarise(people(*maps), statistic, normalise)


def test_smoothing_spreads_in_mm_not_in_voxels():
    point = np.zeros((31, 31, 31))
    point[15, 15, 15] = 1
    wide = smooth(point, 8.0, np.diag([-1.0, 2.0, 4.0, 1.0]))
    # Half the height at half the width: 4 mm = 4, 2 and 1 voxels.
    for neighbour in ((19, 15, 15), (15, 17, 15), (15, 15, 16)):
        assert wide[neighbour] / wide[15, 15, 15] == pytest.approx(0.5, rel=0.02)


def test_a_flat_brain_stays_flat_and_nothing_leaks_over_its_rim():
    brain = np.zeros((12, 12, 12), dtype=bool)
    brain[3:9, 3:9, 3:9] = True
    volume = np.where(brain, 2.0, 50.0)
    smoothed = smooth(volume, 9.0, COMMON.affine, brain)
    np.testing.assert_allclose(smoothed[brain], 2.0, rtol=1e-6)
    assert not smoothed[~brain].any()


def test_no_width_only_takes_the_brain():
    volume = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(smooth(volume, 0, COMMON.affine), volume)
    brain = volume > 0
    np.testing.assert_array_equal(smooth(volume, 0, COMMON.affine, brain), np.where(brain, volume, 0))


def test_smoothing_refuses_negative_widths_and_other_shapes():
    with pytest.raises(InputError, match=r"0 mm or more, got -1"):
        smooth(np.ones((3, 3, 3)), -1, COMMON.affine)
    with pytest.raises(InputError, match=r"\(2, 2, 2\)"):
        smooth(np.ones((3, 3, 3)), 1, COMMON.affine, np.ones((2, 2, 2)))


def test_joint_weighs_classes_equally():
    maps = [np.full((2, 2, 2), 0.9), np.full((2, 2, 2), 0.7)]
    np.testing.assert_allclose(joint(maps), 0.8, rtol=1e-6)
    np.testing.assert_allclose(joint(maps, "sum"), 1.6, rtol=1e-6)
    np.testing.assert_allclose(joint(maps, "difference"), -0.2, rtol=1e-6)
    with pytest.raises(InputError, match="of two maps, got 3"):
        joint([*maps, maps[0]], "difference")
    with pytest.raises(InputError, match="Unknown way 'max'"):
        joint(maps, "max")
    with pytest.raises(InputError, match="one shape"):
        joint([maps[0], np.ones(3)])


def test_the_difference_of_two_groups_is_welch_s_t(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (9, 2, 3, 4)), rng.normal(0.5, 3, (5, 2, 3, 4))
    first[:, 0, 0, 0], second[:, 0, 0, 0] = 1, 2  # nobody varies here
    found = welch(enumerate(first), enumerate(second))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        expected = ttest_ind(second, first, equal_var=False).statistic
    expected[0, 0, 0] = 0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(InputError, match="at least 2 people"):
        welch(enumerate(first[:1]), enumerate(second))


def test_an_outlier_who_comes_first_does_not_blur_the_spread():
    values = np.random.default_rng(0).normal(3, 1e-3, (50, 20))
    values[0] = 1e6
    found = summarise(enumerate(values), "t")
    np.testing.assert_allclose(found, ttest_1samp(values, 0).statistic, rtol=1e-5)
    np.testing.assert_array_equal(summarise(enumerate(values[:1].repeat(3, axis=0)), "t"), 0)  # nobody varies


@pytest.mark.parametrize("statistic", ["mean_signed", "t"])
def test_the_order_in_memory_does_not_matter(statistic):
    maps = np.random.default_rng(0).normal(size=(5, 4, 5, 6)).astype(np.float32)
    expected = summarise(enumerate(maps), statistic)
    mixed = [np.asfortranarray(one) if number % 2 else one for number, one in enumerate(maps)]
    for turned in (mixed, mixed[:1] + mixed[:0:-1]):
        np.testing.assert_allclose(summarise(enumerate(turned), statistic), expected, rtol=1e-6)


def windowed(volume, fwhm_mm, affine, brain):
    """Smooth by scipy's sliding window on the whole grid, with weights that sum to 1 inside the brain."""
    sigma = fwhm_mm / FWHM_PER_SIGMA / np.linalg.norm(affine[:3, :3], axis=0)
    inside = gaussian_filter(np.where(brain, volume, 0).astype(float), sigma)
    return np.where(brain, inside / np.where(brain, gaussian_filter(brain.astype(float), sigma), 1), 0)


@pytest.mark.parametrize("fwhm_mm", [2.0, 11.0, 60.0])
@pytest.mark.parametrize("where", ["middle", "at the rim of the grid", "scattered", "everywhere", "one voxel"])
def test_smoothing_inside_the_brain_is_that_of_a_sliding_window(fwhm_mm, where):
    rng, shape, affine = np.random.default_rng(0), (15, 18, 13), np.diag([-3.0, 2, 4, 1])
    volume, brain = rng.normal(size=shape).astype(np.float32), np.zeros(shape, dtype=bool)
    boxes = {"middle": np.s_[4:11, 5:13, 4:9], "at the rim of the grid": np.s_[:7, 9:, :], "one voxel": np.s_[3, 4, 5]}
    brain[boxes.get(where, np.s_[:])] = True
    if where == "scattered":
        brain &= rng.random(shape) < 0.3
    volume[~brain] = np.nan  # what lies outside is not looked at
    expected = windowed(volume, fwhm_mm, affine, brain)
    smoother = BrainSmoother(fwhm_mm, affine, brain)
    for one in (volume, np.asfortranarray(volume), 2 * volume, volume):  # nothing is left of the one before
        found = smoother(one)
        np.testing.assert_allclose(found, expected[brain] * (2 if one[brain][0] != volume[brain][0] else 1), rtol=1e-6)
        assert found.dtype == np.float32
    np.testing.assert_array_equal(smooth(volume, fwhm_mm, affine, brain)[brain], found)


def test_an_empty_brain_has_nothing_to_smooth():
    brain = np.zeros((3, 4, 5), dtype=bool)
    assert BrainSmoother(8, COMMON.affine, brain)(np.ones(brain.shape)).shape == (0,)
    assert not smooth(np.ones(brain.shape), 8, COMMON.affine, brain).any()
