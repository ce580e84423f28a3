"""What is predicted: labels of the config, and the target of each person as the task needs it."""

import math
import re
from collections import Counter
from dataclasses import replace

import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.names import check_labels
from voxplain.cohort.roster import Roster

# From newborns to the largest adult heads, with room to spare; values in ml or litres lie far outside.
LEAST_HEAD_MM3, LARGEST_HEAD_MM3 = 1e5, 4e6
# Python itself would also take 1_000, nan and digits of other scripts.
NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
# Cells are shown up to so many characters.
SHOWN = 64


def labels_of(cohort: dict) -> list[str]:
    """Return the class labels of the config as text, in its order; an empty list for regression.

    Raises
    ------
    InputError
        For fewer than two labels, repeated ones, ones that cannot stand in a file name, and YAML's yes/no trap.
    """
    if cohort["task"] == "regression":
        return []
    labels = cohort.get("labels") or []
    switched = [str(label) for label in labels if isinstance(label, bool)]
    if switched:
        refuse(
            "cohort.labels: YAML turned these labels into truth values",
            switched,
            "Unquoted yes, no, on, off, true and false are truth values in YAML: put quotes around them.",
        )
    labels = [str(label) for label in labels]
    if len(labels) < 2:
        raise InputError(
            f"cohort.labels: {labels} was given; a classification needs at least two labels, such as [F, M]. "
            "For numbers set cohort.task: regression."
        )
    check_labels(labels, "cohort.labels")
    return labels


def check_targets(roster: Roster, cohort: dict) -> Roster:
    """Return the roster with targets as the task needs them (text or float) and head sizes as floats.

    People without a target are moved to `dropped`, or refused, as ``cohort.on_missing_target`` says. Values of
    restricted fields stay out of messages, which end up in logs.

    Raises
    ------
    InputError
        Naming everyone without a target (``on_missing_target: fail``), with a label that the config does not list,
        with a target or a head size that is not a number; for a cohort where nobody has a target, a class that nobody
        belongs to, or a regression target that is the same for all.
    """
    people, column = roster.people, cohort["target"]
    without = people["target"].isna()
    dropped = sorted(people.loc[without, "participant_id"])
    if len(dropped) == len(people):
        refuse(f"cohort.target: nobody in {roster.source} has a value of {column!r}")
    if dropped and cohort.get("on_missing_target", "drop") == "fail":
        refuse(
            f"cohort.target: {len(dropped)} people in {roster.source} have no value of {column!r}",
            dropped,
            "Fill the cells, or set cohort.on_missing_target: drop to go on without these people.",
        )
    people = people[~without].reset_index(drop=True)
    if cohort["task"] == "regression":
        targets = numbers(people, "target", f"cohort.target: {column!r} of {roster.source}", hide=roster.restricted)
        people = people.assign(target=targets)
    else:
        _check_known(people, labels_of(cohort), column, roster)
    own = (cohort.get("size") or {}).get("file")
    head_size = f"head size {roster.size_source!r} of {f'cohort.size.file ({own})' if own else roster.source}"
    sizes = numbers(people, "size", head_size)
    small = sizes <= 0
    if small.any():
        refuse(
            f"{head_size} is not positive; mm³ were expected",
            (f"{person}: {size:g}" for person, size in zip(people["participant_id"][small], sizes[small], strict=True)),
            "Use n/a where it is unknown.",
        )
    middle = sizes.median()
    if not math.isnan(middle) and not LEAST_HEAD_MM3 <= middle <= LARGEST_HEAD_MM3:
        refuse(
            f"{head_size}: the median is {middle:g}, which cannot be mm³ "
            f"({LEAST_HEAD_MM3:g} to {LARGEST_HEAD_MM3:g} were expected)",
            advice="Give head sizes in mm³: 1 ml is 1000 mm³.",
        )
    check_variety(people, cohort, roster.source)
    return replace(roster, people=people.assign(size=sizes), dropped=dropped)


