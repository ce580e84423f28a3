"""The one message after a run: where the page is, how long it took, what was warned of, and what failed."""

import re
from collections.abc import Iterable
from pathlib import Path

from voxplain.base.progress import spell_seconds
from voxplain.running.watching import Job, Watch, shown_logs

# Kinds of warnings that are shown, jobs that failed, and characters of a warning.
KINDS, FAILED, LONGEST = 8, 10, 160
# What Python's warnings and the jobs' own look like in a log.
WARNING = re.compile(r"^(?:\S.*?:\d+: )?(?:\w*Warning): (?P<text>.+)$")
# A log is read up to so many bytes from its end.
MOST_BYTES = 2**20


def warnings_of(jobs: Iterable[Job]) -> list[tuple[str, int, str]]:
    """Return what the logs of some jobs warn of.

    Parameters
    ----------
    jobs : iterable of Job

    Returns
    -------
    list of (str, int, str)
        The text, how often it was said, and the log that says it first; texts that differ in numbers alone are one,
        the most frequent comes first.
    """
    found: dict[str, list] = {}
    for job in jobs:
        for path in shown_logs(job.logs):
            for text in _warnings_in(path):
                same = found.setdefault(re.sub(r"\d+(?:\.\d+)?", "#", text), [text, 0, str(path)])
                same[1] += 1
    return sorted((tuple(one) for one in found.values()), key=lambda one: -one[1])


def _warnings_in(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - MOST_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:  # gone, or not to be read: the message after the run is due all the same
        return []
    return [" ".join(match["text"].split())[:LONGEST] for match in map(WARNING.match, lines) if match]


def closing_message(watch: Watch, success: bool, page: str | Path | None, results: str | Path) -> str:
    """Return what is said when a run has ended.

    Parameters
    ----------
    watch : Watch
        Of the run; it is stopped.
    success : bool
    page : path-like, optional
        The page, when the run was asked for it.
    results : path-like
        The run's folder.
    """
    took = spell_seconds(watch.stop())
    done, failed = len(watch.finished), list(watch.failed.values())
    if success:
        lines = [f"Finished: {_jobs(done)} in {took}."]
        lines.append(f"The page: {page}" if page and Path(page).is_file() else f"Results: {results}")
    else:
        rest = watch.total - done - len(failed)
        state = f"{_jobs(len(failed))} failed" if failed else "no job failed, but the run was stopped"
        lines = [f"Not finished: {state}, {done} done, {rest} left, after {took}."]
        lines += [f"  {job.name}: {_where(job)}" for job in failed[:FAILED]]
        lines += [f"  ... and {len(failed) - FAILED} more"] if len(failed) > FAILED else []
    lines += _said(warnings_of([*watch.finished.values(), *failed]))
    if not success:
        lines.append(
            "Mend it and run the same command again: what is finished is kept. Messages: docs/troubleshooting.md."
        )
    return "\n".join(lines)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _where(job: Job) -> str:
    return ", ".join(str(path) for path in shown_logs(job.logs)) or "it left no log; its message stands above"


def _said(warnings: list[tuple[str, int, str]]) -> list[str]:
    if not warnings:
        return ["Warnings in the jobs' logs: none."]
    lines = [f"Warnings in the jobs' logs: {sum(count for _, count, _ in warnings)}"]
    lines += [f"  {count} × {text} ({path})" for text, count, path in warnings[:KINDS]]
    rest = sum(count for _, count, _ in warnings[KINDS:])
    return lines + ([f"  {rest} × others"] if rest else [])
