import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.base.seeds import stream
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.population.threshold import threshold, top_voxels


@pytest.fixture
def brain():
    inside = np.zeros((10, 10, 10), dtype=bool)
    inside[1:9, 1:9, 1:9] = True
    return inside


@pytest.mark.parametrize("percent", [0.2, 1, 3.3, 5, 50, 100])
def test_the_mask_has_exactly_that_share_of_the_brain(brain, percent):
    volume = np.random.default_rng(0).normal(size=brain.shape)
    mask = threshold(volume, brain, "top_percent", percent)
    assert mask.sum() == round(percent / 100 * 512)
    assert not mask[~brain].any()
    if percent < 100:
        assert np.abs(volume[mask]).min() > np.abs(volume[brain & ~mask]).max()


def test_the_absolute_value_decides_and_what_lies_outside_does_not_count(brain):
    volume = np.zeros(brain.shape)
    volume[0, 0, 0] = 100
    volume[2, 2, 2], volume[3, 3, 3], volume[4, 4, 4] = -5, 4, 3
    mask = top_voxels(volume, brain, 2)
    assert mask[2, 2, 2]
    assert mask[3, 3, 3]
    assert mask.sum() == 2


def test_equal_values_do_not_prefer_a_side():
    """A plateau over both halves of the head: the order of memory would take one half only."""
    brain = mni_brain()
    middle = COMMON.shape[0] // 2
    mask = threshold(np.ones(COMMON.shape), brain, "top_percent", 30)
    right, left = mask[:middle].sum(), mask[middle:].sum()
    assert abs(int(right) - int(left)) < 0.05 * mask.sum()
    np.testing.assert_array_equal(mask, threshold(np.ones(COMMON.shape), brain, "top_percent", 30))


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("count", [0, 1, 40, 300, 511, 512, 600])
def test_the_choice_is_that_of_a_whole_sorting(brain, decimals, count):
    """With many, some and no equal values, and zeros."""
    volume = np.maximum(np.random.default_rng(1).normal(size=brain.shape).round(decimals), -1)
    volume[:, :4] = 0
    values = np.abs(volume[brain])
    order = np.lexsort((stream(0, "ties of a threshold").permutation(values.size), -values))[:count]
    expected = np.zeros(values.size, dtype=bool)
    expected[order] = values[order] > 0
    mask = top_voxels(volume, brain, count)
    np.testing.assert_array_equal(mask[brain], expected)
    assert not mask[~brain].any()


def test_zeros_are_never_chosen(brain):
    volume = np.zeros(brain.shape)
    volume[2, 2, 2:5] = 1
    with pytest.warns(UserWarning, match="3 voxels instead of 26"):
        mask = threshold(volume, brain, "top_percent", 5)
    np.testing.assert_array_equal(mask, volume > 0)


@pytest.mark.parametrize(("kind", "value"), [("top_percent", 5), ("absolute", 0), ("absolute", 0.3)])
def test_an_all_zero_map_gives_an_empty_mask_and_says_so(brain, kind, value):
    with pytest.warns(UserWarning, match="The mask is empty: the map is 0 in the whole brain"):
        assert not threshold(np.zeros(brain.shape), brain, kind, value).any()


def test_absolute_includes_the_value_itself(brain):
    volume = np.zeros(brain.shape)
    volume[2, 2, 2], volume[3, 3, 3], volume[4, 4, 4], volume[0, 0, 0] = 0.5, -0.75, 0.25, 9
    assert set(map(tuple, np.argwhere(threshold(volume, brain, "absolute", 0.5)))) == {(2, 2, 2), (3, 3, 3)}
    with pytest.warns(UserWarning, match=r"no voxel reaches absolute 2"):
        threshold(volume, brain, "absolute", 2)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("top_percent", 0, "above 0 and not above 100, got 0"),
        ("top_percent", 101, "got 101"),
        ("absolute", -0.1, "0 or more, got -0.1"),
        ("percentile", 5, "'percentile'; expected top_percent or absolute"),
    ],
)
def test_settings_out_of_range_are_refused(brain, kind, value, message):
    with pytest.raises(InputError, match=message):
        threshold(np.ones(brain.shape), brain, kind, value)


def test_broken_maps_and_brains_are_refused(brain):
    volume = np.ones(brain.shape)
    volume[2, 2, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        threshold(volume, brain)
    with pytest.raises(InputError, match="empty"):
        threshold(np.ones(brain.shape), np.zeros(brain.shape))
    with pytest.raises(InputError, match="shape"):
        threshold(np.ones((2, 2, 2)), brain)
