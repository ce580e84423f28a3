"""Which columns of a table are morphometry, and why the others are not."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from voxplain.base.errors import refuse
from voxplain.cohort.restricted import is_restricted_field

FREESURFER = "FS_"
# Who someone is, and when and how they were measured; without case.
NEVER = frozenset({"subject", "rid", "eid", "iid", "ptid", "session", "release", "acquisition"})
CODED = ("release_", "acquisition_")
ID = re.compile(r"(^|_)id$")
# Parts of names that tell age or sex, such as age_at_scan and is_male; FreeSurfer's names are never taken apart.
PART = re.compile(r"[_.\-\s]+")
PERSONAL = frozenset({"age", "birth", "birthdate", "dob", "male", "female", "sex", "gender"})
HIDDEN = "(a restricted field)"
# The HCP's table has these left-sided columns twice; the second ones are the right side's (".1" is pandas' mark).
LEFT_TWICE = re.compile(r"FS_L_(Cerebellum_Cort_\w+?)(\.1)?")
FEWEST_ROWS = 3
# Above these a column is the answer under another name, some people being miscoded or rounded.
SAME_LINE, SAME_CLASSES = 0.999, 0.95


def rename_repeats(columns: Sequence[str]) -> list[str]:
    """Return column names with the second ``FS_L_Cerebellum_Cort_*`` called ``FS_R_Cerebellum_Cort_*``.

    Source: the HCP's expanded FreeSurfer table, where the left cerebellar cortex's names stand twice.
    """
    seen: set[str] = set()
    renamed = []
    for column in columns:
        match = LEFT_TWICE.fullmatch(column)
        if match and (match[2] or column in seen):
            renamed.append(f"FS_R_{match[1]}")
        else:
            renamed.append(column)
        seen.add(column)
    return renamed


def check_repeats(columns: Sequence[str], candidates: Collection[str], where: str) -> None:
    """Refuse features whose names stand twice."""
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in candidates]
    if twice:
        refuse(
            f"{where}: {len(twice)} columns stand more than once; it is not clear which ones are meant",
            twice,
            "Rename or delete one of each, or leave them out by baselines.features.exclude.",
        )


def named_columns(cohort: dict, id_column: str) -> dict[str, str]:
    """Return the columns that the config names for another purpose, without case, each with that purpose."""
    section = cohort.get(cohort["source"]) or {}
    keys = ("id_column", "group_column", "age_column", "image_column", "mask_column")
    named = {str(section[key]).casefold(): f"cohort.{cohort['source']}.{key}" for key in keys if section.get(key)}
    return named | {id_column.casefold(): "the id", cohort["target"].casefold(): "the target"}


def compile_pattern(settings: dict, key: str) -> re.Pattern | None:
    """Return ``baselines.features.include`` or ``exclude`` compiled; None where it is not set.

    Raises
    ------
    InputError
        For text that is no regular expression.
    """
    if settings.get(key) is None:
        return None
    try:
        return re.compile(settings[key])
    except re.error as error:
        refuse(f"baselines.features.{key}: {settings[key]!r} is not a regular expression: {error}")


def why_not_by_name(
    name: str, named: dict[str, str], include: re.Pattern | None, exclude: re.Pattern | None, freesurfer_only: bool
) -> str:
    """Return why a column cannot be a feature, from its name alone; empty when it can.

    Parameters
    ----------
    name : str
    named : dict
        See `named_columns`.
    include, exclude : Pattern or None
        Searched for in the name.
    freesurfer_only : bool
        Only names that begin with ``FS_`` can be features; `include` takes the place of this rule.
    """
    plain = name.casefold()
    if not name:
        return "it has no name"
    if plain in named:
        return named[plain]
    if is_restricted_field(name):
        return "restricted field"
    parts = PART.split(plain)
    told = not name.startswith(FREESURFER) and not PERSONAL.isdisjoint(parts)
    if told or plain in NEVER or plain.startswith(CODED) or ID.search("_".join(parts)):
        return "it says who, when, how or what class, not morphometry"
    if include is not None and not include.search(name):
        return "not in baselines.features.include"
    if include is None and freesurfer_only and not name.startswith(FREESURFER):
        return f"not a {FREESURFER} column"
    if exclude is not None and exclude.search(name):
        return "in baselines.features.exclude"
    return ""


def read_numbers(cells: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return cells as float64 [n], NaN where they are missing or unreadable, and which ones are unreadable [n]."""
    values = np.array([math.nan if cell is None else _number(cell) for cell in cells], dtype=float)
    unreadable = np.isinf(values)
    values[unreadable] = math.nan
    return values, unreadable


