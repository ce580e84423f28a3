"""The one exception that a user is meant to read."""

from collections.abc import Iterable

SHOWN = 20


class InputError(ValueError):
    """Something that the user gave is wrong; the message says what, what was expected and what to do."""


def refuse(headline: str, offenders: Iterable[object] = (), advice: str = "") -> None:
    """Raise one `InputError` that names every offender.

    Parameters
    ----------
    headline : str
        What is wrong and what was expected.
    offenders : iterable
        One entry per offending file, row or value; after the first 20 only their number is given.
    advice : str
        What the user can do.

    Raises
    ------
    InputError
        Always.
    """
    offenders = [str(offender) for offender in offenders]
    lines = [headline, *(f"  - {offender}" for offender in offenders[:SHOWN])]
    if len(offenders) > SHOWN:
        lines.append(f"  - ... and {len(offenders) - SHOWN} more ({len(offenders)} in all)")
    if advice:
        lines.append(advice)
    raise InputError("\n".join(lines))
