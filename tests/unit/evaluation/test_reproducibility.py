"""Maps of networks that were trained again, beside the original ones."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import write_image, write_table
from voxplain.evaluation.reproducibility import Comparison, measure, other_people
from voxplain.imaging.grid import COMMON, Grid
from voxplain.population.atlas import Atlas

GRID = Grid((12, 12, 12), COMMON.affine)
PEOPLE = pd.DataFrame({"participant_id": list("abcdef"), "target": list("FMFMFM")})
VOXELS = 10**3
# Of the rank correlation of independent values.
SPREAD = 1 / np.sqrt(VOXELS - 1)


def save(folder, maps):
    folder.mkdir(parents=True)
    for person, data in maps.items():
        write_image(np.asarray(data, np.float32), GRID.affine, folder / f"sub-{person}_map.nii.gz", compression=1)
    write_table(pd.DataFrame({"participant_id": list(maps), "target": "F"}), folder / "maps.tsv")
    return [folder]


def draw(seed, people=tuple(PEOPLE["participant_id"])):
    rng = np.random.default_rng(seed)
    return {person: rng.normal(size=GRID.shape).astype(np.float32) for person in people}


def comparison(**options):
    brain = np.zeros(GRID.shape, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    return Comparison(**{"brain": brain, "how": "everybody", "groups": [], "grid": GRID} | options)


@pytest.fixture
def atlas():
    """Eight boxes of 6×6×6 voxels."""
    x, y, z = np.indices(GRID.shape) // 6
    names = [f"box {index}" for index in range(1, 9)]
    regions = pd.DataFrame({"index": range(1, 9), "name": names, "hemisphere": "both"})
    return Atlas("boxes", (1 + x + 2 * y + 4 * z).astype(np.int32), regions)


def at(table, level, name, change="seed", variant=None):
    rows = table[(table["level"] == level) & (table["measure"] == name) & (table["change"] == change)]
    if variant is not None:
        rows = rows[rows["variant"] == variant]
    (row,) = rows.to_dict("records")
    return row


def test_equal_maps_are_alike_at_every_level(tmp_path, atlas):
    own = save(tmp_path / "own", draw(0))
    table = measure(own, {"seed-1": own}, PEOPLE, comparison(atlas=atlas, top_regions=3, smoothing_fwhm_mm=4))
    levels = {"people": ("spearman", "dice"), "population": ("spearman", "dice"), "regions": ("overlap", "spearman")}
    for level, names in levels.items():
        for name in names:
            assert at(table, level, name)["value"] == pytest.approx(1)
    icc = table[table["level"] == "voxels"]
    assert len(icc) == 12
    np.testing.assert_allclose(icc["value"], 1)
    assert set(icc["variant"]) == {""}
    assert at(table, "regions", "overlap")["chance"] == pytest.approx(3 / 8)
    assert (table["n"] == 6).all()
    assert set(table["variant"]) == {"seed-1", ""}


def test_independent_maps_are_alike_by_chance_only(tmp_path):
    variants = {f"shuffled-{number}": save(tmp_path / f"again{number}", draw(number)) for number in (1, 2)}
    table = measure(save(tmp_path / "own", draw(0)), variants, PEOPLE, comparison())
    for variant in variants:
        people = at(table, "people", "spearman", "shuffled", variant)
        assert abs(people["value"]) < 4 * SPREAD / np.sqrt(6)
        assert abs(people["chance"]) < 4 * SPREAD / np.sqrt(6)
        assert 0 < people["sd"] < 3 * SPREAD
        assert abs(at(table, "population", "spearman", "shuffled", variant)["value"]) < 4 * SPREAD
        dice = at(table, "people", "dice", "shuffled", variant)
        assert dice["dice_chance"] == pytest.approx(0.05)  # of 50 of 1,000 voxels
        assert abs(dice["value"] - 0.05) < 4 * 0.03 / np.sqrt(6)
        assert at(table, "population", "dice", "shuffled", variant)["chance"] == pytest.approx(0.05)
    assert abs(at(table, "voxels", "icc_consistency", "shuffled")["value"]) < 0.1
    low, high = (at(table, "voxels", f"icc_consistency_{part}", "shuffled")["value"] for part in ("q25", "q75"))
    assert low < 0 < high


def test_a_map_that_is_everybody_s_is_no_more_alike_in_one_person_than_in_two(tmp_path):
    one = draw(0, "a")["a"]
    own, again = ({person: size * one for person in "abcdef"} for size in (1, 2))
    table = measure(save(tmp_path / "own", own), {"seed-1": save(tmp_path / "again", again)}, PEOPLE, comparison())
    for name in ("spearman", "dice"):
        row = at(table, "people", name)
        assert row["value"] == pytest.approx(1)
        assert row["chance"] == pytest.approx(1)
    # People do not differ, so no share of the variance is theirs.
    assert np.isnan(at(table, "voxels", "icc_consistency")["value"])
    assert at(table, "voxels", "icc_agreement")["value"] == 0


def test_maps_of_one_s_own_are_told_from_those_of_others(tmp_path):
    own, noise = draw(0), draw(1)
    again = {person: own[person] + 0.5 * noise[person] for person in own}
    table = measure(save(tmp_path / "own", own), {"seed-1": save(tmp_path / "again", again)}, PEOPLE, comparison())
    people = at(table, "people", "spearman")
    assert people["value"] > 0.8
    assert abs(people["chance"]) < 4 * SPREAD / np.sqrt(6)
    # Variances 1 of people and 0.25 of half of the two maps.
    assert at(table, "voxels", "icc_consistency")["value"] == pytest.approx(1 / 1.125, abs=0.05)


def test_the_joint_maps_are_those_of_the_groups(tmp_path):
    """A place that speaks for F in half of the people and against it in the others is seen by a difference only."""
    signs = dict(zip(PEOPLE["participant_id"], [1, -1] * 3, strict=True))
    pattern = draw(5, "x")["x"]
    own, again = ({person: signs[person] * pattern + noise for person, noise in draw(seed).items()} for seed in (1, 2))
    folders = save(tmp_path / "own", own), {"seed-1": save(tmp_path / "again", again)}
    found = {
        how: at(measure(*folders, PEOPLE, comparison(how=how, groups=["F", "M"])), "population", "spearman")["value"]
        for how in ("mean", "difference")
    }
    assert found["difference"] > 0.7
    assert abs(found["mean"]) < 4 * SPREAD


def test_order_and_cut_of_the_people_change_nothing(tmp_path, atlas):
    own, again = draw(0), {person: volume + draw(2)[person] for person, volume in draw(0).items()}
    options = comparison(atlas=atlas, how="difference", groups=["F", "M"], smoothing_fwhm_mm=5)
    whole = measure(save(tmp_path / "own", own), {"seed-1": save(tmp_path / "again", again)}, PEOPLE, options)
    parts = [save(tmp_path / f"part{p}", dict(list(own.items())[p::2][::-1]))[0] for p in (1, 0)]
    cut = [save(tmp_path / f"cut{p}", dict(list(again.items())[p::3]))[0] for p in (2, 0, 1)]
    pd.testing.assert_frame_equal(measure(parts, {"seed-1": cut}, PEOPLE[::-1], options), whole)


def test_who_is_missing_in_a_variant_is_left_out_of_it(tmp_path):
    own, second = draw(0), draw(1)
    first = {person: own[person] for person in "abcd"}
    variants = {"seed-1": save(tmp_path / "first", first), "seed-2": save(tmp_path / "second", second)}
    folders = save(tmp_path / "own", own)
    table = measure(folders, variants, PEOPLE, comparison())
    assert at(table, "people", "spearman", variant="seed-1")["n"] == 4
    assert at(table, "people", "spearman", variant="seed-2")["n"] == 6
    assert at(table, "voxels", "icc_agreement")["n"] == 4
    alone = measure(folders, {"seed-1": variants["seed-1"]}, PEOPLE, comparison())
    rows = [one[(one["variant"] == "seed-1")].reset_index(drop=True) for one in (table, alone)]
    pd.testing.assert_frame_equal(*rows)


def test_one_person_alone_has_neither_chance_nor_correlation_of_voxels(tmp_path):
    maps = draw(0, "c")
    folders = save(tmp_path / "own", maps)
    table = measure(folders, {"seed-1": folders}, PEOPLE, comparison())
    row = at(table, "people", "spearman")
    assert row["value"] == pytest.approx(1)
    assert np.isnan([row["chance"], row["sd"]]).all()
    assert table.loc[table["level"] == "voxels", "value"].isna().all()


def test_maps_that_are_zero_have_no_value_and_no_region(tmp_path, atlas):
    nothing = {person: np.zeros(GRID.shape) for person in "abcdef"}
    variants = {"seed-1": save(tmp_path / "again", nothing)}
    table = measure(save(tmp_path / "own", draw(0)), variants, PEOPLE, comparison(atlas=atlas))
    assert np.isnan(at(table, "people", "spearman")["value"])
    assert at(table, "people", "dice")["value"] == 0
    assert np.isnan(at(table, "regions", "overlap")["value"])


def test_variants_that_cannot_be_compared_are_left_out_and_named(tmp_path, capsys):
    own = save(tmp_path / "own", draw(0, "abc"))
    variants = {
        "seed-1": save(tmp_path / "others", draw(0, "def")),
        "seed-2": own,
        "folds-1": save(tmp_path / "women", draw(0, "ac")),
    }
    table = measure(own, variants, PEOPLE, comparison(how="difference", groups=["F", "M"]))
    assert set(table["variant"]) == {"seed-2", ""}
    said = capsys.readouterr().err
    assert "left out: seed-1: has 3 people" in said
    assert "left out: folds-1: Nobody" in said
    with pytest.raises(InputError, match=r"None of the 1 variants(?s:.*)seed-2: 1 people with a map are in no fold"):
        measure(own, {"seed-2": own}, PEOPLE[1:], comparison())


@pytest.mark.parametrize("n", [2, 3, 17])
def test_nobody_stands_for_themselves_and_everybody_for_somebody(n):
    people = [f"{i:02d}" for i in range(n)]
    others = other_people(people, 4)
    assert sorted(others) == sorted(others.values()) == people
    assert all(one != other for one, other in others.items())
    assert others == other_people(people[::-1], 4)


def test_a_damaged_map_is_named_whichever_it_is(tmp_path):
    own, again = save(tmp_path / "own", draw(0)), save(tmp_path / "again", draw(1))
    last = again[0] / "sub-f_map.nii.gz"
    last.write_bytes(last.read_bytes()[:-2000])
    with pytest.raises(InputError, match="sub-f_map"):
        measure(own, {"seed-1": again}, PEOPLE, comparison())
