"""Sixty real brains from scanner space to the page; minutes, hence `slow`."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.imaging.grid import COMMON, mni_brain

IXI = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ixi"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IXI.is_dir(), reason=f"the 60 real brains are not at {IXI}"),
]
CONFIG = {
    "name": "ixi",
    "torch_threads": 1,
    "cohort": {
        "source": "table",
        "target": "sex",
        "labels": ["F", "M"],
        "table": {
            "file": str(IXI / "participants.tsv"),
            "root": str(IXI),
            "image_pattern": "anat/sub-{id}_T1w_brain.nii.gz",
            "age_column": "age",
        },
        "size": {"file": str(IXI / "volumes.tsv"), "column": "Vol_ICV"},
    },
    "images": {"align": "affine", "subjects_per_job": 15},
    "folds": {"count": 5},
    "model": {"arguments": {"channels": 8}},
    "training": {"epochs": 20, "batch_size": 16, "learning_rate": 0.001, "milestones": [15]},
    "baselines": {
        "models": {"svm": {}, "xgboost": {}, "knn": {}, "logistic": {}},
        "features": {"tables": [str(IXI / "freesurfer.tsv"), str(IXI / "volumes.tsv")]},
    },
    "maps": {"methods": {"gradcam": {}, "guided_backprop": {}, "perturbation": {"people": 20}}},
}
AGE = {
    **CONFIG,
    "name": "ixi-age",
    "cohort": {
        **{key: value for key, value in CONFIG["cohort"].items() if key != "labels"},
        "target": "age",
        "task": "regression",
    },
    "baselines": {**CONFIG["baselines"], "models": {"svm": {}, "ridge": {}, "svr": {}}},
    "maps": {"methods": {}},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory, workflow):
    run = workflow(tmp_path_factory.mktemp("ixi"), CONFIG)
    run.run()
    return run


def read(run, table):
    return pd.read_csv(run.results / "tables" / f"{table}.tsv", sep="\t", na_values="n/a", keep_default_na=False)


def test_every_brain_lies_on_the_mni_brain(done):
    index = pd.read_csv(done.results / "images" / "index.tsv", sep="\t")
    assert len(index) == 60
    assert set(index["orientation"]) == {"PSR"}
    assert index["dice"].min() >= 0.9
    brain = nib.load(done.results / "images" / "brain_mask.nii.gz")
    assert COMMON.matches(brain.shape, brain.affine)
    inside, reference = brain.get_fdata() > 0, mni_brain()
    assert 2 * (inside & reference).sum() / (inside.sum() + reference.sum()) > 0.94


def test_maps_are_finite_with_the_true_affine_and_held_out(done):
    folds = pd.read_csv(done.results / "private" / "folds.tsv", sep="\t", dtype=str).set_index("participant_id")["fold"]
    for method, people in (("gradcam", 60), ("guided_backprop", 60), ("perturbation", 20)):
        paths = list(done.results.glob(f"maps/{method}/*/sub-*_map.nii.gz"))
        assert len({path.name for path in paths}) == len(paths) == people
        for path in paths:
            image = nib.load(path)
            values = image.get_fdata()
            assert COMMON.matches(image.shape, image.affine)
            assert np.isfinite(values).all()
            assert np.abs(values).max() > 0
            person = re.fullmatch(r"sub-(\w+)_map.nii.gz", path.name)[1]
            assert path.parent.name.startswith(f"fold-{folds[person]}_")


def test_accuracy_is_stated_with_its_spread_beside_chance(done):
    summary = read(done, "accuracy_summary").set_index(["model", "metric"])
    print(summary)  # for whoever runs this: no level is asserted, 60 people are too few to promise one
    network = summary.loc[("cnn", "accuracy")]
    assert network["chance"] == 0.5
    assert network["sd"] > 0
    page = (done.results / "report" / "index.html").read_text()
    assert f"{network['mean']:.2f} ± {network['sd']:.2f}" in page


def test_other_models_have_the_same_folds_and_head_size_is_faced(done):
    accuracy, confounds = read(done, "accuracy"), read(done, "confounds")
    print(confounds.drop(columns="note").to_string())
    people = accuracy.groupby("model", sort=False)["n_test"].sum()
    # One person has no FreeSurfer values, and is left out of the models on morphometry.
    assert people.to_dict() == {"cnn": 60, "svm": 60, "xgboost": 59, "knn": 59, "logistic": 59}
    alone = confounds[(confounds["analysis"] == "tiv_only") & (confounds["metric"] == "accuracy")]
    assert alone["mean"].item() > 0.65  # head size tells these people apart, whoever draws the folds
    assert set(confounds["note"].dropna().str.split(";").str[0]) >= {"head size: Vol_ICV"}
    dropped = read(done, "features_dropped")
    assert set(dropped["feature"]) >= {"participant_id"}


def test_age_is_predicted_by_all_models_that_can(tmp_path_factory, workflow):
    run = workflow(tmp_path_factory.mktemp("ixi-age"), AGE)
    run.run()
    summary = read(run, "accuracy_summary").set_index(["model", "metric"])
    print(summary)
    assert list(summary.index.unique("model")) == ["cnn", "svm", "ridge", "svr"]
    for model in ("ridge", "svr"):
        row = summary.loc[(model, "mae")]
        assert row["mean"] + row["sd"] < row["chance"]


def test_nothing_is_left_to_do(done):
    assert done.planned() == {}
