"""fMRIPrep's derivatives as the workflow's input: from the folder to the stack of images."""

import copy
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from batches import downsample_batch
from voxplain.cohort.phantom import PhantomSettings, make_people
from voxplain.cohort.phantom.families import design

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 10
PHANTOM = PhantomSettings(people=PEOPLE, seed=5, grid="common")
SPACE = "space-MNI152NLin6Asym_res-1"


def stems(folder):
    """Where each person's files lie, without their ends; every second one has a session."""
    for number, person in enumerate(design(PHANTOM)["participant_id"]):
        session = ["", "ses-baseline"][number % 2]
        name = "_".join(filter(None, (f"sub-{person}", session, SPACE)))
        yield person, folder / "fmriprep" / f"sub-{person}" / session / "anat" / name


@pytest.fixture(scope="module")
def bids(tmp_path_factory, workflow):
    """Names as fMRIPrep gives them, with nothing behind them, and a table of two people more."""
    folder = tmp_path_factory.mktemp("bids")
    for _, stem in stems(folder):
        stem.parent.mkdir(parents=True)
        stem.with_name(f"{stem.name}_desc-preproc_T1w.nii.gz").touch()
        stem.with_name(f"{stem.name}_desc-brain_mask.nii.gz").touch()
    people = design(PHANTOM)
    table = people[["participant_id", "Gender"]].assign(age=30)
    extra = pd.DataFrame({"participant_id": ["noimage", "nosex"], "Gender": ["F", None], "age": [30, 31]})
    table = pd.concat([table, extra]).assign(participant_id=lambda rows: "sub-" + rows["participant_id"])
    (folder / "raw").mkdir()
    table.to_csv(folder / "raw" / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    config = {
        "name": "bids",
        "torch_threads": 1,
        "cohort": {
            "source": "bids",
            "target": "Gender",
            "labels": ["F", "M"],
            "bids": {
                "root": str(folder / "fmriprep"),
                "participants": str(folder / "raw" / "participants.tsv"),
                "space": "MNI152NLin6Asym",
                "age_column": "age",
            },
        },
        "images": {"subjects_per_job": 6},
        "folds": {"count": 2},
        "maps": {"methods": {"gradcam": {}}},
    }
    return workflow(folder, config)


@pytest.fixture(scope="module")
def finished(bids):
    """The run to the stack of images, with phantom brains within skulls."""
    brains = bids.folder / "brains"
    make_people(list(design(PHANTOM)["participant_id"]), PHANTOM, brains)
    for person, stem in stems(bids.folder):
        brain = nib.load(brains / person / "MNINonLinear" / "T1w_restore_brain.nii.gz")
        data = np.asarray(brain.dataobj)
        mask = data > 0
        head = np.where(mask, data, data.max())
        nib.save(nib.Nifti1Image(head, brain.affine), f"{stem}_desc-preproc_T1w.nii.gz")
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), brain.affine), f"{stem}_desc-brain_mask.nii.gz")
    bids.run("images")
    return bids


@pytest.mark.slow
def test_the_stack_is_of_the_brains_within_the_skulls(finished):
    index = pd.read_csv(finished.results / "images" / "index.tsv", sep="\t", dtype={"participant_id": str})
    ids = list(index["participant_id"])
    assert len(ids) == PEOPLE
    assert not any(person.startswith("sub-") for person in ids)
    brains = [finished.folder / "brains" / person / "MNINonLinear" / "T1w_restore_brain.nii.gz" for person in ids]
    masks = sorted((finished.folder / "fmriprep").rglob("*_desc-brain_mask.nii.gz"))
    expected, rows = downsample_batch(brains, masks, ids, seed=42)
    assert (rows["problem"] == "").all()
    np.testing.assert_array_equal(np.load(finished.results / "images" / "stack.npy"), expected)


@pytest.mark.slow
def test_people_without_an_image_or_a_target_are_counted(finished):
    summary = pd.read_csv(finished.results / "tables" / "cohort.tsv", sep="\t", index_col="key")["value"]
    assert (summary["rows"], summary["dropped"], summary["missing"]) == (str(PEOPLE + 2), "1", "1")
    missing = (finished.results / "private" / "missing.tsv").read_text().splitlines()
    assert missing[1:] == ["noimage\tno folder sub-noimage"]


@pytest.mark.slow
def test_nothing_is_left_to_do_and_age_trains_nothing_anew(finished):
    assert not {"downsample", "stack_images", "tabulate_participants"} & set(finished.planned())
    config = copy.deepcopy(finished.config)
    config["cohort"]["bids"]["age_column"] = None
    assert not {"downsample", "tabulate_participants"} & set(finished.planned(config))


@pytest.mark.slow
def test_images_in_another_folder_are_read_in_the_same_run_as_the_table(finished):
    (finished.folder / "moved").symlink_to(finished.config["cohort"]["bids"]["root"], target_is_directory=True)
    section = {**finished.config["cohort"]["bids"], "root": str(finished.folder / "moved")}
    config = {**finished.config, "cohort": {**finished.config["cohort"], "bids": section}}
    planned = finished.planned(config)
    assert planned["tabulate_participants"] == planned["stack_images"] == 1
    assert planned["downsample"] == len(list(finished.results.glob("images/batch-*_brains.npy")))


def test_a_second_session_is_refused_by_name(bids):
    person = sorted((bids.folder / "fmriprep").glob("sub-*/ses-baseline"))[0].parent
    second = person / "ses-later"
    config = copy.deepcopy(bids.config)
    try:
        (second / "anat").mkdir(parents=True)
        (second / "anat" / f"{person.name}_ses-later_{SPACE}_desc-preproc_T1w.nii.gz").touch()
        said = bids.run("--dry-run", check=False)
        assert said.returncode != 0
        assert "cohort.bids: 1 people have several images" in said.stdout
        assert f"{person.name.removeprefix('sub-')}: ses-baseline, ses-later" in said.stdout
        assert "Traceback" not in said.stdout
        config["cohort"]["bids"]["session"] = "later"
        config["cohort"]["min_found"] = 0
        said = bids.run("--dry-run", config=config, check=False)
        assert "Images were found for 0 of" in said.stdout  # the mask of that session is not there
    finally:
        for path in sorted(second.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        second.rmdir()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"entities": {"resolution": 2}}, "resolution"),
        ({"space": "MNI152NLin2009cAsym:res-2"}, "MNI152NLin2009cAsym:res-2"),
        ({"space": None}, "images.align"),
        ({"entities": {"res": 2}}, "no image with space-MNI152NLin6Asym_res-2 in sub-"),
        ({"root": "s3://bucket/fmriprep"}, "lies in a bucket"),
        ({"participants": None}, "raw data set"),
    ],
)
def test_settings_that_cannot_be(bids, settings, words):
    config = copy.deepcopy(bids.config)
    config["cohort"]["bids"] |= settings
    said = bids.run("--dry-run", config=config, check=False)
    assert said.returncode != 0
    assert words in said.stdout
    assert "Traceback" not in said.stdout


def test_the_example_is_valid():
    from snakemake.utils import validate

    config = yaml.safe_load((ROOT / "config" / "bids.yaml").read_text())
    listed = set(config["cohort"]["bids"])
    validate(config, str(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    assert set(config["cohort"]["bids"]) - listed == {"suffix"}
