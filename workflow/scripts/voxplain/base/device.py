"""Which device a job computes on; one job a GPU, by file locks, because Snakemake gives out no device ids."""

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from voxplain.base.errors import InputError

# How many jobs may share one GPU: a small network leaves most of a large one idle. It changes nothing about results,
# so it belongs to the machine and not to the config.
SHARED = "VOXPLAIN_JOBS_PER_GPU"


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
    lock, index = _take_device(torch.cuda.device_count())
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


def _take_device(count: int) -> tuple[FileLock, int]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == count and all(visible) else [str(i) for i in range(count)]
    folder = Path(tempfile.gettempdir()) / f"voxplain-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Every device gets its first job before one gets its second.
    locks = [
        (index, FileLock(folder / f"{name.strip().replace('/', '-')}{f'-{place}' if place else ''}.lock"))
        for place in range(_jobs_per_device())
        for index, name in enumerate(names)
    ]
    while True:
        for index, lock in locks:
            with suppress(Timeout):
                lock.acquire(timeout=0)
                return lock, index
        time.sleep(0.5)


def _jobs_per_device() -> int:
    text = os.environ.get(SHARED, "1")
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{SHARED}={text!r}: expected the number of jobs that may share one GPU, 1 or more")
    return int(text)
