"""The whole workflow on a tiny phantom: what it leaves, what it re-runs, and what it keeps to itself."""

import copy
import json
import re
import stat

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.imaging.grid import COMMON

AFTER_AVERAGES = {
    "threshold_map", "compare_methods", "tabulate_regions", "score_localization", "draw_maps", "draw_dice",
    "draw_regions", "compare_morphometry", "draw_morphometry", "measure_masked_accuracy", "tabulate_masked_accuracy",
    "draw_masked_accuracy", "tabulate_verdicts", "write_provenance", "write_page", "report",
}  # fmt: skip
MODELS = ["cnn", "svm", "xgboost", "knn", "logistic"]


def read(path):
    return pd.read_csv(path, sep="\t", dtype={"participant_id": str, "fold": str}, na_values="n/a")


def test_the_page_is_whole_and_asks_for_nothing(done):
    page = (done.results / "report" / "index.html").read_text()
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", page)
    assert sources
    loaded = [s for s in re.findall(r"""src\s*=\s*["']([^"']+)""", page) if not s.startswith("data:")]
    assert loaded == []
    assert page.count("data:image") >= 12


def test_everyone_has_one_map_from_the_network_that_did_not_see_them(done):
    folds = read(done.results / "private" / "folds.tsv").set_index("participant_id")["fold"]
    for method, people in (("gradcam", 16), ("guided_backprop", 16), ("perturbation", 4), ("lrp", 4)):
        explained = []
        for folder in (done.results / "maps" / method).iterdir():
            fold = re.fullmatch(r"fold-(\d+)_part-\d+", folder.name)[1]
            table = read(folder / "maps.tsv")
            explained += list(table["participant_id"])
            assert all(folds[person] == fold for person in table["participant_id"])
            files = {path.name for path in folder.glob("sub-*")}
            assert files == {f"sub-{person}_map.nii.gz" for person in table["participant_id"]}
        assert len(explained) == len(set(explained)) == people


def test_maps_are_finite_and_carry_the_true_affine(done):
    paths = [*done.results.glob("maps/*/*/sub-*.nii.gz"), *done.results.glob("population/*/*.nii.gz")]
    # People; two statistics and a mask of three groups and a test of two images a method; the test of the images.
    assert len(paths) == 40 + 4 * (9 + 2) + 2
    for path in paths:
        image = nib.load(path)
        assert COMMON.matches(image.shape, image.affine), path
        assert np.isfinite(image.get_fdata()).all(), path
    for path in done.results.glob("maps/perturbation/*/sub-*.nii.gz"):
        values = nib.load(path).get_fdata()
        assert 0 <= values.min() <= values.max() <= 1
    assert nib.load(next(done.results.glob("maps/gradcam/*/sub-*.nii.gz"))).get_fdata().min() < 0


def test_relevance_is_accounted_for(done):
    tables = [read(path) for path in done.results.glob("maps/lrp/*/maps.tsv")]
    assert pd.concat(tables)["conservation"].notna().sum() == 4
    assert read(next(done.results.glob("maps/gradcam/*/maps.tsv")))["conservation"].isna().all()


def test_visualisations_are_held_against_the_cohort(done):
    folder = done.results / "features" / "visualisation_fold-0"
    table = read(folder / "visualisations.tsv")
    assert list(table["objective"]) == ["class-F", "class-M", "layer-1_channel-0", "layer-1_channel-1"]
    assert table["percentile"].between(0, 100).all()
    assert {path.name for path in folder.glob("*.nii.gz")} == {f"{name}_input.nii.gz" for name in table["objective"]}
    assert "What the network wants to see" in (done.results / "report" / "index.html").read_text()


def test_masks_hold_five_percent_of_the_brain(done):
    brain = nib.load(done.results / "images" / "brain_mask.nii.gz").get_fdata() > 0
    mask = nib.load(done.results / "population" / "gradcam" / "joint_mask.nii.gz").get_fdata() > 0
    assert mask.sum() == round(0.05 * brain.sum())
    assert not (mask & ~brain).any()


