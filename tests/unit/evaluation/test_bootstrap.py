"""Intervals of the shares and ranks of regions."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation import bootstrap
from voxplain.evaluation.bootstrap import (
    bootstrap_intervals,
    joinings,
    region_intervals,
    region_strengths,
    resampled_counts,
    tabulate_intervals,
)
from voxplain.evaluation.relevance_matrix import region_membership, stack_maps
from voxplain.imaging.grid import COMMON
from voxplain.population.atlas import Atlas
from voxplain.population.groups import members_of
from voxplain.population.regions import region_scores
from voxplain.population.summary import joint, smooth, summarise
from voxplain.population.weights import joining_factors, person_weights

SHAPE = (9, 8, 7)
EVERYBODY = {"joint": {"joint": 1.0}}


def atlas_of(labels, seed):
    data = np.random.default_rng(seed).integers(0, labels + 1, SHAPE).astype(np.int32) * 3
    index = np.arange(1, labels + 1) * 3
    names = {"index": index, "name": [f"Region {i}" for i in index], "hemisphere": "both"}
    return Atlas(f"of {labels}", data, pd.DataFrame(names))


ATLASES = {"few": atlas_of(4, 0), "many": atlas_of(9, 1)}


@pytest.fixture
def people():
    rng = np.random.default_rng(4)
    ids = [f"{number:02d}" for number in rng.permutation(20)]
    return pd.DataFrame({"participant_id": ids, "target": rng.permutation(list("FFFMM" * 4))})


@pytest.fixture
def maps(people):
    return dict(zip(people["participant_id"], np.random.default_rng(5).normal(0.3, 1, (20, *SHAPE)), strict=True))


@pytest.mark.parametrize("how", ["difference", "mean", "everybody"])
@pytest.mark.parametrize(("statistic", "normalise"), [("mean_signed", "none"), ("mean_rectified", "max")])
def test_point_estimates_are_those_of_the_table_of_regions(people, brain, maps, how, statistic, normalise):
    """Of the population map that is smoothed after the mean, joined after that, and scored on the whole grid."""
    groups = [] if how == "everybody" else ["F", "M"]

    def map_of(group):
        one = summarise(((i, maps[i]) for i in members_of(group, people)), statistic, normalise)
        return smooth(one, 8, COMMON.affine, brain)

    expected = {
        "F": map_of("F"),
        "joint": joint([map_of(group) for group in groups], how) if groups else map_of("joint"),
    }
    ids = list(people["participant_id"])
    matrix = stack_maps(reversed(maps.items()), ids, brain, COMMON.affine, statistic, normalise, 8)
    joining, membership = joinings(["F", "joint"], how, groups), region_membership(ATLASES, brain)
    table = bootstrap_intervals(matrix, people, None, joining, membership, ATLASES, 3, 3, seed=0)
    assert list(table) == bootstrap.COLUMNS
    for group, volume in expected.items():
        for name, atlas in ATLASES.items():
            own = table[(table["group"] == group) & (table["atlas"] == name)].reset_index(drop=True)
            scores = region_scores(volume, brain, atlas)
            pd.testing.assert_frame_equal(own[["index", "region", "rank"]], scores[["index", "region", "rank"]])
            np.testing.assert_allclose(own["share"], scores["share"], rtol=2e-5)
    assert set(table.loc[table["group"] == "F", "people"]) == {12}
    assert set(table.loc[table["group"] == "joint", "clusters"]) == {20}


def plain_weights(people, joining, counts):
    """Weights of everybody in every map, from who was drawn how often, by the table of the people drawn."""
    weights = {name: [] for name in joining}
    for times in counts:
        drawn = people.loc[np.repeat(people.index, times)]
        rows = people.index.get_indexer(drawn.index)
        drawn = drawn.assign(participant_id=[f"{person}-{copy}" for copy, person in enumerate(drawn.participant_id)])
        for name, (how, groups) in joining.items():
            own = person_weights(drawn, how, groups)
            weights[name].append(np.bincount(rows, own, minlength=len(people)))
    return {name: np.array(own) for name, own in weights.items()}


def test_families_are_drawn_whole_and_counts_follow_who_was_drawn(people):
    families = pd.Series([f"x{number // 4}" for number in range(20)])
    counts = resampled_counts(people, ["F", "M", "joint"], 30, 1, families)
    assert (counts["joint"][0] == 1).all()
    drawn = counts["joint"][1:]
    np.testing.assert_array_equal(drawn.reshape(30, 5, 4), np.repeat(drawn[:, ::4, None], 4, axis=2))
    np.testing.assert_array_equal(drawn.sum(axis=1), 20)
    assert drawn.max() >= 2
    assert (drawn == 0).any()
    for group in "FM":
        np.testing.assert_array_equal(counts[group], counts["joint"] * (people["target"] == group).to_numpy())
        assert counts[group].any(axis=1).all()


def test_replicates_depend_on_their_number_alone_and_not_on_the_order_of_people(people):
    families = pd.Series(np.arange(20) // 2)
    expected = resampled_counts(people, ["F", "joint"], 6, 1, families)
    order = people.index[::-1]
    turned = resampled_counts(people.loc[order], ["F", "joint"], 9, 1, families.loc[order])
    for group in expected:
        np.testing.assert_array_equal(turned[group][:7, ::-1], expected[group])


def test_thirds_are_cut_anew_and_somebody_drawn_twice_may_stand_in_two(people):
    ages = people.assign(target=np.arange(20.0))
    counts = resampled_counts(ages, ["lowest-third", "middle-third"], 50, 0)
    low = counts["lowest-third"]
    np.testing.assert_array_equal(low[0], [1] * 7 + [0] * 13)
    np.testing.assert_array_equal(low.sum(axis=1), 7)
    np.testing.assert_array_equal(counts["middle-third"].sum(axis=1), 7)
    assert len({row.nonzero()[0].max() for row in low}) > 3
    assert ((low > 0) & (counts["middle-third"] > 0)).any()


def test_draws_without_a_class_are_repeated(people):
    rare = people.assign(target=["M"] + ["F"] * 19)
    assert (resampled_counts(rare, ["F", "M"], 20, 0)["M"][:, 0] > 0).all()
    with pytest.raises(InputError, match="Z"):
        resampled_counts(people, ["F", "Z"], 20, 0)


@pytest.mark.parametrize("numbers", [False, True])
def test_strengths_are_those_of_weighted_sums_of_all_people(people, brain, maps, numbers):
    """Against one product of all people's maps with their weights in every replicate, map by map."""
    groups = ["lowest-third", "highest-third"] if numbers else ["F", "M"]
    if numbers:
        people = people.assign(target=np.random.default_rng(6).normal(30, 5, 20).round())  # some are equal
    named = {groups[0]: ("mean", groups[:1]), "joint": ("difference", groups), "all": ("everybody", [])}
    joining = {name: joining_factors(how, own) for name, (how, own) in named.items()}
    families, ids = pd.Series(np.arange(20) // 2), list(people["participant_id"])
    matrix = np.array([maps[one][brain] for one in ids], dtype=np.float32)
    membership = region_membership(ATLASES, brain)
    counts = resampled_counts(people, [*groups, "joint"], 8, 3, families)
    found = region_strengths(matrix, counts, joining, membership)
    by_id = np.argsort(ids)
    weights = plain_weights(people.iloc[by_id].reset_index(drop=True), named, counts["joint"][:, by_id])
    assert list(found) == list(named)
    for name, own in weights.items():
        expected = np.abs(own @ matrix[by_id].astype(float)) @ membership.toarray()
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)


