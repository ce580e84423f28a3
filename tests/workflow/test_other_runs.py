"""The other ways in: people in HCP layout, a plain table with a number to predict, and what a changed image re-runs."""

import copy
import re
import stat

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.cohort.phantom import PhantomSettings, freesurfer_csv, make_people, restricted_csv, unrestricted_csv
from voxplain.cohort.phantom.families import design

PEOPLE = 12


@pytest.fixture(scope="module")
def hcp(tmp_path_factory, workflow):
    """A folder in HCP layout with a CSV that lists two people more, and the workflow's images made from it."""
    folder = tmp_path_factory.mktemp("hcp")
    settings = PhantomSettings(people=PEOPLE, seed=5, grid="common")
    ids = list(design(settings)["participant_id"])
    make_people(ids, settings, folder / "HCP_1200")
    measures = pd.read_csv(folder / "HCP_1200" / "measures.tsv", sep="\t", dtype={"Subject": str})
    table = unrestricted_csv(settings, measures)
    extra = table.tail(2).assign(Subject=["999998", "999999"])
    pd.concat([table, extra]).to_csv(folder / "unrestricted.csv", index=False)
    restricted_csv(settings, measures).to_csv(folder / "restricted.csv", index=False)
    freesurfer = freesurfer_csv(settings, measures)
    freesurfer.iloc[1, 4:] = float("nan")  # a person whom FreeSurfer gave up on
    freesurfer.to_csv(folder / "freesurfer.csv", index=False)
    config = {
        "name": "hcp",
        "torch_threads": 1,
        "cohort": {
            "source": "hcp",
            "target": "Gender",
            "labels": ["F", "M"],
            "hcp": {
                "root": str(folder / "HCP_1200"),
                "unrestricted_csv": str(folder / "unrestricted.csv"),
                "restricted_csv": str(folder / "restricted.csv"),
                "freesurfer_csv": str(folder / "freesurfer.csv"),
            },
        },
        "images": {"subjects_per_job": 5},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 2}},
        "training": {"epochs": 1, "batch_size": 4},
        "baselines": {"models": {"logistic": {}}},
        "maps": {"methods": {"gradcam": {}}},
    }
    run = workflow(folder, config)
    run.run("images")
    return run


def test_people_without_an_image_are_counted_and_listed(hcp):
    summary = pd.read_csv(hcp.results / "tables" / "cohort.tsv", sep="\t", index_col="key")["value"]
    assert int(summary["rows"]) == PEOPLE + 2
    assert int(summary["missing"]) == 2
    assert summary["grouped"] == "True"
    missing = pd.read_csv(hcp.results / "private" / "missing.tsv", sep="\t", dtype=str)
    assert list(missing["participant_id"]) == ["999998", "999999"]


def test_a_changed_image_runs_its_batch_again_and_no_other(hcp):
    path = sorted((hcp.folder / "HCP_1200").glob("*/MNINonLinear/T1w_restore_brain.nii.gz"))[0]
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) // 2, image.affine), path)
    planned = hcp.planned()
    assert planned["downsample"] == 1
    assert "stack_images" in planned
    assert "tabulate_participants" not in planned
    hcp.run("images")


def test_a_truncated_image_is_named_before_anything_is_read(hcp):
    path = sorted((hcp.folder / "HCP_1200").glob("*/MNINonLinear/T1w_restore_brain.nii.gz"))[3]
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: len(whole) // 3])
        said = hcp.run("images", check=False)
        assert said.returncode != 0
        assert path.parts[-3] in said.stdout
        assert "truncated" in said.stdout or "damaged" in said.stdout or "ends too early" in said.stdout
        assert "Traceback" not in said.stdout
    finally:
        path.write_bytes(whole)
    hcp.run("images")


def test_morphometry_comes_from_the_expanded_freesurfer_table(hcp):
    hcp.run(str(hcp.results.relative_to(hcp.folder) / "private" / "features.tsv"))
    features = pd.read_csv(hcp.results / "private" / "features.tsv", sep="\t", dtype={"participant_id": str})
    table = pd.read_csv(hcp.folder / "freesurfer.csv", dtype={"Subject": str})
    assert list(features.columns[1:]) == [name for name in table if name.startswith("FS_")]
    # The person keeps one value, the intracranial volume: the rest is imputed, fold by fold.
    assert features.isna().sum(axis=1).max() == 150
    assert len(features) == PEOPLE