def test_the_joint_map_of_contributions_is_a_difference_and_that_of_others_a_mean(done):
    for method, weights in (("lrp", (-1, 1)), ("perturbation", (0.5, 0.5))):
        paths = [done.results / "population" / method / f"{group}_mean_signed.nii.gz" for group in ("F", "M", "joint")]
        first, second, joint = (nib.load(path).get_fdata() for path in paths)
        np.testing.assert_allclose(joint, weights[0] * first + weights[1] * second, atol=1e-6 * np.abs(joint).max())
    page = (done.results / "report" / "index.html").read_text()
    assert page.count("is that of class M minus class F: what a place") == 3


def test_every_method_is_held_against_the_network(done):
    randomized = read(done.results / "tables" / "randomization.tsv")
    assert set(randomized["method"]) == {"gradcam", "guided_backprop", "perturbation", "lrp"}
    cascade = randomized[randomized["test"] == "cascade"]
    assert set(cascade["layers"]) == set(range(5))  # none, the linear layer, and three blocks
    assert randomized["people"].eq(4).all()
    faithful = read(done.results / "tables" / "faithfulness.tsv")
    assert len(faithful) == 4 * 2 * 2 * 3 * 2  # methods, replacements, kinds, orders, measures
    assert faithful["people"].eq(4).all()
    assert 'id="trust"' in (done.results / "report" / "index.html").read_text()


def test_tables_have_their_columns_and_rows(done):
    dice = read(done.results / "tables" / "dice.tsv")
    assert list(dice) == [
        "group", "method_a", "method_b", "dice", "dice_chance", "agreement", "spearman", "voxels_a", "voxels_b",
    ]  # fmt: skip
    assert len(dice) == 3 * 6  # groups and pairs of methods
    regions = read(done.results / "tables" / "regions_parcels.tsv")
    assert list(regions) == [
        "method", "group", "index", "region", "hemisphere", "voxels", "mean", "share", "inside", "rank",
    ]  # fmt: skip
    assert np.allclose(regions.groupby(["method", "group"])["share"].sum(), 1)
    planted = read(done.results / "tables" / "planted_regions.tsv")
    truth = read(done.results / "phantom" / "truth_regions.tsv")
    assert set(planted["index"]) == set(truth["index"])
    assert set(truth["hemisphere"]) >= {"left", "right"}


def test_every_model_is_tested_on_the_same_people_of_the_same_folds(done):
    folds = read(done.results / "private" / "folds.tsv").set_index("participant_id")[["fold", "target"]]
    for model in MODELS:
        place = "private" if model == "cnn" else f"private/baselines/folds/{model}"
        paths = sorted(done.results.glob(f"{place}{'/predictions' if model == 'cnn' else ''}_fold-*.tsv"))
        tested = pd.concat([read(path) for path in paths]).set_index("participant_id")
        assert tested.index.is_unique
        pd.testing.assert_frame_equal(tested[["fold", "target"]].sort_index(), folds.sort_index(), check_dtype=False)
        assert {"prediction", "score", "p_F", "p_M"} <= set(tested)


def test_all_models_stand_in_one_table(done):
    accuracy = read(done.results / "tables" / "accuracy.tsv")
    assert list(accuracy) == ["model", "fold", "n_train", "n_test", "accuracy", "balanced_accuracy", "auc"]
    assert list(accuracy["model"]) == [model for model in MODELS for _ in range(2)]
    assert set(accuracy["n_train"]) == set(accuracy["n_test"]) == {8}
    summary = read(done.results / "tables" / "accuracy_summary.tsv")
    assert list(summary) == [
        "model", "metric", "mean", "sd", "ci_low", "ci_high", "difference_to_cnn", "p_corrected_t", "chance",
        "p_permutation",
    ]  # fmt: skip
    network = summary[summary["model"] == "cnn"].set_index("metric")
    permuted = read(done.results / "tables" / "permutations.tsv")
    for metric, row in network.iterrows():
        draws = permuted.loc[permuted["metric"] == metric, "value"]
        assert len(draws) == 2
        assert row["p_permutation"] == pytest.approx((1 + (draws >= row["mean"] - 1e-12).sum()) / 3)
    assert network["difference_to_cnn"].isna().all()
    assert summary.loc[summary["model"] != "cnn", "difference_to_cnn"].notna().all()


