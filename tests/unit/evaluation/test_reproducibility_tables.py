"""Reproducibility of several methods and repeats, and the networks that were trained again; the scripts on top."""

import numpy as np
import pandas as pd
import pytest

import draw_reproducibility
import measure_reproducibility
import tabulate_reproducibility
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image, write_table
from voxplain.evaluation.reproducibility import COLUMNS, change_of
from voxplain.evaluation.reproducibility_tables import measure_networks, pool_variants
from voxplain.imaging.grid import COMMON


@pytest.mark.parametrize(("variant", "change"), [("seed-12", "seed"), ("weights", "weights"), ("a-b-1", "a-b")])
def test_a_variant_is_a_repeat_of_a_change(variant, change):
    assert change_of(variant) == change


def rows(method, *values):
    table = pd.DataFrame(values, columns=COLUMNS)
    return table.assign(method=method)


def test_repeats_are_pooled_and_spread_is_that_over_people_or_repeats():
    table = pool_variants(
        [
            rows(
                "lrp",
                ("seed", "seed-1", "people", "spearman", 0.5, 0.3, 0.1, np.nan, 8),
                ("seed", "seed-2", "people", "spearman", 0.7, 0.4, 0.3, np.nan, 6),
                ("seed", "seed-1", "population", "dice", 0.2, np.nan, 0.05, 0.05, 8),
                ("seed", "seed-2", "population", "dice", 0.4, np.nan, 0.07, 0.07, 6),
                ("seed", "", "voxels", "icc_agreement", 0.25, np.nan, 0.0, np.nan, 6),
            ),
            rows("gradcam", ("folds", "folds-1", "population", "dice", 0.9, np.nan, 0.05, 0.05, 8)),
        ]
    )
    people, population, voxels, single = table.to_dict("records")
    assert people["value"] == pytest.approx(0.6)
    assert people["sd"] == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 2))
    assert people["chance"] == pytest.approx(0.2)
    assert (people["n"], people["variants"]) == (6, 2)
    assert population["sd"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert population["dice_chance"] == pytest.approx(0.06)
    assert (voxels["value"], voxels["variants"]) == (0.25, 2)
    assert np.isnan(voxels["sd"])
    assert (single["method"], single["change"], single["variants"]) == ("gradcam", "folds", 1)
    assert np.isnan(single["sd"])


def predictions(fold, truth, guess, people=None):
    people = people or [f"{fold}{place}" for place in range(len(truth))]
    table = pd.DataFrame({"participant_id": people, "fold": fold, "target": list(truth), "prediction": list(guess)})
    return table.assign(score=[1.0 if one == "B" else -1.0 for one in guess])


ORIGINAL = [predictions(0, "AABB", "AABB"), predictions(1, "AABB", "AABA"), predictions(2, "AABB", "BBAA")]


def test_accuracy_of_a_variant_beside_the_original_one_of_the_same_people():
    # The shuffled targets that the network was trained on are not the truth.
    shuffled = predictions(0, "BBAA", "ABAB")
    table = measure_networks(ORIGINAL, {"seed-1": ORIGINAL[:2], "shuffled-1": [shuffled]}, "classification", "AB")
    accuracy = table[table["metric"] == "accuracy"].set_index("variant")
    assert accuracy["mean"].to_dict() == pytest.approx({"original": 1.75 / 3, "seed-1": 0.875, "shuffled-1": 0.5})
    assert accuracy["original"].to_dict() == pytest.approx({"original": 1.75 / 3, "seed-1": 0.875, "shuffled-1": 1.0})
    assert accuracy["people"].to_dict() == {"original": 12, "seed-1": 8, "shuffled-1": 4}
    assert accuracy["change"].tolist() == ["original", "seed", "shuffled"]
    assert accuracy.loc["seed-1", "sd"] == pytest.approx(np.std([1, 0.75], ddof=1))
    assert (accuracy["chance"] == 0.5).all()
    assert accuracy["folds"].tolist() == [3, 2, 1]


def test_other_folds_and_numbers():
    own = [predictions(0, [1.0, 2.0], [1.5, 2.0], ["a", "b"]), predictions(1, [4.0], [4.0], ["c"])]
    other = [predictions(0, [1.0, 4.0], [1.0, 3.0], ["a", "c"])]
    table = measure_networks(own, {"folds-1": other}, "regression", []).set_index(["metric", "variant"])
    assert table.loc[("mae", "folds-1"), "mean"] == pytest.approx(0.5)
    assert table.loc[("mae", "folds-1"), "original"] == pytest.approx((0.5 + 0) / 2)
    assert table.loc[("mae", "folds-1"), "chance"] == pytest.approx(1.5)


def test_predictions_of_other_people_are_refused():
    strange, nobody = predictions(7, "AB", "AB"), ORIGINAL[0][:0]
    with pytest.raises(InputError) as caught:
        measure_networks(ORIGINAL, {"seed-1": [strange], "seed-2": [nobody]}, "classification", "AB")
    assert "seed-1: 2 people, 2 of them unknown" in str(caught.value)
    assert "seed-2: 0 people" in str(caught.value)


def test_from_maps_to_tables_and_picture(tmp_path):
    rng = np.random.default_rng(0)
    brain = np.zeros(COMMON.shape, np.uint8)
    brain[20:30, 20:30, 20:30] = 1
    labels = np.where(np.arange(COMMON.shape[0])[:, None, None] < 25, 1, 2) * np.ones(COMMON.shape, np.int32)
    for name, data in {"brain": brain, "atlas": labels.astype(np.int32)}.items():
        write_image(data, COMMON.affine, tmp_path / f"{name}.nii.gz", compression=1)
    regions = pd.DataFrame({"index": [1, 2], "name": ["one", "two"], "hemisphere": "both"})
    write_table(regions, tmp_path / "atlas.tsv")
    folds = pd.DataFrame({"participant_id": ["001", "002", "003"], "fold": [0, 1, 0], "target": list("ABA")})
    write_table(folds, tmp_path / "folds.tsv")
    folders = {}
    for name in ("own", "seed-1"):
        folder = tmp_path / name
        for person in folds["participant_id"]:
            volume = np.where(brain, rng.normal(size=COMMON.shape), 0).astype(np.float32)
            write_image(volume, COMMON.affine, folder / f"sub-{person}_map.nii.gz", compression=1)
        write_table(folds[["participant_id", "target"]], folder / "maps.tsv")
        folders[name] = [folder]
    for method, atlas in (("lrp", [tmp_path / "atlas.nii.gz", tmp_path / "atlas.tsv"]), ("gradcam", None)):
        measure_reproducibility.run(
            folders["own"], {"seed-1": folders["seed-1"]}, tmp_path / "folds.tsv", tmp_path / "brain.nii.gz", atlas,
            tmp_path / f"{method}.tsv", method=method, how="difference", groups=["A", "B"], statistic="mean_signed",
            normalise="none", smoothing_fwhm_mm=8.0, top_percent=5, top_regions=10, task="classification", seed=1,
        )  # fmt: skip
    found = read_table(tmp_path / "lrp.tsv")
    assert list(found) == ["method", *COLUMNS]
    assert not found.astype(str).isin(folds["participant_id"]).any(axis=None)
    guesses = folds.assign(prediction=list("ABB"), score=[-1.0, 1.0, 1.0])
    write_table(guesses, tmp_path / "predictions.tsv")
    tabulate_reproducibility.run(
        [tmp_path / "lrp.tsv", tmp_path / "gradcam.tsv"], [tmp_path / "predictions.tsv"],
        {"seed-1": [tmp_path / "predictions.tsv"]}, tmp_path / "reproducibility.tsv", tmp_path / "networks.tsv",
        task="classification", labels=["A", "B"],
    )  # fmt: skip
    table = read_table(tmp_path / "reproducibility.tsv").set_index(["method", "level", "measure"])
    assert table.loc[("lrp", "regions", "overlap"), "value"] == 1  # both of two regions
    assert table.loc[("lrp", "voxels", "icc_agreement"), "n"] == 3
    assert ("gradcam", "regions", "overlap") not in table.index
    accuracy = read_table(tmp_path / "networks.tsv").set_index(["variant", "metric"])["mean"]
    assert accuracy["seed-1", "accuracy"] == accuracy["original", "accuracy"] == 0.75
    draw_reproducibility.run(tmp_path / "reproducibility.tsv", tmp_path / "reproducibility.svg")
    assert (tmp_path / "reproducibility.svg").stat().st_size > 1000
