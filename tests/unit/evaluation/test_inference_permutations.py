"""Rearrangements that keep families whole, and what ignoring families would do."""

import math

import numpy as np
import pandas as pd
import pytest

from voxplain.evaluation.inference import mean_contrast, permutation_test, target_contrasts
from voxplain.evaluation.permutations import draw_exchanges, draw_signs, log_arrangements, log_sign_patterns, smallest_p
from voxplain.models.exchange import exchangeable_blocks, number_families
from voxplain.models.rerun import shuffle_targets


@pytest.fixture
def cohort():
    """Families of one to three people in three folds, in no order."""
    rng = np.random.default_rng(0)
    family = np.repeat(np.arange(21), [1, 1, 1, 2, 2, 2, 3] * 3)
    ids = [f"{number:03d}" for number in rng.permutation(len(family))]
    people = pd.DataFrame({"participant_id": ids, "fold": family // 7, "target": rng.choice(["F", "M"], len(family))})
    return people, pd.Series([f"hash{number * 7919 % 101}" for number in family])


@pytest.mark.parametrize("related", [True, False])
def test_they_are_the_permutations_that_networks_are_trained_on(cohort, related):
    people, families = cohort
    families = families if related else None
    exchanges = draw_exchanges(exchangeable_blocks(people, families), 5, seed=3)
    for number, rows in enumerate(exchanges):
        expected = shuffle_targets(people, 3, number, families)
        np.testing.assert_array_equal(people["target"].to_numpy()[rows], expected)
        np.testing.assert_array_equal(people["fold"].to_numpy()[rows], people["fold"])


def test_a_permutation_depends_on_its_number_alone(cohort):
    strata = exchangeable_blocks(*cohort)
    np.testing.assert_array_equal(draw_exchanges(strata, 3, 1), draw_exchanges(strata, 8, 1)[:3])
    numbers = number_families(*cohort)
    np.testing.assert_array_equal(draw_signs(numbers, 3, 1), draw_signs(numbers, 8, 1)[:3])
    assert (draw_exchanges(strata, 3, 1) != draw_exchanges(strata, 3, 2)).any()


def test_families_have_one_sign(cohort):
    people, families = cohort
    numbers = number_families(people, families)
    assert sorted(set(numbers)) == list(range(21))
    signs = draw_signs(numbers, 400, 0)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 0.05
    for name in families.unique():
        assert (np.ptp(signs[:, families == name], axis=1) == 0).all()
    # Names of families and the order of people do not matter.
    order = people.index[::-1]
    turned = number_families(people.loc[order], families.map(lambda name: f"x{name[::-1]}").loc[order])
    np.testing.assert_array_equal(turned[::-1], numbers)


def test_arrangements_are_counted():
    people = pd.DataFrame({"participant_id": list("abcdefghij"), "fold": 0, "target": list("FMFFMMMFMM")})
    families = pd.Series(list("112233" + "wxyz"))  # three pairs with FM, FF, MM; four alone with MFMM
    strata = exchangeable_blocks(people, families)
    drawn = people["target"].to_numpy()[draw_exchanges(strata, 2000, 0)]
    different = {"".join(row) for row in drawn}
    # Three pairs that differ can be ordered in 6 ways, the mixed one in 2, and the one F among four has 4 places.
    assert len(different) == 6 * 2 * 4
    assert math.exp(log_arrangements(strata, people["target"])) == pytest.approx(48)
    assert smallest_p(999, log_arrangements(strata, people["target"])) == pytest.approx(1 / 48)
    assert smallest_p(9, log_arrangements(strata, people["target"])) == pytest.approx(0.1)
    assert math.exp(log_sign_patterns(number_families(people, families))) == pytest.approx(2**6)


@pytest.mark.parametrize("contrast", ["difference", "mean"])
def test_under_the_null_one_in_twenty_is_significant_unless_twins_are_taken_for_strangers(contrast):
    """Identical twins of one class, 12 pairs in 2 folds, 4 voxels of noise."""
    pairs = np.repeat(np.arange(12), 2)
    targets = np.array(list("ABABABBABABA"))[pairs]
    people = pd.DataFrame({"participant_id": [f"{n:02d}" for n in range(24)], "fold": pairs % 2, "target": targets})
    rng, rates = np.random.default_rng(0), {"families": 0.0, "strangers": 0.0}
    for name, families, repeats in (("families", pd.Series(pairs), 500), ("strangers", None, 100)):
        strata, numbers = exchangeable_blocks(people, families), number_families(people, families)
        for repeat in range(repeats):
            values = rng.normal(size=(12, 4))[pairs]
            if contrast == "mean":
                contrasts = [mean_contrast(draw_signs(numbers, 39, repeat))]
            else:
                exchanges = draw_exchanges(strata, 39, repeat)
                contrasts = target_contrasts(people, exchanges, "classification", ["A", "B"])
            rates[name] += (permutation_test(values, contrasts).p_fwe.min() <= 0.05) / repeats
    # The standard deviation of a rate of 0.05 in 500 repeats is 0.01.
    assert 0.02 < rates["families"] < 0.08
    assert rates["strangers"] > 0.15
