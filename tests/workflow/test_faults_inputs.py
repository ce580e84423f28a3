"""Inputs that change between two calls are read again, and nothing else is."""

import os
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.imaging.grid import HCP, mni_brain

GRID = HCP.rescaled((70, 84, 70))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory, workflow):
    """Eight people as a table of files, read in batches of four."""
    folder = tmp_path_factory.mktemp("inputs")
    ids, images, brain = [f"p{number}" for number in range(8)], [], mni_brain(GRID.shape)
    for number, person in enumerate(ids):
        data = np.random.default_rng(number).normal(600, 100, GRID.shape) * brain
        images.append(f"{person}/T1.nii.gz")
        (folder / "people" / person).mkdir(parents=True)
        nib.save(nib.Nifti1Image(data.astype(np.int16), GRID.affine), folder / "people" / images[-1])
    table = pd.DataFrame({"participant_id": ids, "sex": list("FM" * 4), "t1": images})
    table.to_csv(folder / "people.tsv", sep="\t", index=False)
    config = {
        "name": "inputs",
        "torch_threads": 1,
        "cohort": {
            "source": "table",
            "target": "sex",
            "labels": ["F", "M"],
            "table": {"file": "people.tsv", "root": str(folder / "people"), "image_column": "t1"},
        },
        "images": {"subjects_per_job": 4},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 2}},
        "training": {"epochs": 1, "batch_size": 4, "checkpoint": "last"},
        "maps": {"methods": {"gradcam": {}}},
    }
    run = workflow(folder, config)
    run.run("models")
    return run


def fresh(run, folder):
    """The same inputs, worked on in a folder where nothing was done before."""
    shutil.copy(run.folder / "people.tsv", folder)
    again = type(run)(folder, run.config)
    again.run("models")
    return again


FILES = ["images/stack.npy", "images/index.tsv", "images/mean.nii.gz", "private/folds.tsv", "private/participants.tsv"]
FILES += [f"models/fold-{fold}/weights.safetensors" for fold in range(2)]


def differing(run, other):
    return [name for name in FILES if (run.results / name).read_bytes() != (other.results / name).read_bytes()]


def test_a_volume_that_is_replaced_is_read_again_and_all_that_follows_made_again(run, tmp_path):
    path = sorted((run.folder / "people").rglob("T1.nii.gz"))[2]
    image = nib.load(path)
    before = (run.results / "images" / "stack.npy").read_bytes()
    # Another volume of the same size in another file, as a copy over it or a new release would leave.
    data = np.asarray(image.dataobj)[::-1]
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path.with_name("new.nii.gz"))
    os.replace(path.with_name("new.nii.gz"), path)
    planned = run.planned()
    assert planned["downsample"] == 1  # of two batches
    assert planned["train_fold"] == 2
    assert "tabulate_participants" not in planned
    run.run("models")
    assert (run.results / "images" / "stack.npy").read_bytes() != before
    assert differing(run, fresh(run, tmp_path)) == []


def test_a_table_that_is_replaced_is_read_again_and_no_volume(run, tmp_path):
    table = pd.read_csv(run.folder / "people.tsv", sep="\t", dtype=str)
    table["sex"] = list("MF" * 4)
    table.to_csv(run.folder / "people.tsv", sep="\t", index=False)
    planned = run.planned()
    assert planned["tabulate_participants"] == planned["assign_folds"] == 1
    assert planned["train_fold"] == 2
    assert not {"downsample", "stack_images"} & set(planned)
    run.run("models")
    assert differing(run, fresh(run, tmp_path)) == []


def test_a_volume_with_an_older_time_is_not_seen_until_it_is_touched(run):
    """What Snakemake goes by is the time of a file: a copy that keeps an old one hides the change."""
    path = sorted((run.folder / "people").rglob("T1.nii.gz"))[0]
    found = os.stat(path)
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine, image.header), path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert "downsample" not in run.planned()
    path.touch()
    assert run.planned()["downsample"] == 1
