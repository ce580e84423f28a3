"""The same config twice: equal results, byte for byte, whatever the number of jobs at once and Python's hash seed."""

import json
import re

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
# How the run went, and the secret that families are hashed with.
EXEMPT = re.compile(r"(logs|benchmarks)/.*|provenance\.json|private/salt")
# Columns that hold how long something took, and hashes made with the salt.
EXEMPT_COLUMNS = {"history.tsv": ["seconds"], "participants.tsv": ["group"]}


@pytest.fixture(scope="module")
def again(done, tmp_path_factory, workflow):
    """The run of `done` once more: one job at a time, another order of Python's sets, another folder."""
    run = workflow(tmp_path_factory.mktemp("once more"), done.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "4711")
        run.run("--cores", "1")
    return run


def files_of(run):
    paths = (path.relative_to(run.results).as_posix() for path in run.results.rglob("*") if path.is_file())
    return sorted(path for path in paths if not EXEMPT.fullmatch(path))


def test_both_runs_leave_the_same_files(done, again):
    assert files_of(again) == files_of(done)
    assert len(files_of(done)) > 300


def test_every_file_is_equal_byte_for_byte(done, again):
    different = []
    for name in files_of(done):
        first, second = (run.results / name for run in (done, again))
        columns = EXEMPT_COLUMNS.get(first.name)
        if columns:
            tables = [pd.read_csv(path, sep="\t", dtype=str).drop(columns=columns) for path in (first, second)]
            if not tables[0].equals(tables[1]):
                different.append(name)
        elif first.read_bytes() != second.read_bytes():
            different.append(name)
    assert different == []


def test_every_kind_of_result_is_among_them(done):
    suffixes = {"".join(suffix for suffix in name.split("/")[-1].partition(".")[1:]) for name in files_of(done)}
    assert {".tsv", ".npy", ".nii.gz", ".safetensors", ".svg", ".png", ".html"} <= suffixes


def test_the_records_differ_in_their_date_alone(done, again):
    first, second = (json.loads((run.results / "provenance.json").read_text()) for run in (done, again))
    assert first.pop("written") != second.pop("written")
    assert first == second
    assert set(first["outputs"]) >= {
        "tables/accuracy.tsv", "models/fold-0/weights.safetensors", "population/lrp/joint_mean_signed.nii.gz"
    }  # fmt: skip
