"""What the tests of the maps leave after a run of the tiny phantom, from tables to verdicts."""

import copy
import re

import nibabel as nib
import numpy as np
import pandas as pd

METHODS = ["gradcam", "guided_backprop", "perturbation", "lrp"]


def read(path):
    return pd.read_csv(path, sep="\t", dtype={"fold": str}, keep_default_na=False, na_values="n/a")


def table(done, name):
    return read(done.results / "tables" / f"{name}.tsv")


def test_every_method_has_a_verdict_on_every_criterion(done):
    verdicts = table(done, "verdicts")
    assert list(verdicts["method"].unique()) == METHODS
    assert (verdicts.groupby("method").size() == verdicts["criterion"].nunique()).all()
    tested = verdicts[verdicts["verdict"] != "not testable"]
    # Tests of few masks, of four people and of one fold cannot be passed or failed; all others were made.
    assert set(verdicts["criterion"]) - set(tested["criterion"]) == {
        "deletion", "insertion", "masked_accuracy", "retraining", "reproducibility_folds",
    }  # fmt: skip
    assert tested["value"].notna().all()
    assert (verdicts["why"] == "").equals(verdicts["verdict"] != "not testable")


def test_networks_trained_again_differ_and_are_tested_on_the_same_people(done):
    networks = table(done, "reproducibility_networks")
    assert set(networks["variant"]) == {"original", "seed-1", "weights-1", "shuffled-1"}
    assert set(networks["people"]) == {16}
    weights = [
        (done.results / "models" / f"{variant}fold-0" / "weights.safetensors").read_bytes()
        for variant in ("", "seed-1_", "weights-1_", "shuffled-1_")
    ]
    assert len(set(weights)) == 4


def test_maps_made_again_are_of_people_that_the_network_has_not_seen(done):
    folds = pd.read_csv(done.results / "private" / "folds.tsv", sep="\t", dtype=str)
    folds = folds.set_index("participant_id")["fold"]
    people = []
    for folder in (done.results / "maps_again" / "seed-1_gradcam").iterdir():
        explained = pd.read_csv(folder / "maps.tsv", sep="\t", dtype=str)["participant_id"]
        assert set(folds[explained]) == {folder.name.removeprefix("fold-")}
        people += list(explained)
    assert len(people) == len(set(people)) == 8


def test_likeness_has_all_levels_and_weights_change_maps_less_than_a_new_training(done):
    likeness = table(done, "reproducibility")
    assert set(likeness["level"]) == {"people", "population", "regions", "voxels"}
    own = likeness[(likeness["level"] == "people") & (likeness["measure"] == "spearman")]
    own = own.set_index(["method", "change"])["value"]
    for method in METHODS[1:]:  # of Grad-CAM's flat maps by hardly trained networks either may be the larger
        assert own[method, "weights"] > own[method, "seed"], method


def test_shuffled_labels_are_held_against_truth_and_maps(done):
    localization = table(done, "localization")
    assert list(localization.loc[localization["level"] == "shuffled labels", "method"]) == METHODS
    randomization = table(done, "randomization")
    assert set(randomization.loc[randomization["test"] == "shuffled labels", "method"]) == set(METHODS)


def test_masked_accuracy_and_retraining_stand_beside_random_masks(done):
    masked = table(done, "masked_accuracy")
    assert len(masked) == 4 * 3 * 2 * masked["metric"].nunique()
    assert masked[["random_mean", "whole", "chance"]].notna().all(axis=None)
    thresholded = masked[(masked["mask"] == "threshold") & (masked["group"] == "F")]
    np.testing.assert_allclose(thresholded["volume"], 0.05, atol=1e-3)
    retraining = table(done, "retraining")
    assert set(retraining["method"]) == {*METHODS, "random"}
    assert set(retraining["share"]) == {20}


def test_inference_and_intervals(done):
    inference = table(done, "inference")
    assert set(inference.loc[inference["contrast"] == "difference", "method"]) == set(METHODS)
    assert (inference["smallest_p"] >= 0.05 - 1e-9).all()
    for method in METHODS:
        p = nib.load(done.results / "population" / method / "difference_p.nii.gz").get_fdata()
        assert np.abs(p).max() <= -np.log10(0.05) + 1e-6
    regions, intervals = table(done, "inference_regions"), table(done, "region_intervals")
    assert len(regions[regions["contrast"] == "difference"]) == 4 * 150
    assert len(intervals) == 4 * 3 * 150
    assert (intervals["rank_low"] <= intervals["rank_high"]).all()


def test_agreement_and_anatomy(done):
    agreement = table(done, "agreement")
    assert len(agreement[["first", "second"]].drop_duplicates()) == 6
    assert agreement["null_95"].notna().all()
    anatomy = table(done, "anatomy")
    assert set(anatomy["method"]) == set(METHODS)
    t = nib.load(done.results / "population" / "anatomy" / "t.nii.gz")
    assert np.isfinite(t.get_fdata()).all()


def test_no_table_of_the_tests_names_anybody(done):
    people = pd.read_csv(done.results / "private" / "folds.tsv", sep="\t", dtype=str)["participant_id"]
    for folder in ("tables", "evaluation"):
        for path in (done.results / folder).rglob("*.tsv"):
            # Digits of a longer number are nobody's id.
            assert not set(people) & set(re.findall(r"(?<![\d.])\d+(?![\d.])", path.read_text())), path


def test_a_changed_threshold_of_the_verdicts_judges_anew_and_measures_nothing(done):
    config = copy.deepcopy(done.config)
    config["evaluation"]["verdicts"] = {"similarity": 0.9}
    assert set(done.planned(config)) == {"tabulate_verdicts", "write_provenance", "write_page", "report"}


def test_a_truth_that_the_user_knows_takes_the_place_of_what_was_planted(done, tmp_path):
    truth = nib.load(done.results / "phantom" / "truth.nii.gz")
    nib.save(truth, tmp_path / "truth.nii.gz")
    config = copy.deepcopy(done.config)
    config["evaluation"]["localization"] = {"truth": str(tmp_path / "truth.nii.gz")}
    planned = done.planned(config)
    assert planned["prepare_truth"] == planned["score_localization"] == 1
    assert not {"explain", "summarise_maps", "train_fold", "train_again"} & set(planned)
