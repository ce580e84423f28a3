"""What every job of the workflow does: write its log, say plainly what went wrong, and end with its Snakemake."""

import errno
import gc
import os
import select
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from voxplain.base.errors import InputError

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
PROCESSES = Path("/proc/self/stat")  # Linux only
ORPHANED = "Snakemake is gone, so this job ends too. What it finished is kept; start Snakemake again."


class _Tee:
    """Writes to a log file and to the terminal."""

    def __init__(self, log, terminal):
        self.log, self.terminal = log, terminal

    def write(self, text: str) -> int:
        with suppress(OSError):  # a disk that is full must still let the terminal hear of it
            self.log.write(text)
            self.log.flush()
        return self.terminal.write(text)

    def flush(self) -> None:
        self.terminal.flush()

    def fileno(self) -> int:
        return self.terminal.fileno()

    def isatty(self) -> bool:
        return False


@contextmanager
def job_log(path: str | os.PathLike) -> Iterator[None]:
    """Copy what a job prints into its log, with warnings and errors.

    An `InputError`, a full disk and other things that a user can mend end the process with their message alone. The
    traceback of the machine's errors lies beside the log (``.log.traceback``), because Snakemake shows the logs of
    failed jobs on the terminal; that of any other exception is in the log. The last line of a log that ends well says
    what was computed and what starting cost, in CPU time: Snakemake's benchmarks know their sum only.

    A job that Snakemake started ends when Snakemake does: see `end_with_snakemake`.
    """
    started = time.process_time()
    before = sys.stdout, sys.stderr
    log = _opened(Path(path))
    if Path(sys.argv[0]).parts[-3:-1] == (".snakemake", "scripts"):  # where Snakemake keeps the scripts that it starts
        end_with_snakemake(path)
    try:
        sys.stdout, sys.stderr = _Tee(log, before[0]), _Tee(log, before[1])
        try:
            yield
            _note(log, f"{time.process_time() - started:.2f} s of CPU time after {started:.2f} s of starting\n")
            gc.freeze()  # all is freed with the process: searching it for what can be freed takes 0.3 s with torch
        except InputError as error:
            _give_up(str(error))
        except Exception as error:
            message = in_plain_words(error)
            if message is None:
                _note(log, traceback.format_exc())
                raise
            with suppress(OSError):
                Path(f"{path}.traceback").write_text(traceback.format_exc(), encoding="utf-8")
            _give_up(message)
    finally:
        sys.stdout, sys.stderr = before
        with suppress(OSError):
            log.close()


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


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{path}.traceback").unlink(missing_ok=True)  # of an earlier attempt
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        message = in_plain_words(error)
        if message is None:
            raise
        _give_up(f"The log cannot be written. {message}")


def _note(log: TextIO, text: str) -> None:
    """Write into the log alone; on a full disk not even that."""
    with suppress(OSError):
        log.write(text)
        log.flush()


def _give_up(message: str) -> NoReturn:
    print(f"\n{message}\n", file=sys.stderr)
    sys.exit(1)


def end_with_snakemake(log: str | os.PathLike) -> None:
    """End this process, without waiting for anything, as soon as the Snakemake that started it is gone.

    Otherwise a job of a killed Snakemake would go on and write into the folder in which the next one works already.
    Files appear whole or not at all, so that nothing half-written is left.

    Snakemake starts a script through a shell (and a container's runtime), which may outlive it. They are known by
    their command lines, which name the script: the process above them is Snakemake. Linux tells at once when one of
    them ends; elsewhere one looks every second.
    """
    chain = _chain_to_snakemake(Path(sys.argv[0]).name)
    handles = _handles(chain)
    adopted = bool(chain) and _takes_in_orphans(*chain[-1])
    if handles is None or adopted or _chain_to_snakemake(Path(sys.argv[0]).name) != chain:
        _end_now(log)
    threading.Thread(target=_watch, args=(chain, handles, log), daemon=True).start()


def _chain_to_snakemake(script: str) -> list[tuple[int, str]]:
    """Return this process' parent, its parent and so on, up to Snakemake: ids and command lines."""
    chain, process = [], os.getppid()
    known = None if PROCESSES.exists() else _listed_processes()
    while process > 0:
        parent, command = _linux_process(process) if known is None else known.get(process, (0, ""))
        chain.append((process, command))
        process = parent
    last = max((place for place, (_, command) in enumerate(chain) if script in command), default=-1)
    return chain[: last + 2]


def _linux_process(process: int) -> tuple[int, str]:
    """Return the parent of a process and its command line; of one that is not there 0 and nothing."""
    try:
        parent = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        return parent, Path(f"/proc/{process}/cmdline").read_text(errors="replace").replace("\0", " ")
    except (OSError, IndexError):
        return 0, ""


def _listed_processes() -> dict[int, tuple[int, str]]:
    """Return parents and command lines of all processes, where there is no /proc."""
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(["ps", "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, timeout=10)
        rows = (line.split(None, 2) for line in listed.stdout.splitlines())
        # Commands of several lines leave lines behind that are none of a process.
        rows = [row for row in rows if len(row) == 3 and row[0].isdigit() and row[1].isdigit()]
        return {int(process): (int(parent), command) for process, parent, command in rows}
    return {}


def _takes_in_orphans(process: int, command: str) -> bool:
    """Tell whether a process is not ours but the one that dead processes leave their children to."""
    first = process == 1 or Path((command.split() or [""])[0]).name == "systemd"
    # In a container the first process may well be Snakemake; then it shares its session with us.
    return first and os.getsid(process) != os.getsid(0)


def _handles(chain: list[tuple[int, str]]) -> list[int] | None:
    """Return what tells of the end of each process; nothing where there is no such thing, None when one has ended."""
    if not hasattr(os, "pidfd_open"):
        return []
    try:
        return [os.pidfd_open(process) for process, _ in chain]
    except ProcessLookupError:
        return None
    except OSError:  # an old kernel, or one that forbids it
        return []


def _watch(chain: list[tuple[int, str]], handles: list[int], log: str | os.PathLike) -> None:
    if handles:
        ends = select.poll()
        for handle in handles:
            ends.register(handle, select.POLLIN)
        ends.poll()
    else:
        parent = os.getppid()
        while os.getppid() == parent and all(_lives(process) for process, _ in chain):
            time.sleep(1)
    _end_now(log)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _end_now(log: str | os.PathLike) -> NoReturn:
    with suppress(OSError), open(log, "a", encoding="utf-8") as file:
        file.write(f"\n{ORPHANED}\n")
    os._exit(1)
