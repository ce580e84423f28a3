"""Maps beside the statistic of the images themselves."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from compare_anatomy import run
from voxplain.base.files import read_table, write_image, write_table
from voxplain.evaluation.anatomy import (
    COLUMNS,
    DENSITY_COLUMNS,
    REGION_COLUMNS,
    compare_anatomy,
    compare_regions,
    density,
)
from voxplain.imaging.grid import COMMON
from voxplain.population.atlas import Atlas
from voxplain.population.overlap import dice, dice_chance
from voxplain.population.threshold import top_voxels

SHAPE = (14, 15, 13)


def field(seed, shape=SHAPE):
    return gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5, mode="wrap").astype(np.float32)


@pytest.fixture(scope="module")
def brain():
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:-2, 1:-3, 2:-1] = True
    return inside


@pytest.fixture(scope="module")
def statistic(brain):
    return np.where(brain, 30 * field(0), 0)


@pytest.fixture(scope="module")
def significant(statistic):
    return np.abs(statistic) > 4


def values(table):
    return table.set_index("measure")


def test_values_are_those_of_independent_implementations(brain, statistic, significant):
    volume = field(0) + field(1)
    found = compare_anatomy("lrp", volume, statistic, significant, brain, True, 9, 7)
    assert list(found.columns) == COLUMNS
    found = values(found)
    assert set(found["method"]) == {"lrp"}
    one, other, true = volume[brain], statistic[brain], significant[brain]
    strong = {size: top_voxels(volume, brain, round(size / 100 * brain.sum()))[brain] for size in (5, 20)}
    top = top_voxels(statistic, brain, strong[5].sum())[brain]
    expected = {
        "spearman": spearmanr(one, other).statistic,
        "spearman_absolute": spearmanr(np.abs(one), np.abs(other)).statistic,
        "dice": dice(strong[5], top),
        "auc": roc_auc_score(true, np.abs(one)),
        "not_significant": (strong[5] & ~true).sum() / strong[5].sum(),
        "overlooked": (true & ~strong[20]).sum() / true.sum(),
    }
    assert found["value"].to_dict() == pytest.approx(expected, abs=1e-5)
    chance = {"dice": dice_chance(strong[5], top), "auc": 0.5, "not_significant": 1 - true.mean(), "overlooked": 0.8}
    assert found["chance"].dropna().to_dict() == pytest.approx(chance, abs=1e-3)


def test_a_map_of_anatomy_is_told_from_a_smooth_one(brain, statistic, significant):
    alike = values(compare_anatomy("a", statistic**3, statistic, significant, brain, True, 60, 7))
    np.testing.assert_allclose(alike["p"], 1 / 61)
    assert alike.loc[["not_significant", "overlooked"], "value"].max() < 0.2
    unrelated = values(compare_anatomy("a", field(5), statistic, significant, brain, True, 60, 7))
    assert unrelated["p"].between(0.02, 0.99).all()
    np.testing.assert_allclose(unrelated["null_mean"], unrelated["chance"].fillna(0), atol=0.1)
    # The limit lies on the side of more agreement than by chance.
    above = unrelated["null_95"] > unrelated["null_mean"]
    assert above.to_dict() == {name: name not in ("not_significant", "overlooked") for name in unrelated.index}


def test_signs_count_only_where_they_mean_the_same(brain, statistic, significant):
    found = values(compare_anatomy("a", -statistic, statistic, significant, brain, True, 5, 7))
    assert found.loc["spearman", "value"] == pytest.approx(-1, abs=1e-5)
    assert found.loc["spearman_absolute", "value"] == pytest.approx(1, abs=1e-5)
    assert "spearman" not in set(compare_anatomy("a", statistic, statistic, significant, brain, False, 5, 7)["measure"])


@pytest.mark.parametrize("everywhere", [False, True])
def test_nothing_or_everything_significant(brain, statistic, everywhere):
    found = values(compare_anatomy("a", field(1), statistic, brain & everywhere, brain, False, 5, 7))
    assert np.isnan(found.loc["auc", ["value", "p"]].astype(float)).all()
    assert found.loc["not_significant", "value"] == 1 - everywhere
    assert np.isnan(found.loc["overlooked", "value"]) == (not everywhere)


def test_a_dead_map(brain, statistic, significant):
    found = values(compare_anatomy("a", np.zeros(SHAPE), statistic, significant, brain, True, 5, 7))
    missing = found["value"].isna()
    assert set(found.index[missing]) == {"spearman", "spearman_absolute", "auc", "not_significant"}
    assert found.loc["dice", "value"] == 0
    assert found.loc["overlooked", "value"] == 1


def test_density(brain, statistic):
    same = density("a", 2 * statistic, statistic, brain)
    assert list(same.columns) == DENSITY_COLUMNS
    assert len(same) == 400
    diagonal = same["percent_t"] == same["percent_map"]
    np.testing.assert_allclose(same.loc[diagonal, "density"], 20, rtol=0.02)
    assert not same.loc[~diagonal, "density"].any()
    assert density("a", field(3), statistic, brain)["density"].mean() == pytest.approx(1)


@pytest.fixture
def boxes():
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[:, :5], labels[:, 5:10], labels[:, 10:] = 1, 2, 5
    names = pd.DataFrame({"index": [1, 2, 5], "name": ["A", "B", "C"], "hemisphere": ["left", "right", "both"]})
    return Atlas("boxes", labels, names)


def test_regions(boxes):
    volume, statistic = (np.array(of)[np.searchsorted([1, 2, 5], boxes.data)] for of in ([-3, 2, 1], [1.0, 2, -3]))
    found = compare_regions("lrp", volume, statistic, boxes)
    assert list(found.columns) == REGION_COLUMNS
    assert found["region"].tolist() == ["A", "B", "C"]
    assert found["t_mean"].tolist() == [1, 2, 3]
    assert found["rank_map"].tolist() == [1, 2, 3]
    assert found["rank_t"].tolist() == [3, 2, 1]
    assert found["difference"].tolist() == [2, 0, -2]


def test_the_script(tmp_path):
    brain = np.zeros(COMMON.shape, dtype=bool)
    brain[20:36, 20:36, 20:36] = True
    statistic = np.where(brain, 30 * field(0, COMMON.shape), 0)
    labels = np.zeros(COMMON.shape, dtype=np.int32)
    labels[20:28, 20:36, 20:36], labels[28:36, 20:36, 20:36] = 1, 2
    images = {"brain": brain, "t": statistic, "significant": np.abs(statistic) > 4, "boxes": labels}
    images |= {"lrp": statistic, "noise": np.abs(np.where(brain, field(1, COMMON.shape), 0))}
    for name, data in images.items():
        write_image(data, COMMON.affine, tmp_path / f"{name}.nii.gz")
    names = pd.DataFrame({"index": [1, 2], "name": ["A", "B"], "hemisphere": ["right", "left"]})
    write_table(names, tmp_path / "boxes.tsv")
    of = {name: tmp_path / f"{name}.nii.gz" for name in images}
    out = {name: tmp_path / f"{name}.tsv" for name in ("anatomy", "density", "regions")}
    run(
        [of["lrp"], of["noise"]], of["brain"], of["t"], of["significant"], [(of["boxes"], tmp_path / "boxes.tsv")],
        out["anatomy"], out["density"], [out["regions"]],
        methods=["lrp", "noise"], signed=["lrp"], surrogates=3, seed=7,
    )  # fmt: skip
    found = read_table(out["anatomy"])
    assert found["method"].tolist() == ["lrp"] * 6 + ["noise"] * 5
    assert found["value"].iloc[0] == pytest.approx(1, abs=1e-5)
    assert len(read_table(out["density"])) == 800
    regions = read_table(out["regions"])
    assert regions["method"].tolist() == ["lrp", "lrp", "noise", "noise"]
    assert (regions.loc[regions["method"] == "lrp", "difference"] == 0).all()
