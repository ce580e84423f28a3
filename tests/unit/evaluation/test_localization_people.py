"""The scores of single people, and the table of people and populations as the rule's script writes it."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image, write_table
from voxplain.evaluation.localization import MEASURES, score, score_people
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.population.maps import walk_maps
from voxplain.population.weights import joint_map

SCRIPT = Path(__file__).resolve().parents[3] / "workflow" / "scripts" / "score_localization.py"
SHAPE = (8, 8, 8)
# What a network with shuffled labels was told.
LEARNED = {"p01": "M", "p02": "F", "p03": "M", "p04": "F", "p05": "F"}
CLASSES = {"p04": "F", "p02": "M", "p03": "F", "p01": "M", "p05": "F"}


@pytest.fixture
def truth():
    planted = np.zeros(SHAPE, dtype=bool)
    planted[2:4, 2:5, 2:4] = True
    return planted


@pytest.fixture
def maps(truth):
    rng = np.random.default_rng(2)
    return {person: rng.normal(size=SHAPE) + truth * rng.uniform(0, 3) for person in CLASSES}


def test_mean_and_spread_of_each_group(maps, truth):
    brain = np.ones(SHAPE)
    table = score_people(maps.items(), truth, brain, {"joint": CLASSES, "M": ["p02", "p01"]})
    assert table[["group", "n", "voxels"]].to_numpy().tolist() == [["joint", 5, 12], ["M", 2, 12]]
    own = pd.DataFrame([score(maps[person], truth, brain) for person in ("p01", "p02")])
    for name in MEASURES:
        assert table[name].iloc[1] == pytest.approx(own[name].mean())
        assert table[f"{name}_sd"].iloc[1] == pytest.approx(abs(own[name].diff().iloc[1]) / np.sqrt(2))
        assert table[f"{name}_chance"].iloc[1] == (0.5 if name == "auc" else 12 / 512)


def test_order_plays_no_part_and_nobody_is_named(maps, truth):
    groups = {"joint": list(CLASSES), "F": ["p04", "p03", "p05"]}
    one = score_people(maps.items(), truth, np.ones(SHAPE), groups)
    turned = {name: people[::-1] for name, people in groups.items()}
    other = score_people(reversed(maps.items()), truth, np.ones(SHAPE), turned)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not any(person in one.to_csv() for person in CLASSES)


def test_one_person_has_no_spread_and_an_empty_map_is_left_out_of_inside(maps, truth):
    alone = score_people([("p01", maps["p01"])], truth, np.ones(SHAPE)).iloc[0]
    assert (alone["group"], alone["n"]) == ("joint", 1)
    assert alone[[f"{name}_sd" for name in MEASURES]].isna().all()
    two = score_people([("p01", maps["p01"]), ("p02", np.zeros(SHAPE))], truth, np.ones(SHAPE)).iloc[0]
    assert two["inside"] == alone["inside"]
    assert two["auc"] == pytest.approx((alone["auc"] + 0.5) / 2)


def test_maps_are_walked_once_and_not_kept(truth):
    """Each map is written into the same memory as the one before."""
    memory, rng = np.empty(SHAPE), np.random.default_rng(0)

    def walk():
        for person in CLASSES:
            memory[:] = rng.normal(size=SHAPE)
            yield person, memory

    assert score_people(walk(), truth, np.ones(SHAPE))["auc_sd"].iloc[0] > 0


def test_nothing_planted_and_people_without_maps(maps, truth):
    row = score_people(maps.items(), np.zeros(SHAPE), np.ones(SHAPE)).iloc[0]
    assert (row["n"], row["voxels"]) == (5, 0)
    assert row[list(MEASURES)].isna().all()
    with pytest.raises(InputError, match="no maps of people"):
        score_people([], truth, np.ones(SHAPE))
    with pytest.raises(InputError) as error:
        score_people(maps.items(), truth, np.ones(SHAPE), {"joint": ["p01", "p09"], "M": []})
    assert "no map: p09" in str(error.value)
    assert "the group M has nobody" in str(error.value)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two methods: one shows the truth in men and noise in women, the other was asked for four people only."""
    at, rng = tmp_path_factory.mktemp("localization"), np.random.default_rng(1)
    truth = np.zeros(COMMON.shape, dtype=bool)
    truth[20:28, 24:32, 20:28] = True
    brain = mni_brain()
    write_image(brain, COMMON.affine, at / "brain.nii.gz")
    write_image(truth, COMMON.affine, at / "truth.nii.gz")
    write_table(
        pd.DataFrame({"participant_id": list(CLASSES), "fold": 0, "target": list(CLASSES.values())}), at / "folds.tsv"
    )
    names = {"index": [1], "name": ["Spot"], "kind": ["both"]}
    write_table(pd.DataFrame(names), at / "truth_regions.tsv")
    regions = {"method": ["good", "few"], "group": "joint", "index": 1, "region": "Spot", "hemisphere": "left"}
    write_table(pd.DataFrame({**regions, "rank": [1, 9]}), at / "regions.tsv")
    groups, methods, maps, folders = ["F", "M", "joint"], ["good", "few"], [], {}
    people = {"good": None, "few": 4}
    for method in methods:
        folders[method] = [at / method / "part-0"]
        folders[method][0].mkdir(parents=True)
        # All maps are there, also of the one whom the second method was not asked to explain.
        write_table(pd.DataFrame({"participant_id": list(CLASSES)}), folders[method][0] / "maps.tsv")
        for person, label in CLASSES.items():
            volume = truth if label == "M" and method == "good" else rng.normal(size=COMMON.shape)
            write_image(volume.astype(np.float32), COMMON.affine, folders[method][0] / f"sub-{person}_map.nii.gz")
        for group in groups:
            volume = truth if group == "M" and method == "good" else rng.normal(size=COMMON.shape)
            maps.append(at / f"{method}_{group}.nii.gz")
            write_image(volume.astype(np.float32), COMMON.affine, maps[-1])
    spec = importlib.util.spec_from_file_location("workflow_script_score_localization", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    learned = pd.DataFrame({"participant_id": list(LEARNED), "fold": 0, "target": list(LEARNED.values()), "score": 0.5})
    write_table(learned, at / "learned.tsv")
    module.run(
        maps, folders, {"good": folders["good"], "few": None}, [at / "learned.tsv"],
        *(at / name for name in ("folds.tsv", "brain.nii.gz", "truth.nii.gz", "truth_regions.tsv", "regions.tsv")),
        at / "localization.tsv", at / "planted.tsv", methods=methods, groups=groups,
        joining=dict.fromkeys(methods, ("difference", ["F", "M"])), statistic="mean_signed",
        normalise=dict.fromkeys(methods, "none"), smoothing_fwhm_mm=0, top=5, people=people, seed=7,
        task="classification", shuffles=19, min_inside=0.9,
    )  # fmt: skip
    people = pd.DataFrame({"participant_id": list(LEARNED), "target": list(LEARNED.values())})
    control = joint_map(walk_maps(folders["good"]), people, "difference", ["F", "M"], "mean_signed", "none", 0, brain)
    known = score(control, truth, brain)["auc"]
    return read_table(at / "localization.tsv"), read_table(at / "planted.tsv"), known


def test_a_row_a_method_group_and_level(tables):
    table = tables[0]
    rows = [
        [method, group, level, n]
        for method, people in {"good": (3, 2, 5), "few": (2, 2, 4)}.items()
        for group, count in zip(("F", "M", "joint"), people, strict=True)
        for level, n in (("population", 1), ("people", count))
    ]
    rows.insert(6, ["good", "joint", "shuffled labels", 1])
    assert table[["method", "group", "level", "n"]].to_numpy().tolist() == rows
    expected = ["", "_sd", "_chance", "_chance_95", "_p"]
    assert list(table)[4:] == [name + what for name in MEASURES for what in expected] + ["voxels", "places"]
    assert (table["voxels"] == 512).all()
    assert not table.astype(str).isin(CLASSES).to_numpy().any()


def test_what_is_known_at_each_level(tables):
    table = tables[0]
    of_population = table["level"] != "people"
    for name in MEASURES:
        assert table[f"{name}_chance"].notna().all()
        assert (table[f"{name}_p"].notna() == of_population).all()
        assert (table[f"{name}_chance_95"].notna() == of_population).all()
        assert (table[f"{name}_sd"].isna() == of_population).all()


def test_the_map_that_shows_the_truth_is_seen_at_both_levels(tables):
    table = tables[0].set_index(["method", "group", "level"]).sort_index()
    for name in MEASURES:
        assert table.loc[("good", "M", "population"), name] == 1
        assert table.loc[("good", "M", "people"), [name, f"{name}_sd"]].tolist() == [1, 0]
        assert table.loc[("good", "M", "population"), f"{name}_p"] == 1 / 20
    everybody, women = (table.loc[("good", group, "people"), "auc"] for group in ("joint", "F"))
    assert everybody == pytest.approx((2 + 3 * women) / 5)
    assert abs(women - 0.5) < 0.05


def test_the_control_is_joined_by_the_labels_that_were_learned(tables):
    table, _, known = tables
    control = table[table["level"] == "shuffled labels"].iloc[0]
    assert control["auc"] == pytest.approx(known)
    assert control["auc"] < 1  # by the true labels the truth would show, whatever the network learned
    assert control["places"] == 19


def test_the_ranks_of_regions_stay_as_they_were(tables):
    assert tables[1][["method", "rank", "in_top"]].to_numpy().tolist() == [["good", 1, True], ["few", 9, False]]
