"""Runs of the whole workflow on tiny cohorts, in folders of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny import tiny

ROOT = Path(__file__).resolve().parents[1]
# A phantom on which every stage and every test of the maps runs, as small as can be.
TINY = tiny(
    folds={"count": 2, "compare_ungrouped": True},
    baselines={
        "models": {
            "svm": {},
            "xgboost": {"n_estimators": 5, "max_depth": 2, "learning_rate": 0.3},
            "knn": {"n_neighbors": [1, 3]},
            "logistic": {"C": [0.1, 1]},
        },
        "inner_folds": 2,
        "permutation_repeats": 2,
    },
    statistics={"permutations": 2},
    population={"statistics": ["mean_signed", "t"]},
    features={"visualisation": {"folds": 1, "steps": 2, "channels": 2, "nearest": 1}},
    evaluation={
        "randomization": {"people": 2},
        "faithfulness": {"people": 4, "replacements": ["mean", "resample"], "shares": [0, 20, 100]},
        "masked_accuracy": {"people": 4, "draws": 2},
        "retraining": {"networks": 1, "shares": [20], "modes": ["removed"]},
        "reproducibility": {"people": 8, "dropout": 0, "folds": 0},
        "agreement": {"surrogates": 5, "volumes": [5, 20]},
        "anatomy": {"surrogates": 5},
        "inference": {"permutations": 19, "replicates": 10},
    },
    maps={
        "subjects_per_job": 5,
        "methods": {
            "gradcam": {},
            "guided_backprop": {},
            "perturbation": {"people": 4, "iterations": 4},
            "lrp": {"people": 4},
        },
    },
)


class Workflow:
    """A folder with a configuration, and Snakemake run in it."""

    def __init__(self, folder: Path, config: dict):
        self.folder, self.config = folder, config
        self.results = folder / "results" / config["name"]

    def run(self, *arguments: str, config: dict | None = None, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake with the configuration (or another one) and return what it said."""
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(config or self.config, sort_keys=False))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
        command += ["--directory", str(self.folder), "--configfile", str(file)]
        command += ["--workflow-profile", str(ROOT / "profiles" / "default"), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done

    def planned(self, config: dict | None = None) -> dict[str, int]:
        """Rules that a dry run would run, with their number of jobs."""
        text = self.run("--dry-run", "--quiet", "rules", config=config).stdout
        words = (line.split() for line in text.splitlines())
        return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit() and pair[0] != "total"}


@pytest.fixture(scope="session")
def workflow():
    """The class, as a fixture because test files cannot import one another."""
    return Workflow


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A finished run of the tiny phantom, for all tests that look at what it left."""
    run = Workflow(tmp_path_factory.mktemp("phantom"), TINY)
    run.run()
    return run
