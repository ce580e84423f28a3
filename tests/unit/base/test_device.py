"""One job a GPU: whoever runs it, however the device is named, and whatever became of the job before."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from voxplain.base import device
from voxplain.base.device import on_device
from voxplain.base.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
NOBODY = 65534
# A job that says which device it got, and holds it until its input ends. It does without torch, which takes seconds. It
# becomes another user only when all is imported, because that user may not be allowed to read this Python.
JOB = """
import os, sys, types
from pathlib import Path

class Device(types.SimpleNamespace):
    def __init__(self, kind, index=None):
        super().__init__(index=index)

def properties(index):
    raise AssertionError("Torch not compiled with CUDA enabled")

cuda = types.SimpleNamespace(
    is_available=lambda: True, device_count=lambda: int(sys.argv[2]), get_device_properties=properties
)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda, set_num_threads=lambda threads: None, device=Device)
from voxplain.base import device

device.LOCKS = Path(sys.argv[1])
if sys.argv[3:]:
    with device.FileLock(sys.argv[4]):
        os.setgroups([])
        os.setgid(int(sys.argv[3]))
        os.setuid(int(sys.argv[3]))
    os.umask(0o077)
with device.on_device("cuda") as mine:
    print(mine.index, flush=True)
    sys.stdin.read()
"""


class Job:
    """A process that takes a device."""

    def __init__(self, locks, devices, user=None, **variables):
        kept = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", device.SHARED)}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                JOB,
                str(locks),
                str(devices),
                *([] if user is None else [str(user), f"{locks}.warm"]),
            ],
            env={**kept, "PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1", **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def device(self):
        """Return the index of the device, once the job has it."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return int(line)

    def says(self):
        """Return the next line of the job's standard error."""
        return self.process.stderr.readline()

    def end(self):
        self.process.communicate("")
        assert self.process.returncode == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def jobs(tmp_path):
    """Start jobs of one machine; none outlives the test."""
    started = []

    def start(devices, locks=tmp_path / "devices", **more):
        started.append(Job(locks, devices, **more))
        return started[-1]

    yield start
    for job in started:
        if job.process.poll() is None:
            job.kill()


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine with as many GPUs as asked for, whose UUIDs torch knows or does not."""

    def properties(index):
        raise AssertionError("Torch not compiled with CUDA enabled")

    def have(count, uuids=None, visible=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        known = (lambda index: SimpleNamespace(uuid=uuids[index])) if uuids else properties
        monkeypatch.setattr(torch.cuda, "get_device_properties", known)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    monkeypatch.setattr(device, "LOCKS", tmp_path / "devices")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv(device.SHARED, raising=False)
    have(2)
    return have


def locked(tmp_path):
    """Names of the devices that a lock was made for."""
    return {path.stem for path in (tmp_path / "devices").iterdir()}


def test_devices(monkeypatch):
    with on_device("cpu", threads=1) as chosen:
        assert chosen.type == "cpu"
        assert torch.get_num_threads() == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="sees no GPU"), on_device("cuda"):
        pass
    with pytest.raises(InputError, match="not one of"), on_device("tpu"):
        pass


def test_two_jobs_get_two_devices(gpus):
    with on_device("auto") as first, on_device("auto") as second:
        assert {first.index, second.index} == {0, 1}
    with on_device("cuda") as third:
        assert third.index == 0


def test_jobs_share_devices_evenly_where_that_is_asked_for(gpus, monkeypatch):
    monkeypatch.setenv("VOXPLAIN_JOBS_PER_GPU", "2")
    with ExitStack() as held:
        taken = [held.enter_context(on_device("cuda")).index for _ in range(4)]
    assert taken == [0, 1, 0, 1]
    for text in ("0", "two"):
        monkeypatch.setenv("VOXPLAIN_JOBS_PER_GPU", text)
        with pytest.raises(InputError, match=f"VOXPLAIN_JOBS_PER_GPU='{text}'"), on_device("cuda"):
            pass


def test_a_job_that_fails_gives_its_device_back(gpus):
    gpus(1)
    with pytest.raises(RuntimeError, match="stop"), on_device("cuda"):
        raise RuntimeError("stop")
    with on_device("cuda") as chosen:
        assert chosen.index == 0


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("3,5", {"3", "5"}),
        (" 3 , 5 ", {"3", "5"}),
        ("3,5,99", {"3", "5"}),  # CUDA stops at the first device that there is not
        ("GPU-8f3c,GPU-2b11", {"GPU-8f3c", "GPU-2b11"}),
        ("MIG-GPU-8f3c/1/0,MIG-GPU-8f3c/2/0", {"MIG-GPU-8f3c-1-0", "MIG-GPU-8f3c-2-0"}),
        (None, {"0", "1"}),
        ("", {"0", "1"}),
    ],
)
def test_what_is_locked_is_the_machines_device_and_what_is_given_is_its_place(gpus, tmp_path, visible, names):
    gpus(2, visible=visible)
    with on_device("cuda") as first, on_device("cuda") as second:
        assert (first.index, second.index) == (0, 1)
    assert locked(tmp_path) == names


def test_jobs_that_see_other_devices_do_not_wait_for_one_another(gpus):
    gpus(2, visible="3,5")
    with on_device("cuda") as first:
        assert first.index == 0
        gpus(1, visible="5")
        with on_device("cuda") as second:
            assert second.index == 0
        gpus(2, visible="3,4")
        with on_device("cuda") as third:
            assert third.index == 1  # 3 is held, under whatever number


def test_a_device_is_known_by_its_uuid_under_every_number(gpus, tmp_path):
    """A scheduler that hides the other devices calls each job's own 0."""
    gpus(1, uuids=["aa-11"], visible="0")
    with on_device("cuda") as first:
        gpus(1, uuids=["bb-22"], visible="0")
        with on_device("cuda") as second:
            assert (first.index, second.index) == (0, 0)
            gpus(3, uuids=["bb-22", "aa-11", "cc-33"])
            with on_device("cuda") as third:
                assert third.index == 2
    assert locked(tmp_path) == {"GPU-aa-11", "GPU-bb-22", "GPU-cc-33"}


