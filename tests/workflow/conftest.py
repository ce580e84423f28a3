"""Runs of the whole workflow on tiny cohorts, in folders of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


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
