"""Names that need quoting, links, and inputs that cannot be written to: all of it works, and changes nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from voxplain.imaging.grid import HCP, mni_brain

GRID = HCP.rescaled((70, 84, 70))
ROOT = Path(__file__).resolve().parents[2]
WORK = 'Arbeit für O\'Brien, "neu" $HOME & co (1)'
DATA = "Jörg's Daten $USER; ä ö ü #2"
NAME = "T1 gewichtet 'ü' $1.nii.gz"

pytestmark = pytest.mark.slow


@pytest.fixture
def inputs(tmp_path):
    """Eight people below a folder that is a link, each volume a link to a file elsewhere, as git-annex leaves them."""
    store, root = tmp_path / "annex öä" / "objects", tmp_path / "real" / DATA
    ids, brain = [f"p{number}" for number in range(8)], mni_brain(GRID.shape)
    store.mkdir(parents=True)
    for number, person in enumerate(ids):
        data, path = np.random.default_rng(number).normal(600, 100, GRID.shape) * brain, store / f"{person}.nii.gz"
        nib.save(nib.Nifti1Image(data.astype(np.int16), GRID.affine), path)
        (root / person / "anat é").mkdir(parents=True)
        (root / person / "anat é" / NAME).symlink_to(os.path.relpath(path, root / person / "anat é"))
    table = pd.DataFrame({"participant_id": ids, "sex": list("FM" * 4), "t1": [f"{i}/anat é/{NAME}" for i in ids]})
    table.to_csv(root / "Leute & Größen.tsv", sep="\t", index=False)
    (tmp_path / DATA).symlink_to(root)
    return tmp_path / DATA


def config_for(root):
    return {
        "name": "paths",
        "torch_threads": 1,
        "cohort": {
            "source": "table",
            "target": "sex",
            "labels": ["F", "M"],
            "table": {"file": str(root / "Leute & Größen.tsv"), "root": str(root), "image_column": "t1"},
        },
        "images": {"subjects_per_job": 4},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 2}},
        "training": {"epochs": 1, "batch_size": 4, "checkpoint": "last"},
        "evaluation": {
            "inference": {"permutations": 9, "replicates": 9},
            "agreement": {"surrogates": 0},
            "anatomy": {"surrogates": 0},
        },
        "maps": {"methods": {"gradcam": {}}},
    }


def state(folder):
    """What could change in a folder: names, sizes and times, of links too."""
    paths = sorted(Path(os.path.realpath(folder)).rglob("*"))
    return [(str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths]


def test_spaces_umlauts_quotes_dollars_and_links(inputs, tmp_path, workflow):
    folder = tmp_path / WORK
    folder.mkdir()
    before = state(tmp_path / "annex öä"), state(inputs)
    run = workflow(folder, config_for(inputs))
    run.run("maps", "tables")
    assert len(list(run.results.glob("maps/gradcam/*/sub-*_map.nii.gz"))) == 8
    assert (state(tmp_path / "annex öä"), state(inputs)) == before
    assert "Nothing to be done" in run.run("maps", "tables", "--dry-run").stdout
    # The same people from a plain folder: paths play no part in what is computed.
    plain = tmp_path / "plain"
    plain.mkdir()
    table = pd.read_csv(inputs / "Leute & Größen.tsv", sep="\t", dtype=str)
    for person, image in zip(table["participant_id"], table["t1"], strict=True):
        shutil.copy(inputs / image, plain / f"{person}.nii.gz")
    table.assign(t1=table["participant_id"] + ".nii.gz").to_csv(plain / "people.tsv", sep="\t", index=False)
    config = config_for(plain)
    config["cohort"]["table"]["file"] = str(plain / "people.tsv")
    other = workflow(plain, config)
    other.run("maps")
    names = [*other.results.glob("maps/*/*/*"), *other.results.glob("models/*/weights.safetensors")]
    assert len([path for path in names if path.name.startswith("sub-")]) == 8
    assert len(names) >= 8 + 2 + 2
    for path in names:
        assert (run.results / path.relative_to(other.results)).read_bytes() == path.read_bytes(), path


def test_inputs_on_a_file_system_that_is_read_only(inputs, tmp_path, workflow):
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    real = Path(os.path.realpath(inputs)).parent
    bind = subprocess.run(["mount", "--bind", real, real], capture_output=True, text=True)
    if bind.returncode:
        pytest.skip(f"nothing can be mounted here: {bind.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", real], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (inputs / "new").write_text("")
        folder = tmp_path / "work"
        folder.mkdir()
        before = state(inputs)
        run = workflow(folder, config_for(inputs))
        run.run("models")
        assert len(list(run.results.glob("models/*/weights.safetensors"))) == 2
        assert state(inputs) == before
    finally:
        subprocess.run(["umount", real], check=True)


def bound_by_modes(arguments, folder):
    """Run Python in a folder as a user whom the modes of files bind, as they do not bind root."""
    drop = "-dac_override,-dac_read_search"
    privileges = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*privileges, sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def test_inputs_that_may_only_be_read_and_results_that_may_not_be_written(inputs, tmp_path):
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv to change that")
    folder, file = tmp_path / "work", tmp_path / "config.yaml"
    folder.mkdir()
    file.write_text(yaml.safe_dump(config_for(inputs)))
    call = ["-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "images", "--directory"]
    call += [str(folder), "--configfile", str(file), "--workflow-profile", str(ROOT / "profiles" / "default")]
    for path in sorted(tmp_path.rglob("*")):
        if path.is_relative_to(folder) or path.is_symlink():
            continue
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert bound_by_modes(["-c", f"open({str(inputs / 'new')!r}, 'w')"], folder).returncode != 0
    said = bound_by_modes(call, folder)
    assert said.returncode == 0, said.stdout[-3000:]

    images = folder / "results" / "paths" / "images"
    for path in images.iterdir():
        if not path.name.startswith("batch-"):
            path.unlink()
    images.chmod(0o555)
    said = bound_by_modes(call, folder)
    assert said.returncode != 0
    assert "Permission denied while writing results/paths/images/stack.npy" in said.stdout
    assert "Give yourself the right" in said.stdout
    assert "NotWritten" not in said.stdout
    images.chmod(0o755)
    said = bound_by_modes(call, folder)
    assert said.returncode == 0, said.stdout[-3000:]
    for path in tmp_path.rglob("*"):  # so that pytest can clear up
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