def test_parts_of_one_gpu_are_devices_of_their_own(gpus, tmp_path):
    gpus(2, uuids=["aa-11", "aa-11"], visible="MIG-1,MIG-2")
    with on_device("cuda") as first, on_device("cuda") as second:
        assert (first.index, second.index) == (0, 1)
    assert locked(tmp_path) == {"MIG-1", "MIG-2"}


def test_processes_hold_different_devices_and_one_too_many_waits_for_the_first_that_is_free(jobs):
    held = [jobs(3) for _ in range(3)]
    devices = [job.device() for job in held]
    assert sorted(devices) == [0, 1, 2]
    late = jobs(3)
    assert "all 3 GPUs are taken" in late.says()
    held[1].end()
    assert late.device() == devices[1]


def test_a_killed_job_holds_nothing(jobs):
    first = jobs(1)
    assert first.device() == 0
    late = jobs(1)
    assert "all 1 GPUs are taken" in late.says()
    first.kill()
    assert late.device() == 0


def test_two_runs_with_different_temporary_folders_share_the_locks(jobs, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    assert [jobs(2, TMPDIR=str(folder)).device() for folder in folders] == [0, 1]


def test_each_process_locks_what_it_sees(jobs):
    assert jobs(2, CUDA_VISIBLE_DEVICES="3,5").device() == 0
    assert jobs(2, CUDA_VISIBLE_DEVICES="5,3").device() == 0
    late = jobs(1, CUDA_VISIBLE_DEVICES="5")
    assert "all 1 GPUs are taken" in late.says()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a job of another user")
@pytest.mark.parametrize("users", [(0, NOBODY), (NOBODY, 0)])
def test_two_users_take_two_devices(jobs, users):
    """Whoever comes first makes the files, with a umask that lets nobody else read them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        locks = Path(folder) / "devices"
        first = jobs(2, locks=locks, user=users[0])
        assert first.device() == 0
        second = jobs(2, locks=locks, user=users[1])
        assert second.device() == 1
        assert stat.S_IMODE(locks.stat().st_mode) == 0o1777
        late = jobs(2, locks=locks, user=NOBODY)
        assert "all 2 GPUs are taken" in late.says()
        first.end()
        assert late.device() == 0
