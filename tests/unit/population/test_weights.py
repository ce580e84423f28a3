"""The joint map as a weighted sum over people."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.population.groups import members_of
from voxplain.population.summary import joint, smooth, summarise
from voxplain.population.weights import joining_factors, joint_map, person_weights

PEOPLE = pd.DataFrame({"participant_id": list("edcba"), "target": ["M", "F", "M", "F", "M"]})


@pytest.mark.parametrize("how", ["mean", "sum", "difference"])
def test_the_weighted_sum_is_the_joint_map(how):
    maps = dict(zip(PEOPLE.participant_id, np.random.default_rng(0).normal(size=(5, 3, 4, 5)), strict=True))
    groups = ["F", "M"]
    of_groups = [summarise(((i, maps[i]) for i in members_of(group, PEOPLE)), "mean_signed") for group in groups]
    weights = person_weights(PEOPLE, how, groups)
    total = sum(weight * maps[person] for weight, person in zip(weights, PEOPLE.participant_id, strict=True))
    np.testing.assert_allclose(total, joint(of_groups, how), rtol=1e-5, atol=1e-6)


def test_everybody_counts_alike_and_thirds_leave_the_middle_out():
    np.testing.assert_allclose(person_weights(PEOPLE, "everybody", []), 0.2)
    ages = PEOPLE.assign(target=[30.0, 20.0, 50.0, 40.0, 60.0])
    weights = person_weights(ages, "welch", ["lowest-third", "highest-third"])
    np.testing.assert_allclose(weights, [-0.5, -0.5, 0, 0, 1])


@pytest.mark.parametrize(("how", "groups"), [("median", ["F"]), ("difference", ["F"]), ("mean", ["F", "X"])])
def test_what_cannot_be_joined_is_refused(how, groups):
    with pytest.raises(InputError):
        person_weights(PEOPLE, how, groups)


def test_factors_of_groups():
    assert joining_factors("everybody", []) == {"joint": 1.0}
    assert joining_factors("welch", ["F", "M"]) == {"F": -1.0, "M": 1.0}
    assert joining_factors("mean", ["A", "B", "C", "D"]) == dict.fromkeys("ABCD", 0.25)
    assert joining_factors("sum", ["A", "B"]) == {"A": 1.0, "B": 1.0}


def test_the_joint_map_in_one_go_equals_the_smoothed_map_of_the_groups():
    rng = np.random.default_rng(1)
    maps = {person: rng.normal(size=(8, 9, 10)) for person in PEOPLE.participant_id}
    brain, affine = rng.random((8, 9, 10)) < 0.8, np.diag([3.0, 3, 3, 1])
    of_groups = [
        smooth(summarise(((i, maps[i]) for i in members_of(group, PEOPLE)), "mean_rectified"), 6, affine, brain)
        for group in ("F", "M")
    ]
    arguments = ("difference", ["F", "M"], "mean_rectified", "none", 6, brain, affine)
    found = joint_map(reversed(maps.items()), PEOPLE, *arguments)
    np.testing.assert_allclose(found, joint(of_groups, "difference"), atol=1e-6)
    with pytest.raises(InputError, match="1 of 5 people have no map"):
        joint_map(list(maps.items())[1:], PEOPLE, *arguments)
    with pytest.raises(InputError, match="not among the people"):
        joint_map([("z", maps["a"])], PEOPLE, *arguments)
