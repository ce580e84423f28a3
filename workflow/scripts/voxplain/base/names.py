"""Ids and labels come from tables and end up in paths, shells and HTML: only plain ones are let in."""

import re
from collections.abc import Iterable

from voxplain.base.errors import refuse

ID = re.compile(r"[A-Za-z0-9]+")
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
RESERVED_LABELS = frozenset({"joint", "lowest-third", "middle-third", "highest-third"})  # groups of maps
LONGEST = 64


def clean_id(value: object) -> str:
    """Return an id as text, without blanks around it and without the BIDS prefix ``sub-``."""
    return str(value).strip().removeprefix("sub-")


def check_ids(ids: Iterable[str], source: str) -> None:
    """Refuse ids that are not plain letters and digits, and ids that occur twice.

    Parameters
    ----------
    ids : iterable of str
        Already cleaned with `clean_id`.
    source : str
        Where they come from, for the message.

    Raises
    ------
    InputError
        Naming every offending id.
    """
    ids = list(ids)
    bad = [i for i in ids if len(i) > LONGEST or not ID.fullmatch(i)]
    if bad:
        refuse(
            f"{source}: {len(bad)} participant ids are not plain letters and digits (at most {LONGEST})",
            (repr(i[:LONGEST]) for i in bad),
            "Ids become file names: rename them in the table, for example 'pat_01' to 'pat01'.",
        )
    seen: set[str] = set()
    twice = sorted({i for i in ids if i in seen or seen.add(i)})
    if twice:
        refuse(f"{source}: {len(twice)} participant ids occur more than once", twice, "Keep one row a person.")


def check_labels(labels: Iterable[str], source: str) -> None:
    """Refuse class labels that cannot stand in a file name, and those that name groups of maps.

    Raises
    ------
    InputError
        Naming every offending label.
    """
    labels = list(labels)
    bad = [x for x in labels if len(x) > LONGEST or not LABEL.fullmatch(x) or x in RESERVED_LABELS]
    if bad:
        refuse(
            f"{source}: {len(bad)} class labels cannot be used in file names",
            (repr(x[:LONGEST]) for x in bad),
            "Labels may hold letters, digits, '.' and '-', begin and end with a letter or digit, and not be "
            + ", ".join(sorted(RESERVED_LABELS))
            + ".",
        )
    if len(set(labels)) != len(labels):
        refuse(f"{source}: a class label is listed twice", labels)