def check_variety(people: pd.DataFrame, cohort: dict, where: str) -> None:
    """Refuse people that nothing can be learned from: an empty class, or a regression target without variance."""
    column = cohort["target"]
    if cohort["task"] == "regression":
        if people["target"].nunique() < 2:
            refuse(f"cohort.target: {column!r} is the same for all {len(people)} people of {where}")
        return
    counts = people["target"].value_counts()
    empty = [label for label in labels_of(cohort) if label not in counts.index]
    if empty:
        found = ", ".join(f"{label}: {counts[label]}" for label in labels_of(cohort) if label in counts.index)
        refuse(
            f"cohort.labels: nobody among the {len(people)} people of {where} belongs to these classes ({found})",
            empty,
            "Take the label out of cohort.labels, raise cohort.limit, or get people of that class.",
        )


def _check_known(people: pd.DataFrame, labels: list[str], column: str, roster: Roster) -> None:
    strangers = people[~people["target"].isin(labels)]
    if strangers.empty:
        return
    pairs = zip(strangers["participant_id"], strangers["target"], strict=True)
    refuse(
        f"cohort.target: {len(strangers)} people in {roster.source} have a value of {column!r} that is not one of the "
        f"labels {labels}",
        (person if roster.restricted else f"{person}: {_shown(value)}" for person, value in pairs),
        "Correct the cells or cohort.labels (upper and lower case differ), or write n/a to leave these people out.",
    )


def numbers(people: pd.DataFrame, column: str, what: str, hide: bool = False) -> pd.Series:
    """Return a column as float64, missing cells as NaN.

    Parameters
    ----------
    people : DataFrame
        With `participant_id`.
    column : str
    what : str
        Name of the column for the message.
    hide : bool
        Name the people, but not the values.

    Raises
    ------
    InputError
        Naming everyone whose value is not a finite number.
    """
    values, wrong = [], []
    for person, cell in zip(people["participant_id"], people[column], strict=True):
        known = not pd.isna(cell)
        value = float(cell) if known and (not isinstance(cell, str) or NUMBER.fullmatch(cell)) else math.nan
        if known and not math.isfinite(value):
            wrong.append(person if hide else f"{person}: {_shown(cell)}")
        values.append(value)
    if wrong:
        refuse(
            f"{what} is not a finite number for {len(wrong)} people",
            wrong,
            "Write numbers with a point, without units, and n/a where the value is unknown.",
        )
    return pd.Series(values, index=people.index, dtype="float64")


def check_enough(people: pd.DataFrame, cohort: dict, folds: int, grouped: bool) -> None:
    """Refuse folds that so few people, members of a class or families cannot fill, before images are read.

    The same is said when the folds are made, of those whose images are good.

    Parameters
    ----------
    people : DataFrame
        Those whose images exist: `target`, `group`.
    cohort : dict
        ``cohort`` of the config, with its defaults filled in.
    folds : int
    grouped : bool
        Families stay together.

    Raises
    ------
    InputError
        For fewer people, members of a class or families than folds.
    """
    if len(people) < folds:
        raise InputError(f"folds: {folds} folds were asked for, but there are only {len(people)} people: ask for fewer")
    counts = Counter(people["target"]) if cohort["task"] == "classification" else {}
    few = [f"{label}: {counts[label]} people" for label in sorted(labels_of(cohort)) if counts[label] < folds]
    if few:
        refuse(f"folds: {folds} folds were asked for, but these classes have fewer people", few, "Ask for fewer folds.")
    families = people["group"].nunique() + people["group"].isna().sum()
    if grouped and families < folds:
        raise InputError(
            f"folds: {folds} folds were asked for, but all {len(people)} people belong to {families} families "
            "(groups), which must not be torn apart: ask for fewer folds, or switch grouping off"
        )


def _shown(cell: object) -> str:
    """Return a cell as it stands in a message."""
    text = str(cell)
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."


def check_families(people: pd.DataFrame) -> None:
    """Refuse to compare folds with and without families where there are none to tear apart.

    Parameters
    ----------
    people : DataFrame
        Those whose images exist: `group`.

    Raises
    ------
    InputError
    """
    if not people["group"].dropna().duplicated().any():
        refuse(
            "folds.compare_ungrouped: no two people are known to be relatives, so that there is nothing to compare",
            advice="Name families by cohort.hcp.restricted_csv, or by the group_column of cohort.bids or cohort.table, "
            "or set it to false.",
        )
