"""Who is in the cohort, from the config and the tables alone, and whose images exist.

Everything here is cheap, because the workflow asks while it is planned: nothing opens an image.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.cohort.bids import bids_root, read_bids
from voxplain.cohort.buckets import Bucket, ask, existing, image_folder
from voxplain.cohort.hcp import hcp_target_is_restricted, read_hcp
from voxplain.cohort.limits import limit_people
from voxplain.cohort.phantom_people import read_phantom
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.roster import Roster
from voxplain.cohort.size_table import with_size_table
from voxplain.cohort.table import read_people_table, table_root
from voxplain.cohort.targets import check_targets, check_variety

DEFAULT_MIN_FOUND = 0.8
# The settings of a source that decide which images are looked for, beside its root.
WHERE_IMAGES_ARE = {
    "hcp": ("image",),
    "table": ("image_column or image_pattern", "mask_column or mask_pattern"),
    "bids": ("space", "session", "entities", "suffix"),
}


def read_roster(cohort: dict, seed: int) -> Roster:
    """Return everyone whom the tables list, with checked targets, sorted by id, before `limit` and before looking
    for images.

    Parameters
    ----------
    cohort : dict
        ``cohort`` of the config, with its defaults filled in.
    seed : int
        The config's seed; only the phantom's people depend on it.

    Raises
    ------
    InputError
        See `voxplain.cohort.sheets`, `voxplain.cohort.roster`, `voxplain.cohort.size_table` and
        `voxplain.cohort.targets`.
    """
    source, target = cohort["source"], cohort["target"]
    if source == "hcp":
        roster = read_hcp(cohort["hcp"], target)
    elif source == "table":
        roster = read_people_table(cohort["table"], target)
    elif source == "bids":
        roster = read_bids(cohort["bids"], target)
    elif source == "phantom":
        roster = read_phantom(cohort.get("phantom") or {}, target, seed)
    else:
        raise InputError(f"cohort.source: {source!r} is not one of hcp, bids, table, phantom")
    roster = replace(
        roster,
        people=roster.people.sort_values("participant_id", ignore_index=True),
        restricted=roster.restricted or bool(cohort.get("restricted_target")),
    )
    return check_targets(with_size_table(roster, cohort), cohort)


def parse_people(cohort: dict, seed: int, roster: Roster | None = None) -> pd.DataFrame:
    """Return the people of the cohort's tables; no image is looked for.

    Parameters
    ----------
    cohort : dict
        ``cohort`` of the config, with its defaults filled in.
    seed : int
    roster : Roster, optional
        What `read_roster` gave for them, instead of reading the tables again.

    Returns
    -------
    DataFrame
        `participant_id`, `target` (str, or float for regression), `group`, `size` (mm³), `age`, `image`, `mask`
        (paths relative to `data_root`), sorted by id, without people who have no target. `group` and `age` may be
        restricted fields in the clear: keep this frame in memory, and write what
        `voxplain.cohort.participants.tabulate` gives.

    Raises
    ------
    InputError
        See `read_roster`.
    """
    return (roster or read_roster(cohort, seed)).people


def count_people(cohort: dict, roster: Roster | None = None) -> int:
    """Return the largest number of people that the cohort can have: its rows with a target, or the limit if lower.

    Parameters as of `parse_people`; how many people there are does not depend on the seed.
    """
    rows = len(parse_people(cohort, 0, roster))
    return rows if cohort.get("limit") is None else min(int(cohort["limit"]), rows)


def found_people(cohort: dict, seed: int, roster: Roster | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the people whose images exist, cut to ``cohort.limit``, and those whose images do not.

    Looks up one or two paths a person: keep the answer instead of asking again.

    Parameters
    ----------
    cohort, seed, roster
        As of `parse_people`.

    Returns
    -------
    found : DataFrame
        As of `parse_people`.
    missing : DataFrame
        `participant_id`, `reason`.

    Raises
    ------
    InputError
        As `read_roster` and `locate`.
    """
    found, missing = locate(roster or read_roster(cohort, seed), cohort)
    return choose(found, cohort, seed), missing


def ask_bucket(roster: Roster, connect: Callable | None = None) -> None:
    """Ask the bucket that holds the images of a roster which of them are there, for `found_people` to know.

    Parameters
    ----------
    roster : Roster
        Whose root is a bucket.
    connect : callable, optional
        See `voxplain.cohort.buckets.ask`.

    Raises
    ------
    InputError
        As `voxplain.cohort.buckets.ask`.
    """
    ask(roster.root, _paths(roster.people), connect)


