import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from voxplain.base.errors import InputError
from voxplain.evaluation.localization import MEASURES
from voxplain.evaluation.shuffled_truth import score_beside_chance, shuffle_truth

SHAPE = (16, 14, 12)


@pytest.fixture(scope="module")
def brain():
    where = (np.indices(SHAPE) - np.reshape([7.5, 6.5, 5.5], (3, 1, 1, 1))) / np.reshape([7.5, 6.5, 5.5], (3, 1, 1, 1))
    return (where**2).sum(axis=0) < 1


@pytest.fixture(scope="module")
def truth():
    """Two spots without any symmetry: an L of 8 voxels and a rod of 3."""
    planted = np.zeros(SHAPE, dtype=np.uint8)
    planted[4:8, 5, 4:6] = 1
    planted[4, 5, 6] = 1
    planted[9, 6:9, 7] = 3
    return planted


@pytest.fixture(scope="module")
def shuffled(brain, truth):
    return shuffle_truth(truth, brain, 99, seed=1)


def volumes_of(shuffled, brain):
    for places in shuffled:
        volume = np.zeros(brain.size, dtype=bool)
        volume[np.flatnonzero(brain)[places]] = True
        yield volume.reshape(brain.shape)


def all_placements(truth, brain, least):
    """Every flip and shift by loops: the sets of voxels in the brain, other than the truth itself."""
    here = np.argwhere(truth)
    found = set()
    for flip in np.ndindex(2, 2, 2):
        flipped = np.where(flip, -here, here)
        flipped = flipped - flipped.min(axis=0)
        for shift in np.ndindex(*(2 * n for n in brain.shape)):
            moved = flipped + shift - brain.shape
            moved = moved[((moved >= 0) & (moved < brain.shape)).all(axis=1)]
            kept = tuple(sorted(tuple(voxel) for voxel in moved.tolist() if brain[tuple(voxel)]))
            if len(kept) >= least * len(here):
                found.add(kept)
    return found - {tuple(sorted(map(tuple, here.tolist())))}


def test_all_placements_that_fit_are_found_and_none_twice():
    brain = np.ones((5, 4, 4), dtype=bool)
    brain[0, 0], brain[4, 3, 3] = False, False
    truth = np.zeros(brain.shape, dtype=bool)
    truth[1:4, 1, 1], truth[1, 2, 1] = True, True
    expected = all_placements(truth, brain, 1.0)
    found = [
        tuple(map(tuple, np.argwhere(one).tolist()))
        for one in volumes_of(shuffle_truth(truth, brain, 999, 0, 1), brain)
    ]
    assert len(found) == len(expected) > 20
    assert set(found) == expected
    # Three of four voxels suffice: the same voxels can be left of two placements.
    looser = shuffle_truth(truth, brain, 9999, 0, 0.75)
    sets = {tuple(map(tuple, np.argwhere(one).tolist())) for one in volumes_of(looser, brain)}
    assert sets == all_placements(truth, brain, 0.75)


def test_a_moved_truth_keeps_its_shape_and_stays_in_the_brain(brain, truth):
    whole = shuffle_truth(truth, brain, 50, seed=1, min_inside=1)
    here = np.argwhere(truth)
    shapes = [np.where(flip, -here, here) for flip in np.ndindex(2, 2, 2)]
    shapes = {tuple(sorted(map(tuple, (one - one.min(axis=0)).tolist()))) for one in shapes}
    seen = set()
    for moved in volumes_of(whole, brain):
        assert not (moved & ~brain).any()
        assert not np.array_equal(moved, truth > 0)
        there = np.argwhere(moved)
        seen.add(tuple(map(tuple, (there - there.min(axis=0)).tolist())))
        assert label(moved, np.ones((3, 3, 3)))[1] == 2
    assert seen <= shapes
    assert len(seen) > 4


def test_what_falls_outside_is_dropped_but_not_more_than_allowed(brain, truth):
    sizes = {len(places) for places in shuffle_truth(truth, brain, 500, seed=1, min_inside=0.75)}
    assert min(sizes) == 9  # of 12
    assert max(sizes) == 12


