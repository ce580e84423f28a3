"""Parts that users bring: the files of docs/examples, as docs/extending.md shows them, in one run of the workflow."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
# Quicker than what the examples ask for; everything else is theirs.
QUICK = {
    "torch_threads": 1,
    "folds": {"count": 2},
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.001},
    "evaluation": {
        "randomization": {"people": 2, "networks": 1},
        "agreement": {"surrogates": 5},
        "anatomy": {"surrogates": 5},
        "inference": {"permutations": 19, "replicates": 10},
    },
}


def copied(folder):
    """The examples in a folder outside the repository, the atlas made, and the config as it is run here."""
    for file in EXAMPLES.iterdir():
        shutil.copy(file, folder)
    subprocess.run([sys.executable, "own_atlas.py"], cwd=folder, check=True)
    return yaml.safe_load((folder / "own_parts.yaml").read_text()) | copy.deepcopy(QUICK)


@pytest.fixture(scope="module")
def own(tmp_path_factory, workflow):
    """A finished run of all four examples on brains of the template's shape."""
    from voxplain.imaging.grid import COMMON, mni_brain

    folder = tmp_path_factory.mktemp("own")
    config = copied(folder)
    draws = np.random.default_rng(0)
    for image in pd.read_csv(folder / "own_cohort.tsv", sep="\t")["image"]:
        file = folder / "volumes" / image
        file.parent.mkdir(parents=True)
        data = mni_brain() * draws.normal(100, 20, COMMON.shape).clip(1)
        nib.save(nib.Nifti1Image(data.astype(np.float32), COMMON.affine), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        run = workflow(folder, config)
        run.run()
        yield run


@pytest.mark.slow
def test_the_own_method_s_maps_are_those_of_its_formula(own, monkeypatch):
    import torch

    from voxplain.models.checkpoint import load_checkpoint

    people = pd.read_csv(own.results / "images" / "index.tsv", sep="\t", dtype=str)["participant_id"].tolist()
    stack = np.load(own.results / "images" / "stack.npy")
    file = min((own.results / "maps" / "gradient_times_input").glob("fold-0_part-0/sub-*_map.nii.gz"))
    person = file.name.split("_")[0].removeprefix("sub-")
    monkeypatch.syspath_prepend(own.folder)  # where the class is
    model, metadata = load_checkpoint(own.results / "models" / "fold-0" / "weights.safetensors")
    assert type(model).__name__ == "PooledNet"
    assert metadata["arguments"]["width"] == 8
    image = torch.from_numpy(stack[people.index(person)])[None, None].requires_grad_(True)
    logits = model.eval()(image)[0]
    (logits[1] - logits[0]).backward()
    expected = (image.grad * image).detach()[0, 0].numpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(nib.load(file).get_fdata(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_it_goes_through_all_that_the_built_in_ones_go_through(own):
    tables = own.results / "tables"
    for name in ("explained", "dice", "regions_octants", "verdicts", "randomization", "agreement", "inference"):
        assert "gradient_times_input" in (tables / f"{name}.tsv").read_text(), name
    assert "gradient_times_input" in (own.results / "report" / "index.html").read_text()
    group_maps = own.results / "population" / "gradient_times_input"
    first, second, joint = (
        nib.load(group_maps / f"{group}_mean_signed.nii.gz").get_fdata() for group in ("control", "patient", "joint")
    )
    # contribution: true
    np.testing.assert_allclose(joint, second - first, atol=1e-5 * np.abs(joint).max())
    assert "gradient_times_input.py" in (own.results / "inputs.tsv").read_text()


@pytest.mark.slow
def test_the_own_cohort_and_the_own_atlas_are_those_of_the_files(own):
    listed = pd.read_csv(own.folder / "own_cohort.tsv", sep="\t", dtype=str)
    people = pd.read_csv(own.results / "private" / "participants.tsv", sep="\t", dtype=str)
    assert dict(zip(people["participant_id"], people["target"], strict=True)) == dict(
        zip(listed["participant_id"], listed["diagnosis"], strict=True)
    )
    folds = pd.read_csv(own.results / "private" / "folds.tsv", sep="\t", dtype=str).merge(listed)
    assert listed["family"].duplicated().any()
    assert (folds.groupby("family")["fold"].nunique() == 1).all()
    names = pd.read_csv(own.folder / "octants.tsv", sep="\t")["name"]
    regions = pd.read_csv(own.results / "tables" / "regions_octants.tsv", sep="\t")
    assert set(regions["region"]) == set(names)
    assert (regions["hemisphere"].str[0].str.lower() == regions["region"].str[0]).all()
    # Half of the brain's voxels left, half right, but for the middle plane.
    sizes = regions.drop_duplicates("region").groupby("hemisphere")["voxels"].sum()
    assert sizes.min() > 0.9 * sizes.max()


@pytest.mark.slow
def test_an_edited_method_makes_its_maps_again_and_no_others(own):
    file = own.folder / "gradient_times_input.py"
    text = file.read_text()
    assert own.planned() == {}
    try:
        file.write_text(text.replace("maps.sign()", "2 * maps.sign()"))
        planned = own.planned()
    finally:
        file.write_text(text)
    assert planned["explain"] == len(list((own.results / "maps" / "gradient_times_input").glob("fold-*_part-*")))
    assert planned["randomize_network"] == 1
    assert not {"train_fold", "downsample", "assign_folds", "stack_images"} & set(planned)


def test_what_is_wrong_with_an_own_method_is_said_at_once(tmp_path, workflow):
    config = copied(tmp_path)
    config["cohort"] = {"source": "phantom", "target": "Gender", "labels": ["F", "M"], "phantom": {"people": 16}}
    file = {"file": "gradient_times_input.py"}
    config["maps"]["own"] = {
        "missing": {"file": "nowhere.py"},
        "lrp": file,
        "product": file,
        "other": {**file, "function": "gradient_times_input", "arguments": {"pow": 2}},
    }
    ended = workflow(tmp_path, config).run("--dry-run", check=False)
    assert ended.returncode
    for words in (
        "maps.own.missing: nowhere.py is not a file",
        "maps.own.lrp: the name is taken",
        "maps.own.product: gradient_times_input.py has no function product; it has gradient_times_input",
        "maps.own.other: gradient_times_input.py: gradient_times_input has no pow; it has power",
    ):
        assert words in ended.stdout
    assert "Traceback" not in ended.stdout


def test_the_examples_are_planned_as_extending_md_runs_them(tmp_path):
    copied(tmp_path)
    for image in pd.read_csv(tmp_path / "own_cohort.tsv", sep="\t")["image"]:
        file = tmp_path / "volumes" / image
        file.parent.mkdir(parents=True)
        file.touch()
    text = (ROOT / "docs" / "extending.md").read_text()
    (line,) = re.findall(r"^PYTHONPATH=\S+ (\S*)snakemake (.*own_parts\.yaml.*)$", text, re.M)
    arguments = line[1].replace("/path/to/voxplain", str(ROOT)).split()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule train_fold:" in done.stdout + done.stderr


def test_the_form_of_an_own_method_is_checked(tmp_path, workflow):
    config = copied(tmp_path)
    config["maps"]["own"] = {"Mine": {"file": "gradient_times_input.py"}, "other": {"fil": "a.py"}}
    ended = workflow(tmp_path, config).run("--dry-run", check=False)
    assert ended.returncode
    for words in (
        "maps.own.Mine: this name may hold small letters, digits and '_' only, and begin with a letter",
        "maps.own.other.fil: there is no such key; did you mean file?",
        "maps.own.other.file: is missing",
    ):
        assert words in ended.stdout
