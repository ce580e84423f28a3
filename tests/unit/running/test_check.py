"""The parts of the check, one by one, and its table."""

import copy
import shutil
from collections import namedtuple
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from snakemake.utils import validate

from voxplain.base.errors import InputError, refuse
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.running import check
from voxplain.running.estimate import Plan, estimate
from voxplain.running.findings import FINE, STOP, WARNING, Finding, in_table, refused, times_table

ROOT = Path(__file__).parents[3]
CLASSES = ["F", "M"]
IDS = [f"{number:03d}" for number in range(1, 51)]


def filled(config):
    config = copy.deepcopy({"name": "x", **config})
    validate(config, str(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    return config


def volume(path, data=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32) if data is None else data, np.diag([10, 10, 10, 1])), path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A table of fifty people with images and masks."""
    folder = tmp_path_factory.mktemp("tree")
    for person in IDS:
        volume(folder / "t1" / f"{person}.nii.gz")
        shutil.copy(folder / "t1" / f"{person}.nii.gz", folder / "t1" / f"{person}_mask.nii.gz")
    rows = [f"{person}\t{'FM'[place % 2]}\tf{place // 5}" for place, person in enumerate(IDS)]
    (folder / "people.tsv").write_text("\n".join(["participant_id\tsex\tfamily", *rows]) + "\n")
    return folder


def table_config(folder, **table):
    table = {"file": str(folder / "people.tsv"), "image_pattern": "t1/{id}.nii.gz", **table}
    cohort = {"source": "table", "target": "sex", "labels": CLASSES, "table": table}
    return filled({"cohort": cohort, "folds": {"count": 5}})


def test_people_and_a_sample_of_headers(tree):
    config = table_config(tree, mask_pattern="t1/{id}_mask.nii.gz", group_column="family")
    people, findings = check.check_people(config)
    assert [(one.what, one.state) for one in findings] == [("people", FINE), ("folds", FINE)]
    assert findings[0].found.endswith("F 25, M 25")
    assert findings[1].found == "5 folds, families together (10 known)"
    (finding,) = check.check_image_sample(config, people)
    assert finding.found.startswith("headers of 20 of 50 images and 20 masks read")


def test_the_sample_goes_from_the_first_to_the_last(tree, tmp_path):
    """Of fifty people the first, the last and eighteen between: a bad image among them is found, another is not."""
    shutil.copytree(tree, tmp_path / "tree")
    config = table_config(tmp_path / "tree")
    people, _ = check.check_people(config)
    for person in (IDS[0], IDS[1], IDS[-1]):
        (tmp_path / "tree" / "t1" / f"{person}.nii.gz").write_bytes(b"nothing")
    (finding,) = check.check_image_sample(config, people)
    assert finding.state == STOP
    assert f"{IDS[0]}.nii.gz: is not gzipped" in finding.found
    assert f"{IDS[-1]}.nii.gz: is not gzipped" in finding.found
    assert f"{IDS[1]}.nii.gz" not in finding.found
    assert "on_bad_image" in finding.mend
    config["images"]["on_bad_image"] = "exclude"
    (finding,) = check.check_image_sample(config, people)
    assert finding.state == WARNING
    assert "2 images cannot be read" in finding.found


def test_people_who_lack_an_image(tree, tmp_path):
    shutil.copytree(tree, tmp_path / "tree")
    (tmp_path / "tree" / "t1" / "007.nii.gz").unlink()
    people, findings = check.check_people(table_config(tmp_path / "tree"))
    assert len(people) == 49
    assert findings[0].state == WARNING
    assert "1 without an image: 007: no image t1/007.nii.gz" in findings[0].found


def test_folds_that_cannot_be_and_families_that_are_not_known(tree):
    config = table_config(tree)
    config["folds"] |= {"count": 30, "compare_ungrouped": True}
    _, findings = check.check_people(config)
    assert [(one.what, one.state) for one in findings] == [("people", FINE), ("folds", STOP), ("folds", STOP)]
    assert "F: 25 people" in findings[1].found
    assert "no two people are known to be relatives" in findings[2].found


def test_atlases(tmp_path):
    labels = np.where(mni_brain(COMMON.shape), 1, 0).astype(np.int16)
    nib.save(nib.Nifti1Image(labels, COMMON.affine), tmp_path / "brain.nii.gz")
    (tmp_path / "brain.tsv").write_text("index\tname\n1\tbrain\n")
    (tmp_path / "other.tsv").write_text("index\tname\n1\tbrain\n2\tnothing\n")
    findings = check.check_atlases(
        {
            "good": {"image": str(tmp_path / "brain.nii.gz"), "labels": str(tmp_path / "brain.tsv")},
            "bad": {"image": str(tmp_path / "brain.nii.gz"), "labels": str(tmp_path / "other.tsv")},
            "fetched": {"fetch": "harvard_oxford", "arguments": {}},
            "unknown": {"fetch": "harvard_cambridge", "arguments": {}},
        }
    )
    assert [(one.what, one.state) for one in findings] == [
        ("atlas good", FINE),
        ("atlas bad", STOP),
        ("atlas fetched", FINE),
        ("atlas unknown", STOP),
    ]
    assert findings[0].found == "1 regions on the common grid"
    assert "2 nothing has no voxel" in findings[1].found
    assert "harvard_oxford" in findings[3].mend


def test_networks(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(
        "import torch\n\n\nclass Flat(torch.nn.Module):\n"
        "    def __init__(self, shape, outputs):\n"
        "        super().__init__()\n        self.part = torch.nn.Linear(1, outputs)\n\n"
        "    def forward(self, x):\n        return self.part(x.mean(dim=(2, 3, 4)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = filled({"cohort": {"source": "phantom", "target": "Gender", "labels": CLASSES, "phantom": {}}})
    assert check.check_network(config, CLASSES) == [Finding("network", "VoxelCNN: 322,818 parameters")]
    config["model"]["network"] = "own_network:Flat"
    assert check.check_network(config, CLASSES)[0].found == "own_network:Flat: 4 parameters"
    config["model"]["network"] = "no_such_module:Net"
    (finding,) = check.check_network(config, CLASSES)
    assert finding.state == STOP
    assert "no_such_module cannot be imported" in finding.found
    (tmp_path / "w.safetensors").write_bytes(b"not safetensors")
    config["interpret"]["weights"] = str(tmp_path / "w.safetensors")
    (finding,) = check.check_network(config, CLASSES)
    assert finding.state == STOP
    assert "not a whole safetensors file" in finding.found


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check.check_device("auto") == (False, [Finding("device", "auto: no GPU here, so the CPU")])
    assert check.check_device("cpu")[1][0].state == FINE
    seen, (finding,) = check.check_device("cuda")
    assert not seen
    assert finding.state == STOP
    assert "nvidia-smi" in finding.mend
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Large GPU")
    assert check.check_device("auto") == (True, [Finding("device", "auto: 2 GPU (Large GPU)")])
    assert check.check_device("cpu")[0] is False


Usage = namedtuple("Usage", "total used free")


def test_room(tmp_path, monkeypatch):
    config = filled(yaml.safe_load((ROOT / "config" / "hcp.yaml").read_text()))
    results, free = tmp_path / "results" / "x", {tmp_path: 1e12}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, free.get(folder, 1e12)))
    (finding,) = check.check_room(config, 1113, CLASSES, results, 2)
    assert finding.state == FINE
    assert finding.found.startswith("about 4.18 GB")
    free[tmp_path] = 4.4e9
    assert check.check_room(config, 1113, CLASSES, results, 2)[0].state == WARNING
    free[tmp_path] = 1e9
    (finding,) = check.check_room(config, 1113, CLASSES, results, 2)
    assert finding.state == STOP
    assert finding.mend.startswith("Free 3.6")
    # What a finished part of the run takes up need not be found again.
    results.mkdir(parents=True)
    with open(results / "stack.npy", "wb") as file:
        file.truncate(4_000_000_000)
    free[results] = 1e9
    (finding,) = check.check_room(config, 1113, CLASSES, results, 2)
    assert finding.state == FINE
    assert "4 GB of it there" in finding.found


def test_room_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(check.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    free = {tmp_path / "tmp": 1e8}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, free.get(folder, 1e12)))
    config = filled(yaml.safe_load((ROOT / "config" / "hcp.yaml").read_text()))
    findings = check.check_room(config, 1113, CLASSES, tmp_path / "x", 2)
    assert [(one.what, one.state) for one in findings] == [("disk", FINE), ("temporary files", STOP)]
    assert "TMPDIR" in findings[1].mend


def time_of(name, people, cores, gpu=False):
    config = filled(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    return check.check_time(Plan(config, people, CLASSES), estimate(config, people, CLASSES), cores, gpu)


def test_a_run_of_many_hours_is_said_and_a_trial_is_proposed():
    long = time_of("hcp", 1113, 2)
    assert long.state == WARNING
    assert "there is no GPU" in long.found
    assert "cohort.limit: " in long.mend
    paper = time_of("hcp_paper", 1113, 2)
    assert "days" in paper.found
    assert "maps.methods.perturbation.people" in paper.mend
    assert time_of("hcp", 1113, 64).state == FINE
    assert time_of("demo", 128, 2).state == FINE
    assert time_of("hcp", 1113, 2, gpu=True).state == FINE


def test_a_refusal_is_taken_apart():
    with pytest.raises(InputError) as caught:
        refuse("3 are bad", [f"file {number}" for number in range(9)], "Mend them.")
    finding = refused("images", caught.value)
    assert finding == Finding(
        "images",
        "3 are bad\n- file 0\n- file 1\n- file 2\n- file 3\n- file 4\n- and 4 more lines",
        STOP,
        "Mend them.",
    )
    assert refused("x", InputError("bad\nDo this.")) == Finding("x", "bad", STOP, "Do this.")


def test_the_table_fits_the_terminal_and_loses_nothing():
    long = "a sentence of words that goes on and on, much longer than what a line of the terminal would hold"
    findings = [Finding("settings", "fine"), Finding("images", f"bad\n- {long}", STOP, f"Mend: {long}.")]
    for width in (72, 100, 150):
        lines = in_table(findings, width).splitlines()
        assert max(map(len, lines)) <= width
        assert lines[0].split() == ["what", "found", "state", "how", "to", "mend"]
        assert sum(line.count("sentence") for line in lines) == 2
    assert not set(in_table(findings, 100)) & {"\x1b", "\r"}
    # A word longer than its column, such as a path, is cut and not lost.
    assert in_table([Finding("x", "/a" * 100)], 80).count("/a") == 100


def test_times_of_stages():
    text = times_table({"images": (39, 150), "maps: lrp": (10, 7200)}, 2, 100)
    assert [line.split("  ")[-1].strip() for line in text.splitlines()[2:]] == ["1 min", "1 h 10 min"]
