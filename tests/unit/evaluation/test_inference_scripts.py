"""The two scripts of inference, one after the other, on people's maps in a small brain."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import infer_population
import join_tables
from voxplain.base.files import read_table, write_image, write_table
from voxplain.evaluation.inference_tables import REGION_COLUMNS
from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_on_grid
from voxplain.population.summary import smooth

PEOPLE = [f"a{number:02d}z" for number in range(12)]
TARGETS = list("FMFMFMFMFMFM")
FAMILIES = ["f01", "f02"] * 2 + ["n/a"] * 8
SETTINGS = {"method": "lrp", "statistic": "mean_signed", "normalise": "none", "smoothing_fwhm_mm": 5.0, "people": None}


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """Maps of twelve people in two folds, those of M larger in the second box, and an atlas of three boxes."""
    folder, rng = tmp_path_factory.mktemp("inference"), np.random.default_rng(0)
    boxes = np.zeros(COMMON.shape, dtype=np.int32)
    # Too far apart for the smoothing to carry relevance over.
    for label, start in ((2, 10), (5, 26), (7, 42)):
        boxes[start : start + 8, 20:28, 20:28] = label
    write_image(boxes > 0, COMMON.affine, folder / "brain.nii.gz")
    write_image(boxes, COMMON.affine, folder / "boxes.nii.gz")
    names = {"index": [2, 5, 7], "name": ["One R", "Two", "Three L"], "hemisphere": ["right", "both", "left"]}
    write_table(pd.DataFrame(names), folder / "boxes.tsv")
    folds = [number // 2 % 2 for number in range(12)]
    write_table(pd.DataFrame({"participant_id": PEOPLE, "fold": folds, "target": TARGETS}), folder / "folds.tsv")
    write_table(pd.DataFrame({"participant_id": PEOPLE, "group": FAMILIES}), folder / "participants.tsv")
    ages = rng.permutation(12) + 20.5
    write_table(pd.DataFrame({"participant_id": PEOPLE, "fold": folds, "target": ages}), folder / "ages.tsv")
    for fold in (0, 1):
        own = [number for number in range(12) if folds[number] == fold]
        for number in own:
            volume = np.where(boxes > 0, rng.normal(size=COMMON.shape) + (boxes == 2), 0)
            volume = volume + 3 * ((boxes == 5) & (TARGETS[number] == "M"))
            path = folder / f"fold-{fold}" / f"sub-{PEOPLE[number]}_map.nii.gz"
            write_image(volume.astype(np.float32), COMMON.affine, path, compression=1)
        table = pd.DataFrame({"participant_id": [PEOPLE[number] for number in own], "target": "F"})
        write_table(table, folder / f"fold-{fold}" / "maps.tsv")
    return folder


def inputs(at, folds="folds.tsv", families=True):
    participants = at / "participants.tsv" if families else None
    atlases = {"boxes": (at / "boxes.nii.gz", at / "boxes.tsv")}
    return [at / "fold-0", at / "fold-1"], at / folds, participants, at / "brain.nii.gz", atlases


def infer(at, out, arguments, tests=True, **changes):
    names = ["voxels.tsv", "regions.tsv", "t.nii.gz", "p.nii.gz"] if tests else []
    outputs = [out / name if names else None for name in names or range(4)] + [out / "intervals.tsv"]
    settings = {"compared": ["F", "M"], "task": "classification", "permutations": 99, "alpha": 0.05, "seed": 1}
    settings |= {"groups": ["F", "M", "joint"], "how": "difference", "replicates": 40, "top": 1}
    if not arguments[-1]:  # without an atlas there are no regions
        outputs[-1] = None
    infer_population.run(*arguments, *outputs, **SETTINGS | settings | changes)
    return outputs


def test_from_maps_to_the_tables(at, tmp_path):
    voxels, regions, t, p, intervals = infer(at, tmp_path, inputs(at))
    summary, table = read_table(voxels), read_table(regions)
    assert summary["contrast"].tolist() == ["difference", "mean"]
    assert summary["groups"].fillna("-").tolist() == ["M-F", "-"]
    assert (summary["people"] == 12).all()
    assert (summary["clusters"] == 10).all()  # two families of two
    assert (summary["smallest_p"] == 0.01).all()
    assert list(table) == ["method", *REGION_COLUMNS]
    difference = table[table["contrast"] == "difference"].set_index("index")
    assert difference.loc[5, "p_fwe"] <= 0.02
    assert difference.loc[[2, 7], "p_fwe"].min() > 0.05
    mean = table[table["contrast"] == "mean"].set_index("index")
    assert mean.loc[2, "p_fwe"] <= 0.02

    brain = read_on_grid(at / "brain.nii.gz") > 0
    maps = [read_on_grid(at / f"fold-{number // 2 % 2}" / f"sub-{PEOPLE[number]}_map.nii.gz") for number in range(12)]
    smoothed = np.array([smooth(volume, 5, COMMON.affine, brain)[brain] for volume in maps])
    of_t, of_p, boxes = read_on_grid(t), read_on_grid(p), read_on_grid(at / "boxes.nii.gz")
    np.testing.assert_allclose(of_t[brain], stats.ttest_ind(smoothed[1::2], smoothed[::2]).statistic, rtol=1e-3)
    assert (of_t[~brain] == 0).all()
    assert (np.sign(of_p) == np.sign(of_t))[of_p != 0].all()
    significant = of_p > -np.log10(0.05) - 1e-6
    assert significant.sum() == summary["voxels_significant"][0] > 10
    assert (boxes[significant] == 5).all()

    joint = read_table(intervals).query("group == 'joint'").set_index("index")
    assert joint.loc[5, ["rank", "rank_low", "rank_high", "in_top", "clusters", "people"]].tolist() == [
        1,
        1,
        1,
        1,
        10,
        12,
    ]
    assert joint.loc[5, "share_low"] < joint.loc[5, "share"]
    joined = [tmp_path / f"{name}.tsv" for name in ("inference", "inference_regions", "region_intervals")]
    for part, output in zip((voxels, regions, intervals), joined, strict=True):
        join_tables.run([part] * 2, output)
    assert [len(read_table(path)) for path in joined] == [4, 12, 18]
    for path in (voxels, regions, intervals, *joined):
        text = path.read_text()
        assert not any(name in text for name in (*PEOPLE, "f01", "f02"))


def test_intervals_come_without_the_tests_too(at, tmp_path):
    *_, together = infer(at, tmp_path / "both", inputs(at))
    *nothing, alone = infer(at, tmp_path / "alone", inputs(at), tests=False)
    assert nothing == [None] * 4
    assert alone.read_bytes() == together.read_bytes()


def test_of_a_number_without_families_and_without_an_atlas(at, tmp_path):
    *others, _ = inputs(at, "ages.tsv", families=False)
    voxels, regions, *_ = infer(at, tmp_path, (*others, {}), compared=[], task="regression", permutations=9)
    summary = read_table(voxels)
    assert summary["contrast"].tolist() == ["slope", "mean"]
    assert (summary["clusters"] == 12).all()
    assert summary["threshold_t"].isna().all()  # nine permutations are too few for 0.05
    assert list(read_table(regions)) == ["method", *REGION_COLUMNS]
    assert len(read_table(regions)) == 0
    join_tables.run([regions] * 2, tmp_path / "joined.tsv")
    assert list(read_table(tmp_path / "joined.tsv")) == ["method", *REGION_COLUMNS]


def test_maps_without_signs_have_no_test_of_the_mean(at, tmp_path):
    voxels, *_ = infer(at, tmp_path, inputs(at), statistic="mean_absolute", permutations=19)
    assert read_table(voxels)["contrast"].tolist() == ["difference"]
