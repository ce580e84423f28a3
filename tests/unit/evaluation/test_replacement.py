"""What stands in for voxels that are taken away."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from voxplain.base.errors import InputError
from voxplain.evaluation.replacement import Replacement, draw_donors

SHAPE = (6, 7, 8)


@pytest.fixture
def stack():
    return np.random.default_rng(0).standard_normal((9, *SHAPE)).astype(np.float32)


def cohort(targets, first=0):
    ids = [f"{i:03d}" for i in range(first, first + len(targets))]
    return pd.DataFrame({"participant_id": ids, "target": targets, "row": range(first, first + len(targets))})


def test_the_mean_image_and_the_own_image_blurred(stack):
    image = torch.from_numpy(stack[2:3, None])
    mean = stack.mean(axis=0)
    (replaced,) = Replacement("mean", mean_image=mean).images(image, "x")
    np.testing.assert_array_equal(replaced[0], mean)
    (replaced,) = Replacement("blur", blur_sigma=1.0).images(image, "x")
    expected = gaussian_filter(stack[2].astype(float), 1.0, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(replaced[0], expected, atol=1e-5)


def test_donors_give_one_image_a_draw(stack):
    found = Replacement("resample", stack=stack, donors={"x": [5, 1]}).images(torch.from_numpy(stack[2:3, None]), "x")
    np.testing.assert_array_equal(found, stack[[5, 1]][:, None])


def test_donors_are_others_of_the_same_class():
    everybody = cohort(["F", "M", "M"] * 6)
    donors = draw_donors(everybody, everybody, "classification", 4, 3)
    target = everybody["target"]
    for row, person in enumerate(everybody["participant_id"]):
        assert len(set(donors[person])) == 4
        assert row not in donors[person]
        assert set(target[donors[person]]) == {target[row]}
    # Of six women each has five others: no more can be drawn, and all are.
    assert sorted(draw_donors(everybody, everybody, "classification", 9, 3)["000"]) == [3, 6, 9, 12, 15]


def test_draws_depend_on_seed_and_person_alone():
    everybody = cohort(["F", "M"] * 10)
    expected = draw_donors(everybody, everybody, "classification", 3, 3)
    shuffled = everybody.sample(frac=1, random_state=1)
    assert draw_donors(shuffled.head(5), shuffled, "classification", 3, 3).items() <= expected.items()
    more = draw_donors(everybody, everybody, "classification", 6, 3)
    assert {person: rows[:3] for person, rows in more.items()} == expected
    assert draw_donors(everybody, everybody, "classification", 3, 4) != expected
    assert len({tuple(rows) for rows in expected.values()}) > 10  # not one draw for all


def test_donors_for_a_number_are_the_nearest_quarter():
    candidates = cohort([float(i) for i in (7, 3, 11, 0, 5, 1, 9, 2, 10, 4, 8, 6)])
    person = cohort([4.2], first=50)
    (rows,) = draw_donors(person, candidates, "regression", 9, 0).values()
    assert sorted(candidates["target"][rows]) == [3, 4, 5]
    (rows,) = draw_donors(candidates[candidates["target"] == 4], candidates, "regression", 9, 0).values()
    assert 4 not in set(candidates["target"][rows])
    assert len(rows) == 3  # a quarter of eleven, rounded up


def test_refusals(stack):
    alone = cohort(["F", "M", "M", "X", "X"])
    with pytest.raises(InputError, match=r"(?s)nobody else of these classes.*\n  - F \(needed for 1 people\)\nUse"):
        draw_donors(alone, alone, "classification", 2, 0)
    with pytest.raises(InputError, match=r"(?s)\n  - F \(needed for 1 people\)\n  - X \(needed for 2 people\)"):
        draw_donors(alone, alone[1:3], "classification", 2, 0)
    with pytest.raises(InputError, match="draws: 0 must be at least 1"):
        draw_donors(alone, alone, "classification", 0, 0)
    with pytest.raises(InputError, match="'noise' is not one of mean, blur, resample"):
        Replacement("noise")
    with pytest.raises(InputError, match="blur_sigma: 0 must be above 0"):
        Replacement("blur", blur_sigma=0)
    with pytest.raises(InputError, match="mean needs the population's mean image"):
        Replacement("mean")
    with pytest.raises(InputError, match="needs the stack of images and the donors"):
        Replacement("resample", stack=stack)
    with pytest.raises(InputError, match="x has no donors"):
        Replacement("resample", stack=stack, donors={}).images(torch.zeros(1, 1, *SHAPE), "x")
    with pytest.raises(InputError, match=r"have the shape \(6, 7, 8\), but the person's \(3, 3, 3\)"):
        Replacement("resample", stack=stack, donors={"x": [1]}).images(torch.zeros(1, 1, 3, 3, 3), "x")
