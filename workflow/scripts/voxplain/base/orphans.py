"""A job ends with the Snakemake that started it."""

import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

PROCESSES = Path("/proc/self/stat")  # Linux only
ORPHANED = "Snakemake is gone, so this job ends too. What it finished is kept; start Snakemake again."


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
