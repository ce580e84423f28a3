"""`snakemake check`: good and broken runs of every source, on trees of tiny files."""

import copy
import shutil

import nibabel as nib
import numpy as np
import pytest

from tiny import tiny

IDS = [f"{100000 + number}" for number in range(12)]
SEX = ["F", "M"] * 6
BASE = {
    "name": "study",
    "device": "cpu",
    "torch_threads": 1,
    "folds": {"count": 3},
    "model": {"arguments": {"channels": 2}},
    "maps": {"methods": {"gradcam": {}}},
}
SOURCES = {
    "table": ("t1/{id}.nii.gz", {"image_pattern": "t1/{id}.nii.gz"}),
    "hcp": ("HCP/{id}/MNINonLinear/T1w_restore_brain.nii.gz", {}),
    "bids": ("sub-{id}/anat/sub-{id}_space-MNI152NLin2009cAsym_desc-{part}.nii.gz", {"age_column": "age"}),
}


def study(folder, source):
    """A configuration, and the files that it names: tables and images of twelve people."""
    volume = nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.diag([10, 10, 10, 1]))
    pattern, settings = SOURCES[source]
    for person in IDS:
        for part in ("preproc_T1w", "brain_mask") if source == "bids" else ("",):
            path = folder / pattern.format(id=person, part=part)
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(volume, path)
    heads = {"hcp": "Subject,Gender,Age", "table": "participant_id,Gender,age", "bids": "participant_id,Gender,age"}
    cut = "\t" if source == "bids" else ","
    rows = [f"{'sub-' * (source == 'bids')}{person},{sex},30" for person, sex in zip(IDS, SEX, strict=True)]
    name = "participants.tsv" if source == "bids" else "people.csv"
    (folder / name).write_text("\n".join([heads[source], *rows]).replace(",", cut) + "\n")
    section = {
        "table": {"file": str(folder / name)},
        "hcp": {"root": str(folder / "HCP"), "unrestricted_csv": str(folder / name)},
        "bids": {"root": str(folder)},
    }[source]
    cohort = {"source": source, "target": "Gender", "labels": ["F", "M"], source: section | settings}
    return copy.deepcopy(BASE) | {"cohort": cohort}


def left(folder):
    """What lies below results: nothing but the log of the check."""
    return [path.relative_to(folder).as_posix() for path in (folder / "results").rglob("*") if path.is_file()]


def rows_of(said):
    """Lines of the table by their first word; those that go on belong to the line above."""
    table = said[said.index("what  ") :].split("\n\n")[0].splitlines()[2:]
    rows = []
    for line in table:
        if line.startswith(" "):
            rows[-1] += " " + " ".join(line.split())
        else:
            rows.append(" ".join(line.split()))
    return rows


@pytest.mark.parametrize("source", SOURCES)
def test_a_good_study(source, tmp_path, workflow):
    run = workflow(tmp_path, study(tmp_path, source))
    said = run.run("check").stdout
    rows = rows_of(said)
    assert [row.split()[0] for row in rows] == [
        *("settings", "people", "folds", "images", "network", "device", "disk", "time"),
    ]
    assert all(" fine" in row for row in rows), said
    assert "F 6, M 6" in rows[1]
    masks = " and 12 masks" if source == "bids" else ""
    assert f"headers of 12 of 12 images{masks} read" in rows[3].replace("fine ", "")
    assert "Nothing here would stop the run." in said
    assert "maps: gradcam" in said
    assert "Finished:" not in said  # the message after a run is not for this
    assert left(tmp_path) == ["results/study/logs/check.log"]


def test_the_phantom_may_be_checked_again_and_again(tmp_path, workflow):
    config = copy.deepcopy(BASE)
    config["cohort"] = tiny()["cohort"]
    run = workflow(tmp_path, config)
    for _ in range(2):
        said = run.run("check").stdout
        assert "the run makes the phantom's itself" in said
        assert "atlas" not in said  # its parcels are made by the run as well


