import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_table
from voxplain.evaluation.localization import MEASURES, chance_of, score
from voxplain.evaluation.planted_regions import planted_ranks
from voxplain.population.overlap import dice
from voxplain.population.threshold import top_voxels


@pytest.fixture
def brain():
    inside = np.zeros((12, 10, 8), dtype=bool)
    inside[1:11, 1:9, 1:7] = True
    return inside


@pytest.fixture
def truth(brain):
    """On one side only, with the codes of the planted kinds."""
    planted = np.zeros(brain.shape, dtype=np.uint8)
    planted[2:4, 3:6, 2:5] = 1
    planted[4, 3:6, 2:5] = 3
    return planted


def test_a_perfect_map_a_sign_and_the_outside(brain, truth):
    volume = np.where(truth > 0, -2.0, 0.0)
    volume[~brain] = 100
    perfect = dict.fromkeys(MEASURES, 1.0)
    assert score(volume, truth, brain) == {**perfect, "dice_chance": 27 / 480, "planted_share": 27 / 480, "voxels": 27}


def test_the_opposite_of_the_truth(brain, truth):
    result = score(np.where(truth > 0, 0.1, 1.0), truth, brain)
    assert [result[name] for name in ("auc", "dice", "pointing")] == [0, 0, 0]
    assert result["average_precision"] == pytest.approx(27 / 480)
    assert result["inside"] == pytest.approx(2.7 / (2.7 + 453))


def test_small_numbers_by_hand():
    """Six voxels, the planted ones second and fifth; -3 and 3 are equally strong."""
    volume, truth = np.array([-3.0, 3, 2, 1, 1, 0]).reshape(6, 1, 1), np.array([0, 1, 0, 0, 1, 0]).reshape(6, 1, 1)
    result = score(volume, truth, np.ones(volume.shape))
    assert result["auc"] == pytest.approx((3.5 + 1.5) / 8)  # of the four others, how many are weaker
    assert result["average_precision"] == pytest.approx((1 / 2 + 2 / 5) / 2)
    assert result["dice"] == 0.5
    assert result["inside"] == pytest.approx(4 / 10)
    assert result["pointing"] == 0.5


def test_dice_is_that_of_two_masks(brain, truth):
    """Also where the map is 0 nearly everywhere, and fewer voxels can be marked than were planted."""
    volume = np.random.default_rng(3).normal(size=brain.shape)
    for one in (volume + (truth > 0), np.where(np.indices(brain.shape)[0] == 3, volume, 0)):
        assert score(one, truth, brain)["dice"] == dice(top_voxels(one, brain, 27), truth > 0, brain)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_map_is_at_chance(brain, truth, value):
    result = score(np.full(brain.shape, value), truth, brain)
    assert result["auc"] == pytest.approx(0.5)
    assert result["average_precision"] == pytest.approx(27 / 480)
    assert result["pointing"] == pytest.approx(27 / 480)
    if value:
        assert result["inside"] == pytest.approx(27 / 480)
        assert result["dice"] < 0.25
    else:
        assert np.isnan(result["inside"])
        assert result["dice"] == result["dice_chance"] == 0


def test_random_maps_have_the_scores_of_chance(brain, truth):
    rng = np.random.default_rng(0)
    results = [score(rng.normal(size=brain.shape), truth, brain) for _ in range(400)]
    means, chance = pd.DataFrame(results).mean(), pd.DataFrame([chance_of(one) for one in results]).mean()
    for name, reach in {"auc": 0.01, "average_precision": 0.013, "dice": 0.006, "inside": 0.003}.items():
        assert means[name] == pytest.approx(chance[name], abs=reach)
    assert means["pointing"] == pytest.approx(chance["pointing"], abs=0.04)


def test_a_flip_of_map_or_truth_is_seen(brain, truth):
    volume = (truth > 0) + np.random.default_rng(0).normal(0, 0.1, brain.shape)
    assert score(volume, truth, brain)["auc"] > 0.99
    for flipped in (score(volume[::-1], truth, brain), score(volume, truth[::-1], brain)):
        assert flipped["auc"] < 0.6
        assert flipped["dice"] < 0.2


def test_where_nothing_was_planted_nothing_is_scored(brain):
    for empty in (np.zeros(brain.shape), (~brain).astype(int)):
        scores = score(np.ones(brain.shape), empty, brain)
        assert scores["voxels"] == 0
        assert np.isnan([scores[name] for name in scores if name != "voxels"]).all()
        assert np.isnan(list(chance_of(scores).values())).all()


def test_a_truth_without_rest_is_refused(brain, truth):
    with pytest.raises(InputError, match="must leave some voxels of the brain out"):
        score(np.ones(brain.shape), np.ones(brain.shape), brain)
    with pytest.raises(InputError, match="one shape"):
        score(np.ones((2, 2, 2)), truth, brain)


@pytest.fixture
def regions():
    table = pd.DataFrame(
        {
            "index": [1, 2, 3],
            "region": ["Demo GM 1 L", "Demo GM 1 R", "Demo WM 2 L"],
            "hemisphere": ["left", "right", "left"],
        }
    )
    return pd.concat(
        [
            table.assign(method="gradcam", group="joint", rank=[3, 1, 2]),
            table.assign(method="perturbation", group="joint", rank=[1, 2, 3]),
        ],
        ignore_index=True,
    )


@pytest.fixture
def planted():
    return pd.DataFrame(
        {
            "index": [1, 3],
            "name": ["Demo GM 1 L", "Demo WM 2 L"],
            "hemisphere": ["left", "left"],
            "kind": ["both", "volume"],
            "volume_effect": [0.5, 0.5],
            "intensity_effect": [0.3, 0.0],
        }
    )


def test_ranks_of_planted_regions(regions, planted):
    table = planted_ranks(regions, planted, top=2)
    assert list(table.columns) == [
        "method", "group", "index", "region", "hemisphere", "kind", "rank", "regions", "in_top"
    ]  # fmt: skip
    assert table.to_numpy().tolist() == [
        ["gradcam", "joint", 1, "Demo GM 1 L", "left", "both", 3, 3, False],
        ["gradcam", "joint", 3, "Demo WM 2 L", "left", "volume", 2, 3, True],
        ["perturbation", "joint", 1, "Demo GM 1 L", "left", "both", 1, 3, True],
        ["perturbation", "joint", 3, "Demo WM 2 L", "left", "volume", 3, 3, False],
    ]


def test_a_table_of_one_map_needs_no_method(regions, planted):
    one = regions[regions.method == "gradcam"].drop(columns=["method", "group"])
    assert planted_ranks(one, planted, top=3)[["index", "rank", "regions"]].to_numpy().tolist() == [
        [1, 3, 3],
        [3, 2, 3],
    ]


def test_unranked_regions_are_never_in_the_top_also_after_a_file(regions, planted, tmp_path):
    regions["rank"] = pd.array([None, None, None, 1, 2, 3], dtype="Int64")
    write_table(regions, tmp_path / "regions.tsv")
    for table in (regions, read_table(tmp_path / "regions.tsv")):
        assert planted_ranks(table, planted, top=3)["in_top"].tolist() == [False, False, True, True]


def test_the_table_of_another_atlas_is_refused(regions, planted):
    planted.loc[1, ["index", "name"]] = [9, "Demo WM 9 R"]
    planted.loc[0, "name"] = "Demo GM 1 R"
    with pytest.raises(InputError) as error:
        planted_ranks(regions, planted)
    assert "1 Demo GM 1 R (in the atlas: Demo GM 1 L)" in str(error.value)
    assert "9 Demo WM 9 R (in the atlas: no such label)" in str(error.value)
