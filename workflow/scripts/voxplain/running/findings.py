"""What a check found, and the table of it on the terminal."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voxplain.base.errors import InputError
from voxplain.running.estimate import elapsed
from voxplain.running.watching import roughly

FINE, WARNING, STOP = "fine", "warning", "STOP"
HEADINGS = ("what", "found", "state", "how to mend")
# Offenders that are shown of one finding, and the widths between which the table is drawn.
SHOWN, NARROWEST, WIDEST, UNKNOWN = 5, 72, 150, 120


@dataclass(frozen=True)
class Finding:
    """One line of the check.

    Attributes
    ----------
    what : str
        The part of the run that was looked at.
    found : str
        In a few words, or the message of the error.
    state : {'fine', 'warning', 'STOP'}
        ``STOP``: the run would end there.
    mend : str
        What the user can do; empty when nothing is wrong.
    """

    what: str
    found: str
    state: str = FINE
    mend: str = ""


def attempt(what: str, function: Callable, *arguments: object) -> tuple[object, list[Finding]]:
    """Call a function; return its value, or None and what it refused as a finding that stops the run."""
    try:
        return function(*arguments), []
    except InputError as error:
        return None, [refused(what, error)]


def refused(what: str, error: InputError) -> Finding:
    """Return an error as a finding: its headline and offenders, and its advice as what mends it."""
    lines = str(error).splitlines()
    offenders = [place for place, line in enumerate(lines) if line.startswith("  - ")]
    if not offenders:
        return Finding(what, lines[0], STOP, " ".join(lines[1:]))
    shown = [lines[place].removeprefix("  ") for place in offenders[:SHOWN]]
    more = [f"- and {len(offenders) - SHOWN} more lines"] if len(offenders) > SHOWN else []
    found = "\n".join([*lines[: offenders[0]], *shown, *more])
    return Finding(what, found, STOP, " ".join(lines[offenders[-1] + 1 :]))


def in_table(findings: Sequence[Finding], width: int | None = None) -> str:
    """Return findings as a table of plain text.

    Parameters
    ----------
    findings : sequence of Finding
    width : int, optional
        Characters of a line; default: those of the terminal.
    """
    rows = [(one.what, one.found, one.state, one.mend) for one in findings]
    return _drawn(HEADINGS, rows, width)


def times_table(stages: dict[str, tuple[int, float]], cores: int, width: int | None = None) -> str:
    """Return the rough times of stages as a table of plain text.

    Parameters
    ----------
    stages : dict of str to (int, float)
        Jobs and CPU seconds; see `voxplain.running.estimate.by_stage`.
    cores : int
    width : int, optional
        As of `in_table`.
    """
    rows = [
        (
            stage,
            str(jobs),
            roughly(seconds).removeprefix("about "),
            roughly(elapsed(seconds, cores)).removeprefix("about "),
        )
        for stage, (jobs, seconds) in stages.items()
    ]
    return _drawn(("stage", "jobs", "CPU time", f"on {cores} cores"), rows, width)


def _drawn(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    width = width or min(max(shutil.get_terminal_size((UNKNOWN, 0)).columns, NARROWEST), WIDEST)
    widths = [max(_longest(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    # The two columns of sentences share what the others leave, the wider one gives way first.
    while sum(widths) + 2 * (len(widths) - 1) > width:
        widths[max(range(len(widths)), key=widths.__getitem__)] -= 1
    lines = [_line(headings, widths), *_line_of_dashes(widths)]
    for row in rows:
        lines.append(_line(row, widths))
    return "\n".join(lines)


def _longest(cell: str) -> int:
    return max(map(len, cell.split("\n")))


def _line_of_dashes(widths: Sequence[int]) -> list[str]:
    return ["  ".join("-" * width for width in widths)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    wrapped = [
        [
            line
            for part in cell.split("\n")
            for line in textwrap.wrap(part, width, subsequent_indent=_hang(part), break_on_hyphens=False) or [""]
        ]
        for cell, width in zip(cells, widths, strict=True)
    ]
    height = max(map(len, wrapped))
    columns = [lines + [""] * (height - len(lines)) for lines in wrapped]
    rows = zip(*columns, strict=True)
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _hang(part: str) -> str:
    return "  " if part.startswith("- ") else ""
