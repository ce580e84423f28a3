"""Killed at any moment, a run goes on where it was: nothing that was finished is lost, and the results are the same."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml

from tiny import NO_DRAWS, tiny
from voxplain.base.files import read_table

ROOT = Path(__file__).resolve().parents[2]
SEED = 7
KILLS = {"train_fold.py": 7, "explain.py": 6, "snakemake": 7}
# Long enough in training and maps for something to be interrupted, and little else.
CONFIG = tiny(
    name="killed",
    training={"epochs": 60, "batch_size": 4, "learning_rate": 0.001},
    features={"first_layer": False},
    evaluation=NO_DRAWS,
    maps={
        "subjects_per_job": 8,
        "methods": {"lrp": {"batch_size": 1}, "perturbation": {"batch_size": 1, "iterations": 100, "tolerance": None}},
    },
)
TARGETS = ("maps", "models")
LINE = re.compile(r"^(?:training: epoch|\w+: people) (\d+)/(\d+)(?: \(| (were finished before))", re.MULTILINE)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found through Linux's /proc"),
]


def content(results):
    """Every result, by path; what tells of time is left out."""
    found = {}
    for path in results.rglob("*"):
        name = path.relative_to(results)
        if not path.is_file() or name.parts[0] in ("logs", "benchmarks") or name.name == "provenance.json":
            continue
        if name.name == "history.tsv":
            found[str(name)] = read_table(path).drop(columns="seconds").to_csv().encode()
        else:
            found[str(name)] = path.read_bytes()
    return found


def assert_equal_results(found, expected):
    found, expected = content(found), content(expected)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def with_salt_of(run, other):
    """Hash names of families as another run does: the secret is drawn anew in every folder that has none."""
    (run.results / "private").mkdir(mode=0o700, parents=True)
    shutil.copy2(other.results / "private" / "salt", run.results / "private" / "salt")
    return run


def start(run, *targets):
    """Start Snakemake without waiting for it, in a session of its own, by which its jobs are known."""
    file = run.folder / "config.yaml"
    file.write_text(yaml.safe_dump(run.config, sort_keys=False))
    with open(run.folder / "said.txt", "w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", *targets]
            + ["--directory", str(run.folder), "--configfile", str(file)]
            + ["--workflow-profile", str(ROOT / "profiles" / "default")],
            cwd=run.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def processes(session):
    """Ids and command lines of the living processes of a session, whoever their parents are by now."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, belongs_to = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(belongs_to) == session and state not in "ZX":
                found[int(folder.name)] = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
    return found


def running(session):
    """Processes that can be killed, by kind."""
    jobs = defaultdict(list)
    for process, command in processes(session).items():
        if process == session:
            jobs["snakemake"].append(process)
        elif len(command) > 1 and "python" in command[0]:
            jobs[Path(command[1]).name.rpartition(".py")[0].rpartition(".")[2] + ".py"].append(process)
    return jobs


def wait_for_the_end(session, within=40.0):
    """Return the seconds until no process of a session lives any more."""
    begun = time.monotonic()
    while left := processes(session):
        assert time.monotonic() - begun < within, left
        time.sleep(0.02)
    return time.monotonic() - begun