def test_draws_come_from_the_seed_alone(brain, truth, shuffled):
    again, other = shuffle_truth(truth > 0, brain, 99, seed=1), shuffle_truth(truth, brain, 99, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(shuffled, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(shuffled, other, strict=True))


def test_the_perfect_map_has_the_smallest_p(brain, truth, shuffled):
    result = score_beside_chance(np.where(truth > 0, 2.0, 0), truth, brain, shuffled)
    assert result["voxels"] == 12
    for name in MEASURES:
        assert result[name] == 1
        assert result[f"{name}_p"] == 1 / 100
        assert result[f"{name}_chance"] < 0.65
        assert result[f"{name}_chance"] <= result[f"{name}_chance_95"] < 1 or name == "pointing"


def test_the_opposite_of_the_truth_has_the_largest_p(brain, truth, shuffled):
    result = score_beside_chance(np.where(truth > 0, 0.1, 1.0), truth, brain, shuffled)
    assert result["auc"] == 0
    assert result["dice"] == result["pointing"] == 0
    # Not average precision, which is least for a truth that is neither all among the weak voxels nor all without.
    assert [result[f"{name}_p"] for name in ("auc", "dice", "inside", "pointing")] == [1, 1, 1, 1]


@pytest.mark.parametrize("sigma", [0, 1.5])
def test_noise_lies_within_the_interval_of_chance(brain, truth, shuffled, sigma):
    """Smooth noise as well: what random voxels could not tell, moved spots can."""
    rng = np.random.default_rng(5)
    results = [
        score_beside_chance(gaussian_filter(rng.normal(size=SHAPE), sigma), truth, brain, shuffled) for _ in range(60)
    ]
    for name in MEASURES:
        p = np.array([one[f"{name}_p"] for one in results])
        # As often as it should: 3 of 60 are expected, and 9 or more come about in less than 1 of 300 cases.
        assert (p <= 0.05).sum() < 9
    for name in ("auc", "inside"):
        p = np.array([one[f"{name}_p"] for one in results])
        assert 0.3 < np.median(p) < 0.7
        assert np.mean([one[name] for one in results]) == pytest.approx(
            np.mean([one[f"{name}_chance"] for one in results]), abs=0.06
        )


def test_voxels_lost_at_the_edge_do_not_lower_chance(brain, truth):
    """A constant map shows nothing, wherever the truth lies and however much of it is left."""
    looser = shuffle_truth(truth, brain, 200, seed=1, min_inside=0.5)
    assert np.mean([len(places) for places in looser]) < 11
    result = score_beside_chance(np.ones(SHAPE), truth, brain, looser)
    for name in ("auc", "average_precision", "inside", "pointing"):
        assert result[f"{name}_chance"] == pytest.approx(result[name])
        assert result[f"{name}_p"] == 1


def test_an_empty_map_and_an_empty_truth(brain, truth, shuffled):
    zero = score_beside_chance(np.zeros(SHAPE), truth, brain, shuffled)
    assert zero["auc_p"] == zero["pointing_p"] == zero["dice_p"] == 1
    assert np.isnan([zero["inside"], zero["inside_chance"], zero["inside_p"]]).all()
    nothing = shuffle_truth(np.zeros(SHAPE), brain, 99, seed=1)
    assert nothing == []
    result = score_beside_chance(np.ones(SHAPE), np.zeros(SHAPE), brain, nothing)
    assert result.pop("voxels") == result.pop("places") == 0
    assert np.isnan(list(result.values())).all()


def test_a_truth_that_fits_nowhere_else_has_no_chance_level(brain, truth):
    wide = brain.copy()
    wide[7:9, 6:8, 5:7] = False  # the middle: no flip changes anything
    assert shuffle_truth(wide, brain, 99, seed=1, min_inside=1) == []
    alone = score_beside_chance(np.where(truth, 1.0, 0), truth, brain, [])
    assert alone["auc"] == 1
    assert np.isnan([alone["auc_chance"], alone["auc_chance_95"], alone["auc_p"]]).all()


def test_no_shuffle_at_all_is_refused(brain, truth):
    with pytest.raises(InputError, match="Shuffles must be 1 or more"):
        shuffle_truth(truth, brain, 0, seed=1)