def locate(roster: Roster, cohort: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the roster into people whose image (and mask, where one is named) exists, and the others.

    Images that the workflow makes itself (the phantom's) count as found. Where the source looks for images by
    itself, the people found have their paths.

    Raises
    ------
    InputError
        When the data root does not exist, or fewer than ``cohort.min_found`` of the people are found: with the paths
        that were tried. Also as the roster's ``find`` and `voxplain.cohort.buckets.existing`.
    """
    root, people, source = roster.root, roster.people, cohort["source"]
    if isinstance(root, Path) and not root.is_dir():
        refuse(f"cohort.{source}.root: {root} is not a folder", advice=f"Looked from {Path.cwd()}.")
    reasons = dict.fromkeys(roster.absent, "listed, but not in the table")
    if roster.find is not None:
        ids = people["participant_id"].tolist()
        places = roster.find(ids)
        images, masks = ([found.get(person) for person in ids] for found in (places.images, places.masks))
        people = people.assign(image=pd.Series(images, dtype="object"), mask=pd.Series(masks, dtype="object"))
        reasons |= places.reasons
    if root is not None:
        absence = _absence_of(root, people)
        for person, image, mask in zip(people["participant_id"], people["image"], people["mask"], strict=True):
            reason = absence("image", image) or absence("mask", mask)
            if reason:
                reasons[person] = reason
    missing = pd.DataFrame(sorted(reasons.items()), columns=["participant_id", "reason"], dtype="object")
    found = people[~people["participant_id"].isin(set(reasons))].reset_index(drop=True)
    listed = len(people) + len(roster.absent)
    least = cohort.get("min_found", DEFAULT_MIN_FOUND)
    settings = ", ".join(("root", *WHERE_IMAGES_ARE.get(source, ())))
    fewer = "list the people that you have in cohort.hcp.ids" if source == "hcp" else "delete rows"
    if found.empty or len(found) < least * listed - 1e-9:
        refuse(
            f"Images were found for {len(found)} of {listed} people of {roster.source}; cohort.min_found: {least} asks "
            f"for {'at least one' if found.empty else f'{least:.0%}'}. Looked below {root}:",
            (f"{person}: {reason}" for person, reason in reasons.items()),
            f"Correct what cohort.{source} says of the images ({settings}), {fewer}, or lower cohort.min_found.",
        )
    return found, missing


def choose(found: pd.DataFrame, cohort: dict, seed: int) -> pd.DataFrame:
    """Cut found people to ``cohort.limit``, stratified by target; refuse a class that nobody is left of."""
    chosen = limit_people(found, cohort.get("limit"), cohort["task"], seed)
    check_variety(chosen, cohort, "the cohort whose images were found")
    return chosen


def image_root(cohort: dict) -> Path | Bucket | None:
    """Return the folder that image paths are relative to, on disk or in a bucket; None for the phantom, whose folder
    the workflow chooses."""
    if cohort["source"] == "hcp":
        return image_folder(cohort["hcp"]["root"], "cohort.hcp.root")
    if cohort["source"] == "bids":
        return bids_root(cohort["bids"])
    return table_root(cohort["table"]) if cohort["source"] == "table" else None


def data_root(cohort: dict) -> Path | None:
    """Return the folder on disk that image paths are relative to; None for the phantom and for images in a bucket."""
    root = image_root(cohort)
    return root if isinstance(root, Path) else None


def target_is_restricted(cohort: dict) -> bool:
    """Tell whether the target must stay out of published tables; reads the headers of tables at most.

    True when the config says so (``restricted_target``), for fields of HCP's restricted CSV, and for columns of their
    names in any table.
    """
    if cohort.get("restricted_target"):
        return True
    if cohort["source"] == "hcp":
        return hcp_target_is_restricted(cohort["hcp"], cohort["target"])
    return is_restricted_field(cohort["target"])


def _paths(people: pd.DataFrame) -> list[str]:
    return [*people["image"], *people["mask"].dropna()]


def _absence_of(root: Path | Bucket, people: pd.DataFrame) -> Callable[[str, str | None], str]:
    """Return a function that says why the image or the mask at a path is not there; nothing when it is."""
    if isinstance(root, Path):
        return lambda what, path: _absence(root, what, path)
    there = existing(root, _paths(people))
    return lambda what, path: "" if pd.isna(path) or path in there else f"no {what} {path}"


def _absence(root: Path, what: str, path: str | None) -> str:
    if pd.isna(path):
        return ""
    full = root / path
    try:
        if full.is_file():
            return ""
    except OSError as error:  # such as a name that is too long
        return f"the {what} {path} cannot be looked for ({error.strerror})"
    if full.is_dir():
        return f"the {what} {path} is a folder"
    if os.path.islink(full):
        return f"the {what} {path} is a link whose file is not there (git-annex or DataLad: get it first)"
    return f"no {what} {path}"
