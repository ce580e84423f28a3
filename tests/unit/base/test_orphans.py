"""A job ends with the Snakemake that started it, whatever stands between them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
JOB = """
import os, sys, time
sys.path.insert(0, {library!r})
{before}
from voxplain.base.jobs import job_log
from pathlib import Path
with job_log("job.log"):
    Path("started").write_text(str(os.getpid()))
    time.sleep(60)
Path("survived").write_text("")
"""
# What Snakemake does: a script of its own making, started through a shell.
STARTER = "import subprocess; subprocess.run(['bash', '-c', {command!r}])"
WAYS = {
    "as it is": "",
    "without pidfd": "import os; del os.pidfd_open",
    "without /proc": "import voxplain.base.orphans as orphans; orphans.PROCESSES = orphans.Path('/nowhere')",
    "without both": "import os, voxplain.base.orphans as it; del os.pidfd_open; it.PROCESSES = it.Path('/no')",
}


@pytest.fixture
def started(tmp_path):
    """Return a function that starts a job as Snakemake does, and gives the process that stands for Snakemake."""
    processes = []

    def start(way="as it is", command="set -euo pipefail; {python} {script}; true", place=".snakemake/scripts"):
        script = tmp_path / place / "tmpx1_y2.job.py"
        script.parent.mkdir(parents=True)
        script.write_text(JOB.format(library=str(LIBRARY), before=WAYS.get(way, way)))
        command = command.format(python=sys.executable, script=script)
        starter = [sys.executable, "-c", STARTER.format(command=command)]
        processes.append(subprocess.Popen(starter, cwd=tmp_path, start_new_session=True))
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(true, seconds=30.0):
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found through Linux's /proc")


def pid_of_the_job(folder):
    file = folder / "started"
    wait_until(lambda: file.is_file() and file.read_text())
    return int(file.read_text())


@linux
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shell", ["set -euo pipefail; {python} {script}; true", "exec {python} {script}"])
def test_a_job_ends_with_its_snakemake(started, tmp_path, way, shell):
    if "/proc" in way and not shutil.which("ps"):
        pytest.skip("there is no ps")
    snakemake = started(way, shell)
    job = pid_of_the_job(tmp_path)
    time.sleep(0.3)
    assert lives(job)
    snakemake.kill()
    snakemake.wait()
    wait_until(lambda: not lives(job), 5)
    assert "Snakemake is gone" in (tmp_path / "job.log").read_text()
    assert not (tmp_path / "survived").exists()


@linux
def test_a_job_ends_with_the_shell_between(started, tmp_path):
    snakemake = started()
    job = pid_of_the_job(tmp_path)
    shell = int(Path(f"/proc/{job}/stat").read_text().rpartition(")")[2].split()[1])
    assert shell != snakemake.pid
    os.kill(shell, signal.SIGKILL)
    wait_until(lambda: not lives(job), 5)


@linux
@pytest.mark.parametrize("shell", ["set -euo pipefail; {python} {script}; true", "exec {python} {script}"])
def test_a_job_whose_snakemake_went_before_it_began_ends_at_once(started, tmp_path, shell):
    wait = "from pathlib import Path; Path('loading').write_text(str(os.getpid())); time.sleep(2)"
    snakemake = started(wait, shell)
    wait_until(lambda: (tmp_path / "loading").is_file() and (tmp_path / "loading").read_text())
    job = int((tmp_path / "loading").read_text())
    snakemake.kill()
    snakemake.wait()
    adopter = int(Path(f"/proc/{job}/stat").read_text().rpartition(")")[2].split()[1])
    if "exec" in shell and adopter != 1:
        pytest.skip("here orphans are taken in by another process than the first one")
    wait_until(lambda: not lives(job), 10)
    assert not (tmp_path / "started").exists()


@linux
def test_what_snakemake_did_not_start_goes_on(started, tmp_path):
    parent = started(place="scripts")
    job = pid_of_the_job(tmp_path)
    parent.kill()
    parent.wait()
    time.sleep(1.5)
    assert lives(job)
