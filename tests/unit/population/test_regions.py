import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image, write_table
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.population.atlas import Atlas, load_atlas
from voxplain.population.maps import walk_maps
from voxplain.population.regions import COLUMNS, region_scores, top_regions
from voxplain.population.summary import smooth, summarise
from voxplain.population.threshold import threshold


@pytest.fixture
def strip():
    """Four regions of 1, 2, 3 and 4 voxels in a row, with gaps in the numbering."""
    data = np.array([0, 2, 5, 5, 6, 6, 6, 9, 9, 9, 9], dtype=np.int32).reshape(1, 1, -1)
    regions = pd.DataFrame(
        {"index": [2, 5, 6, 9], "name": list("abcd"), "hemisphere": ["left", "right", "both", "both"]}
    )
    return Atlas("strip", data, regions)


def test_known_values(strip):
    volume = np.array([99, 4, -1, -3, 1, -1, 0, 0, 0, 0, 0], dtype=float).reshape(1, 1, -1)
    mask = np.abs(volume) >= 1
    table = region_scores(volume, mask, strip)
    assert list(table.columns) == COLUMNS
    assert table["index"].tolist() == [2, 5, 6, 9]
    assert table["region"].tolist() == list("abcd")
    assert table["hemisphere"].tolist() == ["left", "right", "both", "both"]
    assert table["voxels"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(table["mean"], [4, -2, 0, 0])
    strength = np.array([4, 2, 2 / 3, 0])
    np.testing.assert_allclose(table["share"], strength / strength.sum())
    np.testing.assert_allclose(table["inside"], [1, 1, 2 / 3, 0])
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_regions_of_equal_share_get_the_worst_rank(strip):
    volume = (strip.data == 5) * 1.0
    assert region_scores(volume, volume > 0, strip)["rank"].tolist() == [4, 1, 4, 4]
    assert region_scores(np.ones(strip.data.shape), volume > 0, strip)["rank"].tolist() == [4] * 4


def test_an_all_zero_map_ranks_nothing_and_survives_a_file(strip, tmp_path):
    table = region_scores(np.zeros(strip.data.shape), np.zeros(strip.data.shape), strip)
    assert table["share"].isna().all()
    assert table["rank"].isna().all()
    assert top_regions(table, 3).empty
    write_table(table, tmp_path / "t.tsv")
    assert top_regions(read_table(tmp_path / "t.tsv"), 3).empty


def test_top_regions_of_each_method_and_group(strip):
    rng = np.random.default_rng(0)
    parts = []
    for method in ("perturbation", "gradcam"):
        for group in ("F", "joint"):
            scores = region_scores(rng.normal(size=strip.data.shape), np.ones(strip.data.shape), strip)
            scores.insert(0, "method", method)
            scores.insert(1, "group", group)
            parts.append(scores)
    top = top_regions(pd.concat(parts), 2)
    assert top[["method", "group", "rank"]].to_numpy().tolist() == [
        [method, group, rank] for method in ("perturbation", "gradcam") for group in ("F", "joint") for rank in (1, 2)
    ]
    assert list(top_regions(parts[0], 4)["rank"]) == [1, 2, 3, 4]


def test_refusals(strip):
    with pytest.raises(InputError, match=r"Map \(1, 1, 3\), mask \(1, 1, 11\) and atlas strip \(1, 1, 11\)"):
        region_scores(np.ones((1, 1, 3)), np.ones(strip.data.shape), strip)
    volume = np.ones(strip.data.shape)
    volume[0, 0, 1] = np.inf
    with pytest.raises(InputError, match="atlas strip"):
        region_scores(volume, np.ones(strip.data.shape), strip)


def test_a_spot_on_the_left_is_found_on_the_left_through_all_stages(tmp_path, toy_files):
    """From written maps to the table; a left-right flip at any stage would name the region of the other side."""
    index = np.rint(np.linalg.solve(COMMON.affine, [-30, -55, 20, 1])).astype(int)
    rng = np.random.default_rng(0)
    folder = tmp_path / "maps"
    ids = ["01", "02", "03"]
    for person in ids:
        volume = rng.normal(0, 0.1, COMMON.shape).astype(np.float32)
        volume[index[0], index[1], index[2]] += 400
        write_image(volume, COMMON.affine, folder / f"sub-{person}_map.nii.gz", compression=1)
    write_table(pd.DataFrame({"participant_id": ids, "target": "F"}), folder / "maps.tsv")
    atlas, brain = load_atlas(*toy_files), mni_brain()
    population = smooth(summarise(walk_maps(folder), "mean_signed"), 11.0, COMMON.affine, brain)
    mask = threshold(population, brain, "top_percent", 1)
    best = top_regions(region_scores(population, mask, atlas), 1).iloc[0]
    assert best["region"] == "Box back L"
    assert best["hemisphere"] == "left"
    assert best["inside"] > 0.05
    mirrored = region_scores(population[::-1], mask[::-1], atlas)
    assert top_regions(mirrored, 1).iloc[0]["region"] == "Box back R"