def test_equal_people_leave_no_doubt(people, brain):
    matrix = np.broadcast_to(np.random.default_rng(0).normal(size=brain.sum()), (20, brain.sum())).astype(np.float32)
    counts, membership = resampled_counts(people, ["joint"], 20, 0), region_membership(ATLASES, brain)
    table = tabulate_intervals(matrix, counts, EVERYBODY, membership, ATLASES, 2, np.arange(20))
    np.testing.assert_allclose(table[["share_low", "share_high", "share_mean"]].T, [table["share"]] * 3, rtol=1e-5)
    assert (table["rank_low"] == table["rank"]).all()
    assert (table["rank_high"] == table["rank"]).all()
    np.testing.assert_array_equal(table["in_top"], table["rank"] <= 2)


def test_the_interval_has_the_width_of_the_standard_error(people):
    """Two regions of one voxel: the share is a ratio of means, here with the second region the same in everybody."""
    relevance = np.random.default_rng(0).normal(10, 1, 400)
    matrix = np.column_stack([relevance, np.full(400, 10)]).astype(np.float32)
    many = pd.DataFrame({"participant_id": [f"{n:03d}" for n in range(400)], "target": "F"})
    names = pd.DataFrame({"index": [1, 2], "name": ["a", "b"], "hemisphere": "both"})
    atlas = Atlas("toy", np.array([[[1, 2]]], dtype=np.int32), names)
    membership = region_membership({"toy": atlas}, np.ones((1, 1, 2), dtype=bool))
    counts = resampled_counts(many, ["joint"], 1000, 0)
    table = region_intervals(region_strengths(matrix, counts, EVERYBODY, membership)["joint"], atlas, 1)
    error = relevance.std() / 20 * 10 / (relevance.mean() + 10) ** 2
    width = table["share_high"][0] - table["share_low"][0]
    assert width == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert table["share_low"][0] < table["share"][0] < table["share_high"][0]
    assert table["in_top"].sum() == pytest.approx(1)


def test_chunks_do_not_matter_and_ties_share_the_worst_rank(people, brain, maps, monkeypatch):
    matrix = stack_maps(maps.items(), list(people["participant_id"]), brain, COMMON.affine, "mean_signed")
    counts, membership = resampled_counts(people, ["joint"], 5, 0), region_membership(ATLASES, brain)
    expected = region_strengths(matrix, counts, EVERYBODY, membership)["joint"]
    monkeypatch.setattr(bootstrap, "CHUNK", 11)
    np.testing.assert_allclose(region_strengths(matrix, counts, EVERYBODY, membership)["joint"], expected, rtol=1e-5)
    tied = np.array([[3.0, 1, 1, 0], [0, 1, 1, 3], [0, 0, 0, 0]])
    table = region_intervals(tied, ATLASES["few"], 1)
    assert table["rank"].tolist() == [1, 3, 3, 4]
    assert table["rank_low"].tolist() == [4, 3, 3, 1]  # the replicate that is 0 everywhere is left out
    assert table["in_top"].tolist() == [0, 0, 0, 0.5]


def test_a_map_of_zeros_has_neither_shares_nor_intervals():
    table = region_intervals(np.zeros((4, 4)), ATLASES["few"], 2)
    missing = ["share", "share_low", "share_high", "share_mean", "rank", "rank_low", "rank_high"]
    assert table[missing].isna().all(axis=None)
    assert (table["in_top"] == 0).all()
