"""How far a run is: jobs done and running, and the time left, said now and then through Snakemake's own logger.

The logger's records are read here; nothing is asked of Snakemake itself. Lines are plain text, without control
characters, on a terminal as in a file: jobs write their own progress to the same terminal, which would tear a drawn bar
apart.
"""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxplain.base.progress import spell_seconds, usual_seconds

# Running jobs that are named in a line.
NAMED = 3
# Nothing is said of the time left before so much of the work is done, by its expected cost.
LEAST_SHARE = 0.02
# A line is repeated after so many silent seconds: on a cluster jobs print nothing here.
SILENCE = 600


@dataclass
class Job:
    """A job that has begun.

    Attributes
    ----------
    kind : str
        Jobs of one kind take about the same time; see `kind_of`.
    name : str
        For people: the rule and its wildcards.
    began : float
        Seconds of the clock.
    logs : list of str
    """

    kind: str
    name: str
    began: float
    logs: list[str]


class Watch:
    """Counts jobs and tells the time left.

    Parameters
    ----------
    planned : mapping of str to int
        Jobs of the run by their kind.
    expected : mapping of str to float
        Seconds that a job of a kind may take, as far as it is known; of the others the mean is taken.
    places : int
        Jobs that can run side by side.
    say : callable
        Takes a line.
    every : float, optional
        Least seconds between lines; default: ``VOXPLAIN_PROGRESS_SECONDS``, or 20.
    clock : callable
        Gives seconds.
    """

    def __init__(
        self,
        planned: Mapping[str, int],
        expected: Mapping[str, float],
        places: int,
        say: Callable[[str], None],
        every: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.planned, self.places, self.say, self.clock = Counter(planned), max(places, 1), say, clock
        self.every = usual_seconds() if every is None else every
        usual = sum(expected.values()) / len(expected) if expected else 1.0
        self.expected = {kind: max(expected.get(kind, usual), 0.1) for kind in self.planned}
        self.running: dict[int, Job] = {}
        self.finished: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}
        self.took: dict[str, list[float]] = defaultdict(list)
        self.began = self._said = clock()
        self._over = threading.Event()

    @property
    def total(self) -> int:
        """Jobs of the run."""
        return self.planned.total()

    def start(self, job: int, kind: str, name: str, logs: list[str]) -> None:
        """A job has begun, perhaps once more after it failed; targets, which do nothing, are no jobs of the run."""
        if kind not in self.planned:
            return
        self.failed.pop(job, None)
        self.running[job] = Job(kind, name, self.clock(), list(logs))

    def finish(self, job: int) -> None:
        """A job has ended well; a line is said when the last one is old enough."""
        if job not in self.running:
            return
        self.finished[job] = ended = self.running.pop(job)
        self.took[ended.kind].append(self.clock() - ended.began)
        if self.clock() - self._said >= self.every and len(self.finished) < self.total:
            self._tell()

    def fail(self, job: int, kind: str, name: str, logs: list[str]) -> None:
        """A job has failed; it may begin again."""
        ended = self.running.pop(job, None) or Job(kind, name, self.clock(), list(logs))
        self.failed[job] = ended

    def line(self) -> str:
        """Return what there is to say: jobs done, those that run, and the time left."""
        now = self.clock()
        text = f"{len(self.finished)} of {self.total} jobs done"
        if self.failed:
            text += f", {len(self.failed)} failed"
        longest = sorted(self.running.values(), key=lambda job: job.began)
        named = ", ".join(f"{job.name} for {spell_seconds(now - job.began)}" for job in longest[:NAMED])
        text += f", {len(longest)} running" + (f" ({named}{', ...' if len(longest) > NAMED else ''})" if named else "")
        left = self.seconds_left()
        return text + (f"; {roughly(left)} left" if left is not None else "")

    def seconds_left(self) -> float | None:
        """Return about how many seconds are left; None while too little is done to tell.

        A kind that has finished jobs takes as long as they took. Others are expected to be slower or faster than
        thought by as much as the finished ones were.
        """
        thought = sum(self.expected[kind] * len(took) for kind, took in self.took.items() if kind in self.expected)
        whole = sum(self.expected[kind] * count for kind, count in self.planned.items())
        if not thought or thought < LEAST_SHARE * whole:
            return None
        now = self.clock()
        factor = sum(map(sum, self.took.values())) / thought
        ended = Counter(job.kind for job in [*self.finished.values(), *self.failed.values()])
        work = sum(self._seconds(kind, factor) * max(count - ended[kind], 0) for kind, count in self.planned.items())
        going = [(self._seconds(job.kind, factor), now - job.began) for job in self.running.values()]
        work -= sum(min(seconds, elapsed) for seconds, elapsed in going)
        # How many jobs ran side by side so far: threads, memory or their order may allow fewer than there are places.
        busy = sum(map(sum, self.took.values())) + sum(elapsed for _, elapsed in going)
        beside = min(max(busy / max(now - self.began, 1e-9), 1), self.places)
        return max([work / beside, *(seconds - elapsed for seconds, elapsed in going)])

    def _seconds(self, kind: str, factor: float) -> float:
        took = self.took.get(kind)
        return sum(took) / len(took) if took else self.expected.get(kind, 1.0) * factor

    def _tell(self) -> None:
        self._said = self.clock()
        self.say(self.line())

    def keep_talking(self) -> None:
        """Repeat the line, in a thread of its own, when nothing was said for long."""
        threading.Thread(target=self._repeat, daemon=True).start()

    def _repeat(self) -> None:
        while not self._over.wait(SILENCE / 10):
            if self.clock() - self._said >= SILENCE:
                self._tell()

    def stop(self) -> float:
        """End the watch and return how many seconds it took."""
        self._over.set()
        return self.clock() - self.began