def test_head_size_is_faced(done):
    confounds = read(done.results / "tables" / "confounds.tsv")
    assert set(confounds["analysis"]) == {
        "tiv_only", "age_only", "raw", "tiv_matched", "tiv_residualised", "score_tiv_correlation",
    }  # fmt: skip
    assert set(confounds.loc[confounds["analysis"] == "tiv_residualised", "model"]) == set(MODELS) - {"cnn"}
    correlation = confounds[confounds["analysis"] == "score_tiv_correlation"]
    assert list(correlation["group"]) == ["F", "M"]
    head = confounds[(confounds["analysis"] == "tiv_only") & (confounds["metric"] == "accuracy")]
    # Of head sizes with the means and SDs of the phantom's design the best threshold tells 79 % apart.
    assert 0.5 < head["mean"].item() <= 1
    assert head["note"].item() == "head size: FS_IntraCranial_Vol"


def test_no_id_no_label_and_no_release_is_a_feature(done):
    features = read(done.results / "private" / "features.tsv")
    assert len(features) == 16
    assert all(name.startswith("FS_") for name in features.columns[1:])
    assert set(read(done.results / "tables" / "features_dropped.tsv")["feature"]) == {"Release", "Gender", "Subject"}
    importance = read(done.results / "tables" / "morphometry_importance.tsv")
    kinds = set(zip(importance["model"], importance["kind"], strict=True))
    assert kinds == {
        ("xgboost", "gain"), ("logistic", "coefficient"),
        ("xgboost", "permutation"), ("logistic", "permutation"), ("knn", "permutation"),
    }  # fmt: skip
    regions = read(done.results / "tables" / "morphometry_vs_maps.tsv")
    assert regions["region"].nunique() == 150


def test_first_layer_and_grouping_have_a_row_for_everything(done):
    first = read(done.results / "tables" / "first_layer.tsv")
    assert len(first) == 2 * 2 * 2 * 2  # folds, channels, statistics, with and without head size
    assert set(first["n_F"]) == set(first["n_M"]) == {4}
    assert (read(done.results / "tables" / "first_layer_counts.tsv")["features"] == 2).all()
    assert list(read(done.results / "tables" / "grouping.tsv")["model"].unique()) == MODELS


def test_the_truth_lies_on_the_side_that_its_table_says(done):
    """Volume, truth, atlas and maps share one orientation: a flip of any of them would show here."""
    truth = nib.load(done.results / "phantom" / "truth.nii.gz")
    atlas = nib.load(done.results / "atlases" / "parcels.nii.gz")
    table = read(done.results / "phantom" / "truth_regions.tsv")
    planted, parcels = truth.get_fdata() > 0, atlas.get_fdata()
    for row in table.to_dict("records"):
        parcel = parcels == row["index"]
        assert planted[parcel].mean() > 0.3
        x = nib.affines.apply_affine(truth.affine, np.argwhere(parcel)).mean(axis=0)[0]
        assert (x < 0) == (row["hemisphere"] == "left")
        assert planted[::-1][parcel].mean() < planted[parcel].mean()


def test_nothing_is_left_to_do(done):
    assert done.planned() == {}


def test_a_changed_threshold_runs_only_what_follows_the_averages(done):
    config = copy.deepcopy(done.config)
    config["population"]["threshold"] = {"value": 10}
    planned = done.planned(config)
    assert "threshold_map" in planned
    assert set(planned) <= AFTER_AVERAGES


def test_a_changed_method_runs_its_own_maps_and_no_training(done):
    config = copy.deepcopy(done.config)
    config["maps"]["methods"]["perturbation"]["l1"] = 1.0
    planned = done.planned(config)
    assert planned["explain"] == 4
    assert not {"train_fold", "downsample", "make_people", "fit_morphometry", "tabulate_accuracy"} & set(planned)


def test_a_page_without_single_people_draws_nobody(done):
    assert set(done.planned(done.config | {"report": {"people": False}})) == {
        "write_provenance",
        "write_page",
        "report",
    }


