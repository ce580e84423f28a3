"""How long Snakemake takes to plan a run of 1,113 people, ten folds and all methods, and what a plan a person costs."""

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import LIMIT, OURS, PEER, Row, take_turns

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
PEOPLE = 1113
METHODS = (
    "gradcam", "hirescam", "guided_backprop", "perturbation", "lrp", "noise", "smoothgrad", "integrated_gradients",
    "occlusion",
)  # fmt: skip
CONFIG = """
name: planned
cohort:
  source: hcp
  target: Gender
  labels: [F, M]
  hcp: {{ root: {folder}/hcp, unrestricted_csv: {folder}/people.csv }}
folds: {{ count: 10 }}
baselines: {{ models: {{ svm: {{}}, xgboost: {{}}, knn: {{}}, logistic: {{}} }} }}
maps: {{ methods: {{ {methods} }} }}
evaluation:
  randomization: {{ people: 8 }}
  faithfulness: {{ people: 100 }}
  masked_accuracy: {{ people: 100 }}
  reproducibility: {{ people: 100, networks: 2 }}
"""
# A job a person and method, and one a volume: what comes to mind first. 1,113 × 5 jobs and those around them.
A_JOB_A_PERSON = """
PEOPLE = [line.split(",")[0] for line in open("{folder}/people.csv")][1:]
METHODS = ["gradcam", "guided_backprop", "perturbation", "lrp"]

rule all:
    input: expand("population/{{method}}.nii.gz", method=METHODS)

rule downsample:
    input: "{folder}/hcp/{{person}}/MNINonLinear/T1w_restore_brain.nii.gz"
    output: "images/{{person}}.npy"
    shell: "true"

rule train:
    input: expand("images/{{person}}.npy", person=PEOPLE)
    output: "model-{{fold}}.safetensors"
    shell: "true"

rule explain:
    input: "images/{{person}}.npy", expand("model-{{fold}}.safetensors", fold=range(10))
    output: "maps/{{method}}/{{person}}.nii.gz"
    shell: "true"

rule average:
    input: lambda wildcards: expand("maps/{{method}}/{{person}}.nii.gz", method=wildcards.method, person=PEOPLE)
    output: "population/{{method}}.nii.gz"
    shell: "true"
"""


def cohort(folder: Path, people: int) -> None:
    """Write a table of people and the names of their images: planning looks at no more."""
    with open(folder / "people.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["Subject", "Release", "Gender", "Age", "FS_IntraCranial_Vol", *(f"FS_{i}" for i in range(100))])
        for number in range(people):
            person = str(100000 + 37 * number)
            gender = "FM"[number % 2]
            table.writerow([person, "S1200", gender, "26-30", 1500000 + number, *[1.0] * 100])
            image = folder / "hcp" / person / "MNINonLinear" / "T1w_restore_brain.nii.gz"
            image.parent.mkdir(parents=True)
            image.touch()
    methods = ", ".join(f"{method}: {{}}" for method in METHODS)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder, methods=methods), encoding="utf-8")
    (folder / "Snakefile").write_text(A_JOB_A_PERSON.format(folder=folder), encoding="utf-8")


def _timed(*arguments: str | Path, cwd: Path = ROOT) -> float:
    start = time.perf_counter()
    done = subprocess.run([SNAKEMAKE, *arguments], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return time.perf_counter() - start


def ours(folder: str) -> Callable[[], float]:
    return lambda: _timed("-n", "--quiet", "all", "--configfile", Path(folder) / "config.yaml")


def a_job_a_person(folder: str) -> Callable[[], float]:
    return lambda: _timed("-n", "--quiet", "all", "--snakefile", Path(folder) / "Snakefile", cwd=Path(folder))


def version(folder: str) -> Callable[[], float]:
    return lambda: _timed("--version")


def jobs_of(folder: Path) -> int:
    """Return how many jobs the plan has."""
    command = [SNAKEMAKE, "-n", "--quiet", "rules", "--configfile", folder / "config.yaml"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("total ")), 0)


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    people = 60 if small else PEOPLE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort(folder, people)
        contenders = {OURS: ours, PEER: a_job_a_person, LIMIT: version}
        seconds = take_turns(contenders, 1 if small else 5, folder=name)
        jobs = jobs_of(folder)
    return [
        Row(
            work=f"snakemake -n for {people:,} people, 10 folds, {len(METHODS)} methods, tests of maps",
            unit="plan",
            seconds=seconds,
            peer=f"a job a person and method: {people * 5 + 14:,} jobs",
            limit="snakemake --version",
            wanted_seconds=4.0,
            note=f"{jobs} jobs in our plan",
        )
    ]
