"""One line of progress now and then, with the time left, to the log and the terminal."""

import os
import sys
import time

# Seconds between lines; 0 prints one for each unit.
SECONDS = "VOXPLAIN_PROGRESS_SECONDS"


class Progress:
    """Counts finished units and prints ``what 12/60 (20 %), 1 min 5 s left`` at most every `every` seconds.

    Work that goes on where a killed job left it says so first: ``what 7/60 were finished before``.

    Parameters
    ----------
    what : str
        Name of the work.
    total : int
        Units to do.
    done : int
        Units already done, for example by a run that was killed; they do not count for the speed.
    every : float, optional
        Seconds between lines; default: the environment variable ``VOXPLAIN_PROGRESS_SECONDS``, or 20.
    """

    def __init__(self, what: str, total: int, done: int = 0, every: float | None = None):
        self.what, self.total, self.done = what, total, done
        self.every = usual_seconds() if every is None else every
        self._before = done
        self._start = self._last = time.monotonic()
        if 0 < done <= total:
            print(f"{what} {done}/{total} were finished before", file=sys.stderr, flush=True)

    def step(self, units: int = 1, note: str = "") -> None:
        """Count units as finished; print when the last line is old enough or everything is done."""
        self.done += units
        now = time.monotonic()
        if now - self._last < self.every and self.done < self.total:
            return
        self._last = now
        left = (now - self._start) / max(self.done - self._before, 1) * (self.total - self.done)
        share = 100 * self.done // max(self.total, 1)
        text = f"{self.what} {self.done}/{self.total} ({share} %), {spell_seconds(left)} left"
        print(text + (f"; {note}" if note else ""), file=sys.stderr, flush=True)


def usual_seconds() -> float:
    """Return the seconds between lines that the environment asks for."""
    try:
        return float(os.environ.get(SECONDS, 20))
    except ValueError:
        return 20.0


def spell_seconds(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``3 min 5 s``, ``2 h 10 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
