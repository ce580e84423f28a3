"""A process that forks Snakemake, and a study whose configuration or table of people a test makes bad."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bad_input import IDS, changed, rows

ROOT = Path(__file__).resolve().parents[3]
# Starting Python and importing takes longer than all else: cases are forked from a process that has imported.
DOOR = """
import json, os, signal, sys
import pandas, yaml, jsonschema, yte
import snakemake.cli, snakemake.api, snakemake.workflow, snakemake.utils
import voxplain.configuration, voxplain.cohort.people

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(100)
        os.chdir(order["folder"])
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        try:
            snakemake.cli.main(order["arguments"])
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1 if code else 0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="package")
def door():
    """A process that has imported Snakemake and forks one for each case."""
    path = f"{ROOT / 'workflow' / 'scripts'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, "-c", DOOR],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(timeout=60)


class Study:
    """A folder with a configuration, a table of eight people and files where their images should be."""

    def __init__(self, folder: Path, door: subprocess.Popen):
        self.folder, self.door = folder, door
        self.table = folder / "people.tsv"
        self.config = {
            "name": "bad",
            "device": "cpu",
            "cohort": {
                "source": "table",
                "target": "sex",
                "labels": ["F", "M"],
                "table": {"file": str(self.table), "image_pattern": "t1/{id}.nii.gz"},
            },
            "folds": {"count": 2},
            "model": {"arguments": {"channels": 2}},
            "training": {"epochs": 1},
        }
        (folder / "t1").mkdir()
        for person in IDS:
            (folder / "t1" / f"{person}.nii.gz").touch()
        self.write(rows())

    def write(self, content: str | bytes | list[list[str]]) -> None:
        """Write the table of people: rows of cells as TSV, or text, or bytes."""
        if isinstance(content, list):
            file = io.StringIO()
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(content)
            content = file.getvalue()
        self.table.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, *arguments: str, text: str | bytes | None = None) -> tuple[int, str]:
        """Run Snakemake with the configuration, or another text in its file; return exit status and what it said."""
        file = self.folder / "config.yaml"
        text = yaml.safe_dump(self.config, sort_keys=False) if text is None else text
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        order = {
            "folder": str(self.folder),
            "said": str(self.folder / "said.txt"),
            "arguments": ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--directory", str(self.folder)]
            + ["--configfile", str(file), "--workflow-profile", str(ROOT / "profiles" / "default"), *arguments],
        }
        self.door.stdin.write(json.dumps(order) + "\n")
        self.door.stdin.flush()
        status = int(self.door.stdout.readline())
        return status, (self.folder / "said.txt").read_text(errors="replace")

    def refused(self, text: str | bytes | None = None) -> str:
        """Run everything up to the networks, which must end at once, and return the message."""
        status, said = self.run("models", text=text)
        assert status == 1, said[-3000:]
        assert "Traceback" not in said
        begun = [path.name for path in self.folder.rglob("*") if path.name in ("models", "images", "private", "logs")]
        assert begun == []
        # Snakemake adds the place in its rule files, before and after.
        place = r"(?:\n  File \"[^\"]+\", line \d+, in \S+)*\s*\Z"
        found = re.search(r'^\w*Error(?: in file "[^"]+"[^\n]*)?:\n(.*?)' + place, said, re.M | re.S)
        assert found, said
        return found[1]

    def refused_with(self, content: str | bytes | list[list[str]], change: dict) -> str:
        """Write another table of people, change the configuration, and return the message of the refusal."""
        self.write(content)
        self.config = changed(self.config, change)
        return self.refused()

    def filled_in(self, message: str) -> str:
        """Put the table's path and its folder in the places of FILE and FOLDER."""
        return message.replace("FILE", str(self.table)).replace("FOLDER", str(self.folder))


@pytest.fixture
def study(tmp_path, door):
    return Study(tmp_path, door)