@pytest.fixture(scope="module")
def ages(hcp, tmp_path_factory, workflow):
    """The same people as a plain table, with a number to predict."""
    folder = tmp_path_factory.mktemp("umlauts äöü and blanks")
    restricted = pd.read_csv(hcp.folder / "restricted.csv", dtype=str)
    table = pd.DataFrame({"participant_id": "sub-" + restricted["Subject"], "years": restricted["Age_in_Yrs"]})
    table["t1"] = restricted["Subject"] + "/MNINonLinear/T1w_restore_brain.nii.gz"
    table.to_csv(folder / "people.tsv", sep="\t", index=False)
    measures = pd.read_csv(hcp.folder / "freesurfer.csv", dtype=str)
    measures = measures.rename(columns={"Subject": "participant_id"}).assign(years=restricted["Age_in_Yrs"])
    measures["eTIV"] = 0.97 * measures["FS_InterCranial_Vol"].astype(float)
    measures.to_csv(folder / "volumes.tsv", sep="\t", index=False)
    config = {
        **hcp.config,
        "name": "ages",
        "cohort": {
            "source": "table",
            "target": "years",
            "task": "regression",
            "restricted_target": True,
            "size": {"file": "volumes.tsv", "column": "FS_InterCranial_Vol"},
            "table": {"file": "people.tsv", "root": str(hcp.folder / "HCP_1200"), "image_column": "t1"},
        },
        "baselines": {
            "models": {"svm": {}, "ridge": {}, "svr": {}, "knn": {"n_neighbors": 2}},
            "features": {"tables": ["volumes.tsv"]},
            "inner_folds": 2,
        },
        "statistics": {"permutations": 1, "age_gap": True},
        "maps": {
            "methods": {
                "gradcam": {},
                "perturbation": {"people": 4, "iterations": 3},
                "noise": {"people": 4, "depth": 1, "channels": 2, "epochs": 1},
            }
        },
    }
    run = workflow(folder, config)
    run.run()
    return run


def test_a_number_is_predicted_and_mapped_without_classes(ages):
    accuracy = pd.read_csv(ages.results / "tables" / "accuracy.tsv", sep="\t")
    assert list(accuracy) == ["model", "fold", "n_train", "n_test", "mae", "r"]
    assert list(accuracy["model"].unique()) == ["cnn", "svm", "ridge", "svr", "knn"]
    dropped = pd.read_csv(ages.results / "tables" / "features_dropped.tsv", sep="\t")
    assert set(dropped["feature"]) >= {"years", "Gender", "Release"}  # the target itself is no feature
    confounds = pd.read_csv(ages.results / "tables" / "confounds.tsv", sep="\t", na_values="n/a")
    assert set(confounds["analysis"]) == {"tiv_only", "raw", "tiv_residualised", "score_tiv_correlation"}
    names = {path.name for path in (ages.results / "population" / "gradcam").iterdir()}
    groups = ("joint", "lowest-third", "middle-third", "highest-third")
    of_groups = {f"{group}_{what}.nii.gz" for group in groups for what in ("mean_signed", "mask")}
    assert names == of_groups | {"difference_t.nii.gz", "difference_p.nii.gz"}
    lowest, highest, joint = (
        nib.load(ages.results / "population" / "gradcam" / f"{group}_mean_signed.nii.gz").get_fdata()
        for group in ("lowest-third", "highest-third", "joint")
    )
    np.testing.assert_allclose(joint, highest - lowest, atol=1e-6 * np.abs(joint).max())
    gap = pd.read_csv(ages.results / "tables" / "age_gap.tsv", sep="\t")
    assert list(gap["gap"]) == ["raw", "corrected"] * 5
    assert "pulled towards the mean" in (ages.results / "report" / "index.html").read_text()
    utility = pd.read_csv(ages.results / "tables" / "noise_utility.tsv", sep="\t")
    assert set(utility["order"]) == {"importance", "random"}
    assert set(utility["share_clean"]) == set(range(0, 101, 10))


def test_another_head_size_trains_no_network_anew(ages):
    config = copy.deepcopy(ages.config)
    config["cohort"]["size"]["column"] = "eTIV"
    planned = ages.planned(config)
    assert planned["collect_confounders"] == 1
    assert "tabulate_confounds" in planned
    assert not {"tabulate_participants", "assign_folds", "train_fold", "explain", "cross_validate"} & set(planned)


def test_a_restricted_target_reaches_no_public_file(ages):
    # Whose map went into which third's mean can be solved for, and a map's sum is the network's answer.
    people = {path.relative_to(ages.results).parts[:2] for path in ages.results.rglob("sub-*_map.nii.gz")}
    assert people == {("private", "maps")}
    assert stat.S_IMODE((ages.results / "private").stat().st_mode) == 0o700
    assert not list((ages.results / "partial").glob("*"))
    assert [path.name for path in (ages.results / "report").iterdir()] == ["index.html"]
    assert 'id="single-people"' not in (ages.results / "report" / "index.html").read_text()
    explained = pd.read_csv(ages.results / "tables" / "explained.tsv", sep="\t", na_values="n/a")
    assert set(explained["explained"]) == {"regression"}
    summary = (ages.results / "tables" / "cohort.tsv").read_text()
    assert re.search(r"restricted_target\tTrue", summary)