def test_a_finished_run_stays_finished(done):
    assert "of it there" in done.run("check").stdout.replace("\n", " ")
    assert done.planned() == {}


def test_all_that_is_wrong_is_said_at_once(tmp_path, workflow):
    config = study(tmp_path, "table")
    config["folds"]["count"] = 7
    config["device"] = "cuda"
    config["atlases"] = {"mine": {"image": str(tmp_path / "none.nii.gz"), "labels": str(tmp_path / "none.txt")}}
    config["maps"]["methods"]["occlusion"] = {"window": 2, "stride": 4}
    config["model"] = {"network": "no_such_module:Net"}
    (tmp_path / "t1" / f"{IDS[3]}.nii.gz").write_bytes(b"nothing")
    run = workflow(tmp_path, config)
    done = run.run("check", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    rows = rows_of(done.stdout)
    stopped = [row.split()[0] for row in rows if " STOP" in row]
    assert stopped == ["settings", "folds", "images", "network", "device"]
    whole = " ".join(rows).replace("STOP ", "")
    for words in ("none.nii.gz", "none.txt", "leave gaps between windows", "nvidia-smi", IDS[3], "PYTHONPATH"):
        assert words in whole, words
    assert "5 of these would stop the run." in done.stdout
    assert done.stdout.count("nvidia-smi") == 1  # the log that Snakemake shows does not repeat it
    assert left(tmp_path) == ["results/study/logs/check.log"]
    # A real run still refuses at once, and so does a check that is one target among others.
    for targets in (["images"], ["check", "images"]):
        done = run.run(*targets, check=False)
        assert done.returncode == 1
        assert "The configuration contradicts itself" in done.stdout
        assert "what  " not in done.stdout


def test_images_that_are_not_there(tmp_path, workflow):
    config = study(tmp_path, "hcp")
    shutil.rmtree(tmp_path / "HCP" / IDS[0])
    run = workflow(tmp_path, config)
    said = run.run("check").stdout
    (people,) = [row for row in rows_of(said) if row.startswith("people")]
    assert " warning" in people
    assert "1 without an image" in people
    assert "1 to think about." in said
    for person in IDS[1:6]:
        shutil.rmtree(tmp_path / "HCP" / person)
    done = run.run("check", check=False)
    assert done.returncode == 1
    (people,) = [row for row in rows_of(done.stdout) if row.startswith("people")]
    assert " STOP" in people
    assert "found for 6 of 12 people" in people.replace("STOP ", "")


BROKEN = {
    "mistyped key": (lambda config: config.update(sed=1), "sed: there is no such key; did you mean seed?"),
    "table that is not there": (
        lambda config: config["cohort"]["table"].update(file="/none/people.csv"),
        "cohort.table.file: /none/people.csv does not exist",
    ),
    "column that is not there": (
        lambda config: config["cohort"].update(target="Gendre"),
        "there is no column 'Gendre'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_even_be_read_is_one_clear_message(case, tmp_path, workflow):
    config = study(tmp_path, "table")
    change, words = BROKEN[case]
    change(config)
    done = workflow(tmp_path, config).run("check", check=False)
    assert done.returncode == 1
    assert words in done.stdout
    assert "Traceback" not in done.stdout
    assert "what  " not in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_network_from_outside_is_read(tmp_path, workflow):
    config = study(tmp_path, "table")
    config["interpret"] = {"weights": str(tmp_path / "w.safetensors")}
    config["folds"]["count"] = 100  # there are none
    (tmp_path / "w.safetensors").write_bytes(b"pickle?")
    done = workflow(tmp_path, config).run("check", check=False)
    assert done.returncode == 1
    rows = rows_of(done.stdout)
    assert [row.split()[0] for row in rows if " STOP" in row] == ["network"]
    assert "folds" not in {row.split()[0] for row in rows}
