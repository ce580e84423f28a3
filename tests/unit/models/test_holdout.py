import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.models.answers import Answers
from voxplain.models.holdout import hold_out


def classes(*counts):
    return Answers(np.repeat(np.arange(len(counts)), counts), True)


def test_sides_are_disjoint_complete_and_stratified():
    train, validation = hold_out(classes(70, 35), 0.2, seed=1)
    assert sorted([*train, *validation]) == list(range(105))
    assert (validation < 70).sum() == 14
    assert (validation >= 70).sum() == 7


def test_split_is_a_function_of_the_seed():
    first, second, other = (hold_out(classes(30, 30), 0.2, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == second != other


def test_families_stay_together():
    groups = [f"family {i // 3}" for i in range(60)]
    train, validation = hold_out(classes(30, 30), 0.2, 1, groups)
    assert not {groups[i] for i in train} & {groups[i] for i in validation}
    assert 6 <= len(validation) <= 18


def test_regression_holds_out_low_and_high_values():
    values = np.random.default_rng(0).permutation(100).astype(float)
    _, validation = hold_out(Answers(values, False), 0.2, seed=1)
    assert np.histogram(values[validation], bins=[0, 20, 40, 60, 80, 100])[0].tolist() == [4] * 5


def test_regression_with_ties():
    train, validation = hold_out(Answers(np.array([1.0] * 9 + [2.0]), False), 0.2, seed=1)
    assert len(train) == 8
    assert len(validation) == 2


def test_few_people_are_split_as_far_as_possible():
    train, validation = hold_out(classes(2, 10), 0.15, seed=0)
    assert set(np.repeat([0, 1], [2, 10])[train]) == {0, 1}
    assert (validation < 2).sum() == 1


@pytest.mark.parametrize("groups", [None, ["a"] * 5 + ["b", "c", "d"]])
def test_too_few_people_or_families(groups):
    counts = (1, 7) if groups is None else (5, 3)
    with pytest.raises(InputError, match=r"too few for an inner validation split.*checkpoint: last"):
        hold_out(classes(*counts), 0.15, 0, groups)


def test_names_of_families_do_not_matter():
    """They are salted hashes, and the salt is another one in every run."""
    families = [i // 3 for i in range(60)]
    splits = [hold_out(classes(30, 30), 0.2, 1, [f"{name}{(7 * f) % 20}" for f in families]) for name in "ab"]
    plain = hold_out(classes(30, 30), 0.2, 1, families)
    for split in splits:
        assert np.array_equal(split[0], plain[0])
        assert np.array_equal(split[1], plain[1])
