"""People of the phantom: known from its settings alone, their head sizes and families from its measured tables."""

import math
from dataclasses import fields

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.cohort.hcp import SIZE_COLUMNS, SUBJECT, first_column, read_files
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.roster import Roster, fill_pattern, roster_frame
from voxplain.cohort.sheets import refuse_unknown_column
from voxplain.cohort.targets import numbers

WORKFLOW_KEYS = frozenset({"keep_volumes"})


def read_phantom(settings: dict, target: str, seed: int) -> Roster:
    """Return the people that the phantom will make; no image and no table has to exist yet.

    Parameters
    ----------
    settings : dict
        ``cohort.phantom`` of the config: fields of `voxplain.cohort.phantom.PhantomSettings` other than the seed, and
        keys of the workflow alone (``keep_volumes``), which do not matter here.
    target : str
        Column of the phantom's design to predict.
    seed : int

    Raises
    ------
    InputError
        For a setting that the phantom does not have, or an unknown target.
    """
    from voxplain.cohort.phantom import PhantomSettings, design
    from voxplain.cohort.phantom.settings import IMAGES

    settings = {key: value for key, value in settings.items() if key not in WORKFLOW_KEYS}
    known = {field.name for field in fields(PhantomSettings)} - {"seed"}
    unknown = sorted(set(settings) - known)
    if unknown:
        refuse("cohort.phantom: the phantom has no such settings", unknown, f"It has: {', '.join(sorted(known))}.")
    phantom = PhantomSettings(**settings, seed=seed)
    people = design(phantom)
    if target not in people.columns:
        refuse_unknown_column(target, "cohort.target", list(people.columns), "the design of the phantom")
    ids = people["participant_id"].astype(str).tolist()

    def texts(column: str) -> list[str | None] | None:
        if column not in people.columns:
            return None
        return [None if pd.isna(value) else str(value) for value in people[column]]

    frame = roster_frame(
        ids,
        target=texts(target),
        group=texts("Family_ID"),
        age=texts("Age_in_Yrs"),
        image=fill_pattern(f"{{id}}/{IMAGES[phantom.space]}", ids, "cohort.phantom"),
    )
    return Roster(frame, "the phantom", None, restricted=is_restricted_field(target))


def add_measures(people: pd.DataFrame, target: str, files: dict) -> tuple[pd.DataFrame, str]:
    """Return phantom people with head size and family from the tables that the phantom wrote, and the size's column.

    Parameters
    ----------
    people : DataFrame
        Columns of a roster.
    target : str
        Column to predict; where the tables hold it too, it must agree with the design.
    files : dict
        Paths of HCP-like CSV files: ``unrestricted_csv``, ``restricted_csv``, ``freesurfer_csv``; None where there
        is none.

    Raises
    ------
    InputError
        Naming the people whom the tables lack or contradict: they were made with other settings.
    """
    sheets = read_files(files, "phantom")
    ids = people["participant_id"].tolist()
    problems = []
    for sheet in sheets.values():
        listed = sheet.ids(SUBJECT, sheet.setting)
        problems += [f"{person}: not in {sheet}" for person in sorted(set(ids) - set(listed))]
        if target in sheet.columns:
            there = dict(zip(listed, sheet.column(target, "cohort.target"), strict=True))
            for person, value in zip(ids, people["target"], strict=True):
                if person in there and not _agree(there[person], value):
                    problems.append(f"{person}: another {target} in {sheet}")
    if problems:
        refuse(
            f"cohort.phantom: the phantom's tables do not belong to its settings ({len(problems)} contradictions)",
            problems,
            "They were written with other settings or another seed: delete them and let the workflow write them anew.",
        )
    sizes, size_source = first_column(sheets, SIZE_COLUMNS)
    families, _ = first_column(sheets, ("Family_ID",))
    if sizes:
        people = people.assign(size=[sizes[person] for person in ids])
        people = people.assign(size=numbers(people, "size", f"head size {size_source!r} of the phantom"))
    if families:
        people = people.assign(group=[families[person] for person in ids])
    return people, size_source


def _agree(cell: str | None, value: object) -> bool:
    if not isinstance(value, float):
        return cell == value
    try:
        return math.isclose(float(cell), value, rel_tol=1e-6)
    except (TypeError, ValueError):
        return False