class Ledger:
    """What the logs of all calls say was computed, job by job: lists of numbers of epochs and people."""

    def __init__(self, results):
        self.results = results
        self.calls = defaultdict(list)

    def read(self, since):
        """Read the logs that were written since a call began, in ns; each job has one a call."""
        for path in sorted(self.results.glob("logs/*/*.log")):
            if path.stat().st_mtime_ns >= since and path.parent.name in ("train_fold", "explain"):
                self.calls[f"{path.parent.name}/{path.name}"].append(LINE.findall(path.read_text()))

    def numbers(self):
        return {
            job: [int(number) for lines in calls for number, _, before in lines if not before]
            for job, calls in self.calls.items()
        }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, workflow):
    """The results of a run that nothing happens to, and what its logs say."""
    run = workflow(tmp_path_factory.mktemp("undisturbed"), CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXPLAIN_PROGRESS_SECONDS", "0")
        run.run(*TARGETS)
    ledger = Ledger(run.results)
    ledger.read(0)
    return run, ledger.numbers()


def kill_one(session, plan, draws):
    """Kill something of the kinds that are still to be killed; return its kind, or None when nothing of them runs."""
    jobs = running(session)
    # Most kills of Snakemake are kept for when trainings and maps run, which are what can be lost.
    any_moment = jobs["train_fold.py"] or jobs["explain.py"] or plan.count("snakemake") in (len(plan), 6, 7)
    kinds = [kind for kind in plan if jobs[kind] and (kind != "snakemake" or any_moment)]
    if not kinds:
        return None
    kind = draws.choice(kinds)
    try:
        os.kill(draws.choice(sorted(jobs[kind])), signal.SIGKILL)
    except ProcessLookupError:
        return None
    plan.remove(kind)
    return kind


def test_twenty_kills_lose_nothing(undisturbed, tmp_path, workflow, monkeypatch, record_property):
    """Snakemake, trainings and jobs of maps are killed at random moments of one run."""
    monkeypatch.setenv("VOXPLAIN_PROGRESS_SECONDS", "0")
    expected, all_numbers = undisturbed
    run = with_salt_of(workflow(tmp_path, CONFIG), expected)
    draws, ledger, killed = random.Random(SEED), Ledger(run.results), Counter()
    plan = [kind for kind, times in KILLS.items() for _ in range(times)]
    ends, rubbish, locked, calls = [], [], "", 0
    while True:
        since, calls = time.time_ns(), calls + 1
        process = start(run, *TARGETS)
        while plan and process.poll() is None:
            if set(plan) == {"train_fold.py"} and len(list(run.results.glob("models/*/weights.safetensors"))) == 2:
                plan = ["explain.py"] * len(plan)  # the trainings were over too soon
            if "snakemake" not in plan and len(list(run.results.glob("maps/*/fold-*"))) == 4:
                plan = ["snakemake"] * len(plan)  # so were the maps
            if not set(running(process.pid)) - {"snakemake", ".py"}:
                time.sleep(0.05)  # nothing has begun yet
                continue
            time.sleep(draws.uniform(0.1, 2.0))
            kind = kill_one(process.pid, plan, draws)
            killed.update([kind] if kind else [])
            if kind == "snakemake":
                process.wait()
        process.wait()
        ends.append(wait_for_the_end(process.pid))
        ledger.read(since)
        rubbish.append(sum(1 for _ in run.results.rglob(".unfinished-*")))
        if process.returncode == 0:
            break
        if process.returncode == -signal.SIGKILL:
            if not locked and any((tmp_path / ".snakemake" / "locks").iterdir()):
                said = run.run(*TARGETS, check=False)
                assert said.returncode != 0
                locked = said.stdout
            run.run("--unlock")
        else:
            assert "Traceback" not in (tmp_path / "said.txt").read_text()
    assert not plan
    assert killed.total() == 20
    assert min(killed[kind] for kind in KILLS) >= 4, killed
    assert "Directory cannot be locked" in locked
    assert "--unlock" in locked

    assert_equal_results(run.results, expected.results)
    assert not list(run.results.rglob(".unfinished-*"))
    assert not list(run.results.glob("partial/*"))
    numbers = ledger.numbers()
    assert set(numbers) == set(all_numbers)
    lost = {job: len(of) - len(set(of)) for job, of in numbers.items()}
    assert not any(lost.values()), lost
    for job, of in all_numbers.items():
        # A job that was killed between keeping something and saying so has said one number less.
        unsaid = set(of) - set(numbers[job])
        assert len(unsaid) < len(ledger.calls[job]), job
        reached = 0
        for lines in ledger.calls[job]:
            before = [int(number) for number, _, finished in lines if finished]
            assert all(reached <= number <= reached + 1 for number in before), job
            reached = max([reached, *(int(number) for number, _, _ in lines)])
    starts = {job: len(calls) for job, calls in ledger.calls.items()}
    assert max(starts.values()) > 1
    record_property("kills", dict(killed))
    print(
        f"\nkilled {dict(killed)} in {calls} calls; starts of jobs {starts}; finished and computed again: "
        f"{sum(lost.values())}; epochs and people computed {sum(map(len, numbers.values()))} of "
        f"{sum(map(len, all_numbers.values()))}; jobs ended {max(ends):.2f} s after their Snakemake at most; "
        f"unfinished files after each call {rubbish}"
    )


def test_a_second_snakemake_explains_itself_and_harms_nothing(undisturbed, tmp_path, workflow):
    run = with_salt_of(workflow(tmp_path, CONFIG), undisturbed[0])
    first = start(run, "images")
    locks = tmp_path / ".snakemake" / "locks"
    while not (locks.is_dir() and any(locks.iterdir())):
        assert first.poll() is None
        time.sleep(0.02)
    second = run.run("images", check=False)
    assert first.poll() is None  # it was running all the time
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    assert "no other Snakemake process is trying to create the same files" in second.stdout
    assert str(tmp_path) in second.stdout
    assert first.wait(timeout=300) == 0
    expected = content(undisturbed[0].results)
    found = content(run.results)
    both = found.keys() & expected.keys()
    assert {"images/stack.npy", "images/index.tsv", "tables/cohort.tsv", "private/participants.tsv"} <= both
    assert [name for name in both if found[name] != expected[name]] == []
