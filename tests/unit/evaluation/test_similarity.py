"""Likeness of two maps: closed forms, invariances, and what has no value."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.similarity import COLUMNS, compare_maps, similarity

SHAPE = (10, 10, 10)
FULL = np.ones(SHAPE, bool)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)


@pytest.fixture
def brain():
    mask = np.zeros(SHAPE, bool)
    mask[2:9, 1:8, 2:8] = True
    return mask


def test_equal_maps_give_1(maps, brain):
    assert similarity(maps[0], maps[0], brain) == pytest.approx({"spearman": 1, "spearman_absolute": 1, "ssim": 1})


def test_the_sign_counts_for_one_of_them(maps, brain):
    assert similarity(maps[0], -maps[0], brain) == pytest.approx({"spearman": -1, "spearman_absolute": 1, "ssim": 1})


def test_neither_scale_nor_order_of_the_maps_nor_what_lies_outside_counts(maps, brain):
    expected = similarity(maps[0], maps[1], brain)
    assert similarity(maps[1], maps[0], brain) == pytest.approx(expected)
    other = np.where(brain, 1e-6 * maps[1], 1e3)
    assert similarity(maps[0], other, brain) == pytest.approx(expected)


def test_rank_correlation_in_closed_form():
    """ρ = 1 - 6 Σd² / (n (n² - 1)) without ties; two neighbours changed places: Σd² = 2."""
    first = np.arange(1.0, 1001).reshape(SHAPE)
    second = first.copy()
    second.flat[[4, 5]] = second.flat[[5, 4]]
    result = similarity(first, second, FULL)
    assert result["spearman"] == pytest.approx(1 - 12 / (1000 * (1000**2 - 1)), abs=1e-15)
    assert result["spearman"] < 1
    assert similarity(first, -second, FULL)["spearman"] == pytest.approx(-result["spearman"])


def test_independent_maps_are_alike_by_chance_only(maps):
    """Under independence the standard deviation of ρ is 1/√(n - 1)."""
    for other in maps[1:]:
        result = similarity(maps[0], other, FULL)
        assert abs(result["spearman"]) < 4 / np.sqrt(999)
        assert abs(result["spearman_absolute"]) < 4 / np.sqrt(999)


def test_a_common_factor_keeps_absolute_maps_alike_as_documented():
    draws = np.random.default_rng(1).normal(size=(3, 40, 40, 40))
    result = similarity(draws[0] * draws[1], draws[0] * draws[2], np.ones((40, 40, 40), bool))
    assert result == pytest.approx({"spearman": 0, "spearman_absolute": 0.47, "ssim": result["ssim"]}, abs=0.02)
    assert 0.35 < result["ssim"] < 0.5


def test_what_has_no_value_is_nan(maps, brain):
    zero = np.zeros(SHAPE)
    assert all(np.isnan(value) for value in similarity(maps[0], zero, brain).values())
    signs = similarity(np.sign(maps[0]), maps[0], brain)  # constant only without its signs
    assert signs["spearman"] > 0.5
    assert np.isnan(signs["spearman_absolute"])
    assert 0 < signs["ssim"] < 1


def test_comparison_of_people_and_of_their_mean(maps, brain):
    others = np.stack([maps[0], -maps[1], maps[0], np.zeros(SHAPE)])
    single = [similarity(a, b, brain) for a, b in zip(maps, others, strict=True)]
    table = compare_maps(maps, others, brain)
    assert list(table) == ["level", *COLUMNS, "people", "undefined"]
    people, population = (row for _, row in table.iterrows())
    for measure in ("spearman", "spearman_absolute", "ssim"):
        values = [one[measure] for one in single[:3]]
        assert people[measure] == pytest.approx(np.mean(values))
        assert people[f"{measure}_sd"] == pytest.approx(np.std(values, ddof=1))
    joint = similarity(maps.mean(axis=0), others.mean(axis=0), brain)
    assert dict(population[list(joint)]) == pytest.approx(joint, rel=1e-5)
    assert population[[f"{measure}_sd" for measure in joint]].isna().all()
    assert table["people"].tolist() == [4, 4]
    assert table["undefined"].tolist() == [1, 1]


def test_the_order_of_people_plays_no_part(maps, brain):
    others = maps[::-1] + maps
    order = [2, 0, 3, 1]
    pd.testing.assert_frame_equal(compare_maps(maps, others, brain), compare_maps(maps[order], others[order], brain))


def test_refusals(maps, brain):
    with pytest.raises(InputError, match=r"Maps \(10, 10, 10\) and \(9, 10, 10\) and brain mask \(10, 10, 10\) must"):
        similarity(maps[0], maps[0][1:], brain)
    with pytest.raises(InputError, match="empty"):
        similarity(maps[0], maps[1], np.zeros(SHAPE, bool))
    with pytest.raises(InputError, match="smaller than the 7 voxels"):
        similarity(maps[0, :6], maps[1, :6], brain[:6])
    damaged = maps[0].copy()
    damaged[0, 0, 0] = np.nan
    assert similarity(damaged, maps[0], brain)["spearman"] == pytest.approx(1)  # outside the brain
    damaged[4, 4, 4] = np.inf
    with pytest.raises(InputError, match="finite"):
        similarity(damaged, maps[0], brain)
    with pytest.raises(InputError, match="4 maps and 3 to compare"):
        compare_maps(maps, maps[:3], brain)
