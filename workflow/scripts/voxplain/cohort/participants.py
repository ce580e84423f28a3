"""The participants table, where every source of people ends: validated, families hashed, for the private folder."""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.files import read_table, write_text
from voxplain.base.names import check_ids
from voxplain.cohort.people import choose, locate, read_roster
from voxplain.cohort.phantom_people import add_measures
from voxplain.cohort.targets import labels_of

HASH = re.compile(r"[0-9a-f]{16}")
# Neither head size nor age: networks and folds come from this table, and neither of them may hang on those.
PARTICIPANT_COLUMNS = ("participant_id", "target", "group", "image", "mask")


def tabulate(
    cohort: dict,
    seed: int,
    salt: str,
    *,
    unrestricted_csv: str | os.PathLike | None = None,
    restricted_csv: str | os.PathLike | None = None,
    freesurfer_csv: str | os.PathLike | None = None,
) -> tuple[pd.DataFrame, dict]:
    """Make the participants table of a cohort, and a report on how it came about.

    Parameters
    ----------
    cohort : dict
        ``cohort`` of the config, with its defaults filled in.
    seed : int
        The config's seed: chooses people under ``cohort.limit``, and makes the phantom.
    salt : str
        Secret that family names are hashed with; see `private_salt`.
    unrestricted_csv, restricted_csv, freesurfer_csv : path-like, optional
        For the phantom, the tables that it wrote; for the HCP, in place of the config's. Other sources take none.

    Returns
    -------
    participants : DataFrame
        `PARTICIPANT_COLUMNS`: `participant_id`, `target` (str, or float for regression), `group` (16 hex digits),
        `image`, `mask` (paths relative to the data root); sorted by id; missing cells are NaN. The target may be a
        restricted field: it belongs into the private folder.
    report : dict
        For a public table and a log, free of restricted fields: ``rows`` (people whom the tables list), ``dropped``
        (ids without a target), ``found`` (images exist), ``missing`` (id → why), ``used`` (people of the table),
        ``classes`` (label → people; None for regression and restricted targets), ``grouped`` (families known),
        ``groups`` (families), ``restricted_target``.

    Raises
    ------
    InputError
        As `voxplain.cohort.people.read_roster` and `locate`; also for phantom tables of other settings.
    """
    files = {"unrestricted_csv": unrestricted_csv, "restricted_csv": restricted_csv, "freesurfer_csv": freesurfer_csv}
    given = {key: path for key, path in files.items() if path is not None}
    if given and cohort["source"] not in ("hcp", "phantom"):
        raise TypeError(f"the source {cohort['source']} takes no {', '.join(given)}")
    if given and cohort["source"] == "hcp":
        cohort = {**cohort, "hcp": {**cohort["hcp"], **given}}
    roster = read_roster(cohort, seed)
    found, missing = locate(roster, cohort)
    people = choose(found, cohort, seed)
    if given and cohort["source"] == "phantom":
        people, _ = add_measures(people, cohort["target"], given)
    participants = people[list(PARTICIPANT_COLUMNS)].assign(group=hash_groups(people["group"], salt)).fillna(np.nan)
    check_participants(participants, cohort)
    counts = participants["target"].value_counts()
    known = participants["group"].dropna()
    report = {
        "rows": len(roster.people) + len(roster.dropped) + len(roster.absent),
        "dropped": roster.dropped,
        "found": len(found),
        "missing": dict(zip(missing["participant_id"], missing["reason"], strict=True)),
        "used": len(participants),
        "classes": None,
        "grouped": len(known) > 0,
        "groups": int(known.nunique()),
        "restricted_target": roster.restricted,
    }
    if cohort["task"] == "classification" and not roster.restricted:
        report["classes"] = {label: int(counts[label]) for label in labels_of(cohort)}
    return participants, report


def summarise_report(report: dict) -> pd.DataFrame:
    """Return the report of `tabulate` as a public table of ``key`` and ``value``, with numbers in the place of ids."""
    rows = {key: len(value) if key in ("dropped", "missing") else value for key, value in report.items()}
    rows |= {f"class_{label}": count for label, count in (rows.pop("classes") or {}).items()}
    return pd.DataFrame([(key, str(value)) for key, value in rows.items()], columns=["key", "value"])


def hash_groups(groups: pd.Series, salt: str) -> pd.Series:
    """Return HMAC-SHA256 of family names, first 16 hex digits; missing ones stay missing.

    Without the salt the hash of a family number could be looked up by trying all numbers, which is why it is secret.
    """
    if not salt:
        raise ValueError("an empty salt would make the hashes of families guessable")
    hashed = [
        np.nan if pd.isna(group) else hmac.new(salt.encode(), str(group).encode(), hashlib.sha256).hexdigest()[:16]
        for group in groups
    ]
    return pd.Series(hashed, index=groups.index, dtype="object")


def private_salt(path: str | os.PathLike) -> str:
    """Return the salt kept in a file; make it, readable by its owner only, when it does not exist.

    Parameters
    ----------
    path : path-like
        Within the private folder.
    """
    path = Path(path)
    if not path.exists():
        write_text(secrets.token_hex(16) + "\n", path)
        path.chmod(0o600)
    return path.read_text(encoding="utf-8").strip()


def check_participants(participants: pd.DataFrame, cohort: dict) -> None:
    """Refuse a participants table that breaks its contract; see `tabulate` for the columns.

    Raises
    ------
    InputError
        Naming the people and the columns. Restricted values are not repeated.
    """
    if list(participants.columns) != list(PARTICIPANT_COLUMNS):
        refuse(
            "participants table: other columns than expected",
            [f"expected: {', '.join(PARTICIPANT_COLUMNS)}", f"found: {', '.join(map(str, participants.columns))}"],
        )
    if participants.empty:
        refuse("participants table: it has no rows")
    check_ids(participants["participant_id"].astype(str), "participants table")
    if cohort["task"] == "regression":
        targets = pd.to_numeric(participants["target"], errors="coerce").astype(float)
        good_target = np.isfinite(targets.to_numpy())
        expected_target = "a finite number"
    else:
        good_target = participants["target"].isin(labels_of(cohort)).to_numpy()
        expected_target = f"one of {labels_of(cohort)}"
    groups = participants["group"]
    checks = {
        f"target is not {expected_target}": good_target,
        "group is not a hash": groups.isna() | groups.map(lambda text: bool(HASH.fullmatch(str(text)))),
        "image is not a path below the root": participants["image"].map(_is_below),
        "mask is not a path below the root": participants["mask"].isna() | participants["mask"].map(_is_below),
    }
    problems = [
        f"{person}: {problem}"
        for problem, good in checks.items()
        for person in participants["participant_id"][~np.asarray(good, dtype=bool)]
    ]
    if problems:
        refuse(
            f"participants table: {len(problems)} cells are wrong",
            problems,
            "The table is made from the config's cohort: change it there, not by hand.",
        )


def read_private(path: str | os.PathLike, task: str) -> pd.DataFrame:
    """Read a table with a target column (participants, folds): text for classification, float for regression."""
    types: dict = dict.fromkeys(PARTICIPANT_COLUMNS, "object")
    if task == "regression":
        types["target"] = float
    return read_table(path, dtype=types)


def _is_below(path: object) -> bool:
    return isinstance(path, str) and path != "" and not os.path.isabs(path) and ".." not in Path(path).parts
