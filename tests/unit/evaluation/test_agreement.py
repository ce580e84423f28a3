"""Agreement between the maps of methods, beside that of random maps as smooth as they are."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from measure_agreement import run
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image
from voxplain.evaluation.agreement import COLUMNS, Surrogates, beside_chance, compare_methods, standard_ranks
from voxplain.evaluation.spatial_null import surrogates
from voxplain.imaging.grid import COMMON
from voxplain.population.overlap import dice, dice_chance
from voxplain.population.threshold import top_voxels

SHAPE = (14, 15, 13)
VOLUMES = (5, 20)


def field(seed, sigma=1.5, shape=SHAPE):
    return gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap").astype(np.float32)


@pytest.fixture(scope="module")
def brain():
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:-2, 1:-3, 2:-1] = True
    return inside


@pytest.fixture(scope="module")
def maps():
    shared = field(0)
    return {
        "lrp": shared + 0.3 * field(1),
        "noise": np.abs(shared + 0.3 * field(2)),
        "gradcam": field(3),
        "dead": np.zeros(SHAPE, dtype=np.float32),
    }


@pytest.fixture(scope="module")
def table(maps, brain):
    return compare_methods(maps, brain, "joint", VOLUMES, 60, 7)


def row(table, first, second, measure, volume=None):
    rows = table[(table["first"] == first) & (table["second"] == second) & (table["measure"] == measure)]
    rows = rows if volume is None else rows[rows["volume"] == volume]
    (only,) = rows.to_dict("records")
    return only


def test_values_are_those_of_independent_implementations(table, maps, brain):
    assert list(table.columns) == COLUMNS
    assert len(table) == 6 * (2 + len(VOLUMES))
    one, other = maps["lrp"], maps["noise"]
    for measure, pair in (("spearman", (one, other)), ("spearman_absolute", (np.abs(one), np.abs(other)))):
        found = row(table, "lrp", "noise", measure)
        assert found["value"] == pytest.approx(spearmanr(*(each[brain] for each in pair)).statistic, abs=1e-5)
        assert np.isnan([found["chance"], found["corrected"], found["volume"]]).all()
    for volume in VOLUMES:
        masks = [top_voxels(each, brain, round(volume * brain.sum() / 100)) for each in (one, other)]
        value, chance = dice(*masks, brain), dice_chance(*masks, brain)
        found = row(table, "lrp", "noise", "dice", volume)
        assert (found["value"], found["chance"]) == pytest.approx((value, chance))
        assert found["corrected"] == pytest.approx((value - chance) / (1 - chance))


def test_shared_structure_is_told_from_smoothness(table):
    for measure, volume in (("spearman_absolute", None), ("dice", 5), ("dice", 20)):
        alike, unrelated = (row(table, "lrp", other, measure, volume) for other in ("noise", "gradcam"))
        assert alike["p"] == pytest.approx(1 / 121)
        assert alike["value"] > alike["null_95"] > alike["null_mean"]
        assert unrelated["p"] > 0.05
    assert row(table, "lrp", "gradcam", "dice", 20)["null_mean"] == pytest.approx(0.2, abs=0.06)


def test_a_dead_map_agrees_with_nothing(table):
    for measure in ("spearman", "spearman_absolute"):
        found = row(table, "lrp", "dead", measure)
        assert np.isnan([found[name] for name in ("value", "null_mean", "null_95", "p")]).all()
    found = row(table, "gradcam", "dead", "dice", 5)
    assert (found["value"], found["chance"]) == (0, 0)
    assert found["p"] == 1


def test_the_order_of_methods_and_further_methods_change_nothing(table, maps, brain):
    keys = ["measure", "volume", "value", "null_mean", "null_95", "p"]
    again = compare_methods({name: maps[name] for name in ("noise", "lrp")}, brain, "joint", VOLUMES, 60, 7)
    before = table[(table["first"] == "lrp") & (table["second"] == "noise")]
    pd.testing.assert_frame_equal(again[keys], before[keys].reset_index(drop=True), rtol=1e-4)


def test_a_single_method_agrees_with_nobody(brain, maps):
    found = compare_methods({"lrp": maps["lrp"]}, brain, "joint", VOLUMES, 10**9, 7)
    assert list(found.columns) == COLUMNS
    assert found.empty


def test_a_map_agrees_fully_with_its_own_scale(brain, maps):
    found = compare_methods({"a": maps["lrp"], "b": 5 * maps["lrp"]}, brain, "joint", (10,), 5, 7)
    np.testing.assert_allclose(found["value"], 1, atol=1e-5)
    assert found["corrected"].dropna().tolist() == [1]
    np.testing.assert_allclose(found["p"], 1 / 11)
    signed = compare_methods({"a": maps["lrp"], "b": -maps["lrp"]}, brain, "joint", (10,), 5, 7)
    np.testing.assert_allclose(signed["value"], [-1, 1, 1], atol=1e-5)


def test_surrogates_are_held_against_maps_as_volumes_would_be(brain, maps):
    one, other = np.abs(maps["lrp"]), maps["gradcam"]
    mask = top_voxels(other, brain, 100)
    correlations, hits = Surrogates(one, brain, 5, 7, ("words",)).against(
        standard_ranks(other[brain])[None], mask[brain][None, None], [80]
    )
    for drawn, correlation, hit in zip(surrogates(one, brain, 5, 7, "words"), correlations, hits, strict=True):
        assert correlation[0] == pytest.approx(spearmanr(drawn[brain], other[brain]).statistic, abs=1e-5)
        assert hit[0, 0] == (top_voxels(drawn, brain, 80) & mask).sum()


def test_beside_chance():
    found = beside_chance(0.5, np.array([0.1, 0.5, 0.6, 0.2]))
    assert (found["null_mean"], found["p"]) == pytest.approx((0.35, 3 / 5))
    assert np.isnan(list(beside_chance(float("nan"), np.zeros(3)).values())).all()


def test_volumes_out_of_range_are_refused(maps, brain):
    with pytest.raises(InputError, match="101"):
        compare_methods(maps, brain, "joint", (5, 101), 3, 7)


def test_the_script(tmp_path):
    brain = np.zeros(COMMON.shape, dtype=np.uint8)
    brain[20:36, 20:36, 20:36] = 1
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    paths = []
    for name in ("lrp-F", "lrp-joint", "noise-F", "noise-joint"):
        paths.append(tmp_path / f"{name}.nii.gz")
        write_image(field([1, len(paths)], shape=COMMON.shape), COMMON.affine, paths[-1])
    run(
        paths, tmp_path / "brain.nii.gz", tmp_path / "agreement.tsv",
        methods=["lrp", "noise"], groups=["F", "joint"], volumes=[5], surrogates=3, seed=7,
    )  # fmt: skip
    found = read_table(tmp_path / "agreement.tsv")
    assert list(found.columns) == COLUMNS
    assert found["group"].tolist() == ["F"] * 3 + ["joint"] * 3
    assert found["value"].nunique() == 6
