"""Which device a job computes on; one job a GPU, by file locks, because Snakemake gives out no device ids."""

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from voxplain.base.errors import InputError

if TYPE_CHECKING:
    import torch

# How many jobs may share one GPU: a small network leaves most of a large one idle. It changes nothing about results,
# so it belongs to the machine and not to the config.
SHARED = "VOXPLAIN_JOBS_PER_GPU"
# One folder for all jobs of a machine, whoever runs them and whatever their TMPDIR: two users take two devices.
LOCKS = Path("/tmp/voxplain-devices")


@contextmanager
def on_device(choice: str = "auto", threads: int = 2) -> Iterator["torch.device"]:
    """Give a torch device for the length of a block.

    On the CPU torch's thread count is set to `threads`, a constant of the config rather than of the machine, because
    gradients differ in their last bits between thread counts. On a GPU machine the first device that no other job
    holds is taken; when all are held, the job waits for one. The environment variable ``VOXPLAIN_JOBS_PER_GPU`` lets
    more than one job share a device.

    Parameters
    ----------
    choice : {'auto', 'cpu', 'cuda'}
        ``auto`` takes a GPU when torch sees one.
    threads : int
        torch's CPU threads.

    Raises
    ------
    InputError
        For ``cuda`` on a machine where torch sees no GPU, another word, or a variable that is no number of jobs.
    """
    import torch

    if choice not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: {choice!r} is not one of auto, cpu, cuda")
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if choice == "cpu" or (choice == "auto" and not torch.cuda.is_available()):
        yield torch.device("cpu")
        return
    if not torch.cuda.is_available():
        raise InputError(
            "device: cuda was asked for, but torch sees no GPU. Check the driver with nvidia-smi, or set device: auto."
        )
    lock, index = _take_device(_names(torch.cuda.device_count()))
    try:
        yield torch.device("cuda", index)
    finally:
        lock.release()


def _keep_freed_memory() -> None:
    """Let the C library keep the memory that torch frees, instead of handing it back and asking for it again.

    Activations of volumes are so large that each would be mapped and unmapped anew, and its pages zeroed by the kernel:
    a third of the time of a training on the CPU. Not every C library has the call.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of glibc's malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def _names(count: int) -> list[str]:
    """Return what every job of the machine calls the devices that this one sees as 0, 1, ..., `count` - 1.

    That is a device's UUID. Where there is none to be had it is the entry of CUDA_VISIBLE_DEVICES, which a scheduler
    that hides the other devices numbers from 0 in every job: such jobs would wait for one another's devices.
    """
    import torch

    visible = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")][:count]
    names = visible if len(visible) == count and all(visible) else [str(index) for index in range(count)]
    for index, name in enumerate(names):
        if name.startswith("MIG-"):  # a part of a GPU, whose UUID would be that of the whole
            continue
        # AssertionError: of a torch without CUDA, or for a device that it does not have; RuntimeError: of the driver.
        with suppress(AssertionError, AttributeError, RuntimeError):
            names[index] = f"GPU-{str(torch.cuda.get_device_properties(index).uuid).removeprefix('GPU-')}"
    return [name.replace("/", "-") for name in names]


def _take_device(names: list[str]) -> tuple[FileLock, int]:
    with _open_to_everybody():
        if not LOCKS.is_dir():
            with suppress(FileExistsError):
                LOCKS.mkdir(mode=0o1777)  # as /tmp itself: nobody deletes another's lock
    # Every device gets its first job before one gets its second.
    locks = [
        (index, FileLock(LOCKS / f"{name}{f'-{place}' if place else ''}.lock", mode=0o666))
        for place in range(_jobs_per_device())
        for index, name in enumerate(names)
    ]
    waits = False
    while True:
        for index, lock in locks:
            with suppress(Timeout), _open_to_everybody():
                lock.acquire(timeout=0)
                return lock, index
        if not waits:
            print(f"all {len(names)} GPUs are taken by other jobs: waiting for one", file=sys.stderr, flush=True)
        waits = True
        time.sleep(0.5)


@contextmanager
def _open_to_everybody() -> Iterator[None]:
    """Make files that other users can open, whatever this user's umask."""
    umask = os.umask(0)
    try:
        yield
    finally:
        os.umask(umask)


def _jobs_per_device() -> int:
    text = os.environ.get(SHARED, "1")
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{SHARED}={text!r}: expected the number of jobs that may share one GPU, 1 or more")
    return int(text)