def _number(cell: str) -> float:
    """Return a cell's number; infinity where it is none (Python's own parser would accept underscores)."""
    try:
        return math.inf if "_" in cell else float(cell)
    except ValueError:
        return math.inf


def numbers_rows(values: np.ndarray, ids: Sequence[str]) -> bool:
    """Tell whether a column numbers the rows or repeats the ids.

    True for whole numbers that are the digits of the ids, all of them or those at one place (295 of ``002S0295``), and
    for distinct ones that are consecutive in some order.

    Parameters
    ----------
    values : ndarray [rows]
        NaN where missing.
    ids : sequence of str
        Of all rows of the table, whether they belong to the cohort or not.
    """
    known = ~np.isnan(values)
    there = values[known]
    if len(there) < FEWEST_ROWS or np.any(there != np.round(there)):
        return False
    if len(np.unique(there)) == len(there) and there.max() - there.min() == len(there) - 1:
        return True
    runs = [re.findall("[0-9]+", person) for person, use in zip(ids, known, strict=True) if use]
    fewest = min(map(len, runs))
    places = [["".join(run) for run in runs]] if fewest else []
    places += [[run[place] for run in runs] for place in range(fewest)]
    return any(np.array_equal(there, np.array(digits, dtype=float)) for digits in places)


def why_not_by_values(values: np.ndarray, targets: np.ndarray | None = None) -> str:
    """Return why a column cannot be a feature, from its values over the cohort; empty when it can.

    Targets serve to recognise a copy of the answer under another name, and to nothing else: a column whose few values
    stand for the classes (or for one of them and the others) in more than `SAME_CLASSES` of the people, or whose
    correlation with a regression's target is beyond `SAME_LINE`.

    Parameters
    ----------
    values : ndarray [n]
        NaN where missing.
    targets : ndarray [n], optional
        float for a regression, else labels.
    """
    known = ~np.isnan(values)
    there = values[known]
    if not len(there):
        return "empty"
    if there.min() == there.max():
        return "constant"
    if targets is None:
        return ""
    answers = targets[known]
    if answers.dtype.kind == "f":
        if len(there) < FEWEST_ROWS or np.ptp(answers) == 0:
            return ""
        told = abs(np.corrcoef(there, answers)[0, 1]) > SAME_LINE
        return "it gives the target away: a linear function of it" if told else ""
    return "it gives the class away: its values stand for the classes" if _codes_classes(there, answers) else ""


def _codes_classes(values: np.ndarray, classes: np.ndarray) -> bool:
    """Tell whether nearly everybody has the commonest value of their class, and that is not the same for all classes.

    Without the second condition a column that is 0 in nearly everybody would count where one class is rare.
    """
    codes, code = np.unique(values, return_inverse=True)
    labels, label = np.unique(classes, return_inverse=True)
    if len(codes) > len(labels):
        return False
    counts = np.zeros((len(labels), len(codes)), dtype=int)
    np.add.at(counts, (label, code), 1)
    agree = counts.max(axis=1).sum() / len(values)
    return bool(agree > SAME_CLASSES and len(np.unique(counts.argmax(axis=1))) > 1)
