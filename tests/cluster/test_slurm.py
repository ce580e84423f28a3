"""The workflow through profiles/slurm, on a SLURM of one node set up for it, leaves what a local run leaves."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tiny import NO_DRAWS, tiny

ROOT = Path(__file__).resolve().parents[2]
SLURM = Path(__file__).with_name("slurm.sh")
# All main stages with as few jobs as can be; a job costs seconds however little it computes.
CONFIG = tiny(
    baselines={"models": {"svm": {}}, "inner_folds": 2, "permutation_repeats": 2},
    features={"first_layer": False},
    maps={"methods": {"gradcam": {}}},
    evaluation={"localization": {"shuffles": 20}, **NO_DRAWS},
)
# What says when, where and how long.
TELLS_OF_THE_RUN = ("logs", "benchmarks", "provenance.json")
ON_GPU = {"train_fold", "explain"}
# Waits that a real cluster needs and a test does not.
SHORT_WAITS = ["--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "2", "--jobs", "4"]

pytestmark = pytest.mark.slow


def snakemake(folder, *arguments, snakefile=ROOT / "Snakefile"):
    """Run the workflow in a folder and return what it said."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder)]
        + ["--configfile", str(folder / "config.yaml"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def on_the_cluster(folder, **more):
    """Run through the profile; return SLURM's account of each job of the run, with its rule's name."""
    said = snakemake(folder, "--workflow-profile", str(ROOT / "profiles" / "slurm"), *SHORT_WAITS, **more)
    mine = set(re.findall(r"has been submitted with SLURM jobid (\d+)", said))
    told = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in told.splitlines()]
    jobs = [job for job in jobs if job["JobId"] in mine]
    assert len(jobs) == len(mine) > 0
    return [{**job, "rule": re.match("rule_(\\w+?)(?:_wildcards_|$)", job["Comment"])[1]} for job in jobs]


@pytest.fixture(scope="module")
def slurm():
    """A running SLURM, stopped at the end."""
    if os.getuid() != 0:
        pytest.skip("only root can start the daemons of SLURM")
    if not Path("/etc/debian_version").exists():
        pytest.skip("the test installs SLURM by Debian's packages")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("needs envs/requirements-cluster.txt")
    try:
        done = subprocess.run([SLURM, "start"], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode == 3:  # what slurm.sh refuses
            pytest.skip(f"no SLURM can be set up here: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        yield
    finally:
        subprocess.run([SLURM, "stop"], timeout=60, check=True)


@pytest.fixture(scope="module")
def runs(slurm, tmp_path_factory):
    """The jobs of a run on the cluster, and the folders of this and of a local run."""
    folder = tmp_path_factory.mktemp("runs")
    jobs = on_the_cluster(folder / "cluster")
    # Families are known by hashes with a salt that each run draws.
    salt = Path("results") / "tiny" / "private" / "salt"
    (folder / "local" / salt).parent.mkdir(parents=True)
    shutil.copy2(folder / "cluster" / salt, folder / "local" / salt)
    snakemake(folder / "local", "--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", "2")
    return jobs, *(folder / name / "results" / "tiny" for name in ("cluster", "local"))


def content(path):
    """The bytes of a file; of a training's history all but how long the epochs took."""
    if path.name != "history.tsv":
        return path.read_bytes()
    return pd.read_csv(path, sep="\t", dtype=str).drop(columns="seconds").to_csv()


def contents(results):
    """Every file of a run by its path, but for those that tell when and where it ran."""
    paths = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    return {path: content(results / path) for path in paths if path.parts[0] not in TELLS_OF_THE_RUN}


def test_every_job_is_run_by_the_cluster_and_those_that_ask_for_a_gpu_get_one(runs):
    jobs, results, _ = runs
    assert len(jobs) == len(list((results / "benchmarks").rglob("*.tsv"))) > 40
    assert {job["rule"] for job in jobs if job["Partition"] == "gpu"} == ON_GPU
    assert {job["rule"] for job in jobs if job.get("TresPerJob") == "gres:gpu:1"} == ON_GPU
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}


def test_every_result_is_the_same_as_that_of_a_local_run(runs):
    cluster, local = contents(runs[1]), contents(runs[2])
    assert len(local) > 40
    assert set(cluster) == set(local)
    assert [str(path) for path in local if cluster[path] != local[path]] == []


def test_a_job_that_failed_is_submitted_again_with_more_memory_and_time(slurm, tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        'rule large:\n    output: "done"\n    shell: "test {resources.mem_mb} -gt 2000 && touch {output}"\n'
    )
    jobs = on_the_cluster(tmp_path, snakefile=snakefile)
    asked = [(job["JobState"], job["MinMemoryNode"], job["TimeLimit"]) for job in jobs]
    assert asked == [("FAILED", "1.50G", "01:00:00"), ("COMPLETED", "3G", "02:00:00")]
