"""What a run says of itself while it goes on and when it has ended, on a terminal and in a file."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
# Three jobs of half a second, which open no image.
TARGETS = [f"results/seen/{name}" for name in ("inputs.tsv", "private/participants.tsv", "private/features.tsv")]


def test_a_terminal_shows_how_far_the_run_is(tmp_path):
    """Jobs and the time left, without the paragraphs on single jobs; the log of the run has these all the same."""
    rows = [f"{number}\t{'FM'[number % 2]}\t{number * 1.5}" for number in range(8)]
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tsex\tthickness", *rows]) + "\n")
    for number in range(8):
        (tmp_path / f"{number}.nii").touch()
    table = {"file": str(tmp_path / "people.tsv"), "image_pattern": "{id}.nii"}
    config = {
        "name": "seen",
        "cohort": {"source": "table", "target": "sex", "labels": ["F", "M"], "table": table},
        "folds": {"count": 2},
        "baselines": {"models": {"knn": {}}, "features": {"tables": [str(tmp_path / "people.tsv")]}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", *TARGETS, "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    command += ["--directory", str(tmp_path), "--configfile", str(tmp_path / "config.yaml")]
    command += ["--workflow-profile", str(ROOT / "profiles" / "default")]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "VOXPLAIN_PROGRESS_SECONDS": "0", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    said = said.decode().replace("\r\n", "\n")
    assert process.returncode == 0, said
    lines = [(int(done), int(total)) for done, total in re.findall(r"(\d+) of (\d+) jobs done, \d running.*", said)]
    (total,) = {total for _, total in lines}
    assert [done for done, _ in lines] == list(range(1, total))
    assert re.search(r"jobs done, .* running.*; (about|less than) .* left", said)
    assert "jobid:" not in said
    assert f"Finished: {total} jobs in" in said
    assert "Results: results/seen" in said
    # Colours of whole lines, which are Snakemake's own, and nothing that moves the cursor.
    assert not re.search(r"\x1b\[[0-9;]*[A-LSTfhlsu]|\x1b\[\?", said)
    (log,) = (tmp_path / ".snakemake" / "log").iterdir()
    text = log.read_text()
    assert "jobid:" in text
    assert f"Finished: {total} jobs in" in text
    assert not CONTROL.search(text)


def test_after_the_page_was_made_it_is_named(done):
    said = done.run("--forcerun", "write_page").stdout
    assert re.search(r"\nFinished: 1 job in .+\.\nThe page: results/tiny/report/index\.html\nWarnings in", said)


def test_a_failed_run_names_jobs_and_logs(tmp_path, workflow):
    rows = []
    for number in range(8):
        image = nib.Nifti1Image(
            np.random.default_rng(number).random((16, 16, 16), np.float32), np.diag([10.0] * 3 + [1])
        )
        nib.save(image, tmp_path / f"{number}.nii")
        rows.append(f"{number}\t{'FM'[number % 2]}")
    whole = (tmp_path / "3.nii").read_bytes()
    (tmp_path / "3.nii").write_bytes(whole[: len(whole) // 2])  # the header promises more: seen when it is read
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tsex", *rows]) + "\n")
    table = {"file": str(tmp_path / "people.tsv"), "image_pattern": "{id}.nii"}
    cohort = {"source": "table", "target": "sex", "labels": ["F", "M"], "table": table}
    run = workflow(tmp_path, {"name": "failing", "cohort": cohort, "folds": {"count": 2}})
    done = run.run("images", check=False)
    assert done.returncode == 1
    assert not CONTROL.search(done.stdout)
    closing = done.stdout[done.stdout.index("Not finished: 1 job failed") :].splitlines()
    assert re.fullmatch(r"Not finished: 1 job failed, \d+ done, \d+ left, after \d+ s\.", closing[0])
    name, _, log = closing[1].strip().partition(": ")
    assert name.split()[0] in ("downsample", "stack_images")
    assert "3.nii" in (tmp_path / log).read_text()
    assert "run the same command again" in "\n".join(closing)
