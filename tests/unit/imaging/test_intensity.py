"""Intensities inside and outside of the brain."""

import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging.intensity import normalise


@pytest.fixture
def volume():
    data = np.random.default_rng(0).normal(500, 80, (12, 12, 12)).astype(np.float32)
    inside = np.zeros(data.shape, dtype=bool)
    inside[3:9, 2:10, 4:8] = True
    return data, inside


def test_zscore_is_of_the_brain_and_0_outside(volume):
    data, inside = volume
    result = normalise(data, inside, "zscore")
    assert result.dtype == np.float32
    assert result[inside].mean() == pytest.approx(0, abs=1e-6)
    assert result[inside].std() == pytest.approx(1, rel=1e-6)
    assert not result[~inside].any()


def test_zscore_forgets_gain_and_offset(volume):
    data, inside = volume
    np.testing.assert_allclose(normalise(3 * data + 40, inside, "zscore"), normalise(data, inside, "zscore"), atol=1e-4)


def test_none_keeps_everything(volume):
    data, inside = volume
    np.testing.assert_array_equal(normalise(data, inside, "none"), data)


def test_what_has_no_zscore(volume):
    data, inside = volume
    with pytest.raises(InputError, match="same intensity everywhere"):
        normalise(np.full_like(data, 7), inside, "zscore")
    with pytest.raises(InputError, match="brain is empty"):
        normalise(data, np.zeros_like(inside), "zscore")


def test_another_kind_is_refused(volume):
    with pytest.raises(InputError, match=r"images.intensity: 'minmax' is not one of none, zscore"):
        normalise(*volume, "minmax")
