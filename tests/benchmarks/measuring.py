"""What the benchmarks share: contenders in processes of their own, taking turns; rows of the table; the JSON file."""

import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

LIBRARY = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
sys.path.insert(0, str(LIBRARY))

OURS, PEER, LIMIT = "ours", "peer", "limit"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    work : str
        What is done, and to how much of it.
    peer, limit : str
        What they do, in a few words.
    seconds : mapping of str to list of float
        For one unit of work, one value a repetition, of ``ours``, ``peer`` and ``limit`` (the last two may be missing).
    unit : str
        Of work: "volume", "sample" ...
    wanted_ratio : float or None
        How many times as fast as the peer we want to be.
    wanted_share : float or None
        Which share of the limit's speed we want to reach.
    wanted_seconds : float or None
        How many seconds a unit may take at most.
    note : str
        What else was measured, such as an objective that both reached.
    """

    work: str
    unit: str
    seconds: Mapping[str, list[float]]
    peer: str = ""
    limit: str = ""
    wanted_ratio: float | None = None
    wanted_share: float | None = None
    wanted_seconds: float | None = None
    note: str = ""

    def of(self, who: str) -> float | None:
        return median(self.seconds[who]) if self.seconds.get(who) else None

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the peer."""
        return self.of(PEER) / self.of(OURS) if self.of(PEER) else None

    @property
    def share(self) -> float | None:
        """Share of the limit's speed."""
        return self.of(LIMIT) / self.of(OURS) if self.of(LIMIT) else None

    @property
    def met(self) -> bool:
        return (
            (self.wanted_ratio is None or (self.ratio or 0) >= self.wanted_ratio)
            and (self.wanted_share is None or (self.share or 0) >= self.wanted_share)
            and (self.wanted_seconds is None or self.of(OURS) <= self.wanted_seconds)
        )

    def facts(self) -> dict[str, object]:
        medians = {f"{who}_s": self.of(who) for who in (OURS, PEER, LIMIT)}
        return {**asdict(self), **medians, "ratio": self.ratio, "share_of_limit": self.share, "met": self.met}


def take_turns(
    contenders: Mapping[str, Callable[..., Callable[[], float | None]]], repetitions: int, **options
) -> dict[str, list[float]]:
    """Let contenders do the same work in turns, each in a process of its own, and time them.

    A process of its own means that one's thread counts, allocator settings and caches are not the other's. Turns mean
    that what else the machine does slows all of them alike.

    Parameters
    ----------
    contenders : mapping of str to callable
        Functions of a module (they are imported by name in the new process) that prepare what is not timed, warm up,
        and return a function that does the work once. It may return the seconds that count instead of being timed.
    repetitions : int
    **options
        For the functions.

    Returns
    -------
    dict of str to list of float
        Seconds of each repetition.
    """
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name, prepare in contenders.items():
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, prepare, options), daemon=True)
        process.start()
        there.close()
        workers[name] = (process, here)
        _answer(name, here)  # prepared: one after the other, so that they do not disturb each other
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, (_, pipe) in workers.items():
            pipe.send("go")
            times[name].append(_answer(name, pipe))
    for process, pipe in workers.values():
        pipe.send("stop")
        process.join()
    return times


def _answer(name: str, pipe) -> float:
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError(f"{name} ended with an error, shown above") from None


def _work(pipe, prepare: Callable, options: Mapping) -> None:
    once = prepare(**options)
    pipe.send(0.0)
    while pipe.recv() == "go":
        start = time.perf_counter()
        told = once()
        pipe.send(time.perf_counter() - start if told is None else told)


def per_unit(times: Mapping[str, list[float]], units: Mapping[str, float] | float) -> dict[str, list[float]]:
    """Return seconds for one unit of work; `units` a repetition, of each contender or of all alike."""
    return {
        name: [value / (units[name] if isinstance(units, Mapping) else units) for value in values]
        for name, values in times.items()
    }


def print_table(rows: list[Row]) -> None:
    """Print one line a row: seconds for a unit, how many times as fast as the peer, and the share of the limit."""
    heads = ["work", "unit", "ours", "wanted", "peer", "ratio", "wanted", "limit", "share", "wanted", "met"]
    lines = [heads]
    for row in rows:
        against = [_seconds(row.of(PEER)), _times(row.ratio), _times(row.wanted_ratio)]
        within = [_seconds(row.of(LIMIT)), _percent(row.share), _percent(row.wanted_share)]
        own = [row.work, row.unit, _seconds(row.of(OURS)), _seconds(row.wanted_seconds)]
        lines.append([*own, *against, *within, "yes" if row.met else "NO"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        print(f"\n{row.work}\n  peer: {row.peer or 'none'}\n  limit: {row.limit or 'none'}")
        if row.note:
            print(f"  {row.note}")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g} s" if value >= 0.1 else f"{value * 1000:.3g} ms"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}x"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def write_json(rows: list[Row], path: Path, **more) -> None:
    """Write all rows with every repetition, and the kind of machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "rows": [row.facts() for row in rows], **more}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """Say on what kind of machine this runs, without its name."""
    import torch

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    cuda = torch.cuda.is_available()
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def peak_mb() -> float:
    """Return the largest resident size that this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else 1024**2)