def test_defaults_that_are_written_out_run_nothing(done):
    config = copy.deepcopy(done.config)
    config["cohort"] = {"task": "classification", "size": {"estimate": "auto"}, **config["cohort"]}
    config["baselines"]["models"]["svm"] = {"gamma": "scale"}
    config["training"] = {"milestones": [5, 15], **config["training"]}
    config["statistics"]["permutations"] = 2.0
    planned = done.planned(config)
    assert set(planned) <= {"write_provenance", "write_page", "report"}  # which show the settings in their order


def test_a_changed_setting_of_a_baseline_fits_that_one_only(done):
    config = copy.deepcopy(done.config)
    config["baselines"]["models"]["knn"]["n_neighbors"] = 3
    planned = done.planned(config)
    assert planned["fit_morphometry"] == 4  # two folds, with families together and torn apart
    assert not {"train_fold", "fit_voxel_svm", "prepare_features", "explain", "cross_validate"} & set(planned)


def test_private_things_stay_private(done):
    private = done.results / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    restricted = pd.read_csv(private / "phantom_restricted.csv", dtype=str)
    families = set(restricted["Family_ID"])
    assert families & set(read(private / "participants.tsv")["group"]) == set()
    for path in done.results.rglob("*"):
        if path.is_file() and private not in path.parents and path.suffix in (".tsv", ".csv", ".html", ".json", ".log"):
            text = path.read_text()
            found = [name for name in (*families, "Age_in_Yrs") if name in text]
            assert not found, f"{path}: {found}"


def test_volumes_of_the_phantom_are_gone_and_their_truth_is_kept(done):
    assert not list(done.results.glob("phantom/volumes/*/*"))
    assert len(list(done.results.glob("phantom/truth_people/*/sub-*_truth.nii.gz"))) == 16
    assert not list(done.results.glob("partial/*"))


def test_snakemakes_own_report_works(done):
    done.run("--report", "snakemake.html")
    assert (done.folder / "snakemake.html").stat().st_size > 100_000


def test_provenance_names_versions_and_settings_and_no_folder_of_the_user(done):
    record = json.loads((done.results / "provenance.json").read_text())
    assert record["versions"]["torch"].startswith("2.")
    assert record["config"]["folds"]["count"] == 2
    assert str(done.folder) not in (done.results / "provenance.json").read_text()


def test_maps_do_not_depend_on_how_the_work_is_cut(done, tmp_path, workflow):
    config = copy.deepcopy(done.config)
    config["images"]["subjects_per_job"] = 5
    config["maps"]["subjects_per_job"] = 64
    config["maps"]["methods"]["perturbation"]["batch_size"] = 3
    other = workflow(tmp_path, config)
    other.run("maps")
    for name in ("images/stack.npy", "models/fold-0/weights.safetensors", "models/fold-1/weights.safetensors"):
        assert (other.results / name).read_bytes() == (done.results / name).read_bytes(), name
    for path in done.results.glob("maps/*/*/sub-*.nii.gz"):
        method = path.relative_to(done.results).parts[1]
        (twin,) = other.results.glob(f"maps/{method}/*/{path.name}")
        mine, its = nib.load(path).get_fdata(), nib.load(twin).get_fdata()
        # Batches of another size sum in another order, and the optimiser of perturbation amplifies the last bits, most
        # of all with the flat gradients of this hardly trained network.
        assert np.linalg.norm(mine - its) <= (5e-2 if method == "perturbation" else 1e-4) * np.linalg.norm(mine), path


def test_a_network_from_outside_is_explained_without_training(done, tmp_path, workflow):
    config = copy.deepcopy(done.config)
    config["interpret"] = {"weights": str(done.results / "models" / "fold-0" / "weights.safetensors")}
    config["maps"]["methods"] = {"gradcam": {}}
    for test in ("reproducibility", "retraining"):  # which train anew
        del config["evaluation"][test]
    for section, keys in {"baselines": None, "statistics": None, "folds": {"count": 2}}.items():
        config[section] = keys or {}
    outside = workflow(tmp_path, config)
    outside.run()
    assert not list(outside.results.glob("models/fold-[0-9]*"))
    tables = [read(path) for path in outside.results.glob("maps/gradcam/fold-external_part-*/maps.tsv")]
    assert len(pd.concat(tables)) == 16
    assert "held-out status unknown" in (outside.results / "report" / "index.html").read_text()
