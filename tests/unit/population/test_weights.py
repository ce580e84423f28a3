"""The joint map as a weighted sum over people."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.population.groups import members_of
from voxplain.population.summary import joint, summarise
from voxplain.population.weights import person_weights

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
