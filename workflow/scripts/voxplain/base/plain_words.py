"""Errors of the machine (no space, no right, no memory) as what a user can do about them."""

import errno
import os
import shutil
from pathlib import Path

AGAIN = "run the same command again: what is finished is kept."
# What to do about what a system answers when it does not let something be written.
ADVICE = {
    errno.ENOSPC: f"Free some space{{need}}, and {AGAIN}",
    errno.EDQUOT: f"Your quota is used up: delete something{{need}}, or ask for more, and {AGAIN}",
    errno.EFBIG: f"Files may not be so large here (ulimit -f, or the file system): lift the limit, and {AGAIN}",
    errno.EROFS: "Results are written below the folder that Snakemake works in: choose one that can be written to "
    "(--directory).",
    errno.EACCES: f"Give yourself the right (chmod, or ask the owner), and {AGAIN}",
}
ADVICE[errno.EPERM] = ADVICE[errno.EACCES]
DEVICE_ADVICE = (
    "Networks are trained on training.batch_size people at a time, which is part of the result and is therefore never "
    "made smaller by itself: set a smaller training.batch_size or model.arguments.channels. Or let fewer jobs share "
    "the GPU (VOXPLAIN_JOBS_PER_GPU), end what else uses it, or set device: cpu."
)
MEMORY_ADVICE = (
    f"Run fewer jobs at a time (--cores, or --resources mem_mb=...), end what else takes memory, and {AGAIN}"
)


def in_plain_words(error: BaseException) -> str | None:
    """Return what a user can do about an error of the machine, or None when it is of another kind.

    Such errors are those of writing (no space, quota, read-only, not permitted), of files that may not be read, and of
    memory.
    """
    if is_out_of_memory(error):
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return f"Out of memory: {said}.\n{MEMORY_ADVICE if isinstance(error, MemoryError) else DEVICE_ADVICE}"
    if not isinstance(error, OSError) or error.errno not in ADVICE:
        return None
    named = error.filename2 or error.filename
    where = f" while writing {named}" if hasattr(error, "needed") else f": {named}" if named else ""
    return f"{os.strerror(error.errno)}{where}{_counted(error)}.\n{ADVICE[error.errno].format(need=_need(error))}"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that a device, or the computer itself, has too little memory.

    By name, so that jobs without torch need not load it.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _counted(error: OSError) -> str:
    """Say how much was written and how much room is left, where that is what is wrong."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not error.filename:
        return ""
    folder = next((folder for folder in Path(str(error.filename)).absolute().parents if folder.is_dir()), None)
    left = [] if folder is None else [f"{spell_bytes(shutil.disk_usage(folder).free)} free in {folder}"]
    written = [f"{spell_bytes(error.written)} written"] if hasattr(error, "written") else []
    return f" ({', '.join([*written, *left])})"


def _need(error: OSError) -> str:
    needed, written = getattr(error, "needed", None), getattr(error, "written", 0)
    if needed:
        return f" (this file needs about {spell_bytes(needed)})"
    return f" (this file needs more than {spell_bytes(written)})" if written else ""


def spell_bytes(count: float) -> str:
    """Return a number of bytes as people say it: ``512 bytes``, ``1.5 MB``, ``20 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