class Listener(logging.Handler):
    """Tells a `Watch` what Snakemake's logger says of jobs."""

    def __init__(self, watch: Watch):
        super().__init__()
        self.watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        """Read one record; those without an event of jobs are left alone."""
        try:
            self._read(record, str(getattr(record, "event", "")))
        except Exception:  # as every handler does: what is only said must not end a run
            self.handleError(record)

    def _read(self, record: logging.LogRecord, event: str) -> None:
        if event == "job_info":
            kind, name = kind_of(record.rule_name, record.wildcards), name_of(record.rule_name, record.wildcards)
            self.watch.start(record.jobid, kind, name, record.log or [])
        elif event == "job_finished":
            self.watch.finish(record.job_id)
        elif event == "job_error":
            self.watch.fail(record.jobid, record.rule_name, record.rule_name, record.log or [])


class Calm(logging.Filter):
    """Keeps from a terminal what Snakemake says of every single job; what goes wrong passes, and the log has all."""

    HIDDEN = frozenset({"job_info", "job_started", "job_finished", "progress", "shellcmd"})
    SELECTING = ("Select jobs to execute",)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        hidden = str(getattr(record, "event", "")) in self.HIDDEN
        return not hidden and not str(record.msg).startswith(self.SELECTING)


def kind_of(rule: str, wildcards: Mapping[str, str] | None) -> str:
    """Return a name that jobs share which take about the same time: the rule, and the method of maps."""
    method = dict(wildcards or {}).get("method")
    return f"{rule} {method}" if method else rule


def name_of(rule: str, wildcards: Mapping[str, str] | None) -> str:
    """Return a job's name for people: the rule and what tells its jobs apart."""
    parts = [str(value) for key, value in dict(wildcards or {}).items() if key != "results"]
    return " ".join([rule, *parts])


def roughly(seconds: float) -> str:
    """Return a duration as rough as an estimate is: ``less than a minute``, ``about 12 min``, ``about 2 h 10 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 24 * 60:
        tens = round(minutes / 10)
        return f"about {tens // 6} h" + (f" {tens % 6}0 min" if tens % 6 else "")
    return f"about {minutes / 1440:.1f} days"


def shown_logs(logs: list[str]) -> list[Path]:
    """Return the files among a job's logs that exist."""
    return [path for path in map(Path, logs) if path.is_file()]
