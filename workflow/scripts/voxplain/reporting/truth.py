"""Do the maps find the truth? Which method finds most of it, and may that method be believed?"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.population.maps import JOINT
from voxplain.reporting.reading import flags
from voxplain.reporting.verdicts import number


@dataclass(frozen=True)
class Found:
    """How many planted regions one method ranks among its top regions; no best rank when its map is 0."""

    method: str
    found: int
    planted: int
    best_rank: int | None
    regions: int


@dataclass(frozen=True)
class Answer:
    """What the page says at its top about maps and truth.

    Attributes
    ----------
    method : str
        That finds most of the truth, of those that pass the randomisation test or were not tested by it; of all, where
        every method fails.
    sound : bool
        Whether it is one of the former.
    auc : str
        Of its map of all people, beside that of a misplaced truth; empty where it is not known.
    regions : Found, optional
        Where it is known which regions were planted.
    better : tuple of str
        Methods that find more, but fail the randomisation test.
    """

    method: str
    sound: bool
    auc: str
    regions: Found | None
    better: tuple[str, ...]


def find_planted(planted: pd.DataFrame, methods: Sequence[str], group: str = JOINT) -> list[Found]:
    """Count, per method, the planted regions among its top ones; the methods that find most come first."""
    rows = planted[planted["group"] == group]
    results = []
    for method in methods:
        own = rows[rows["method"] == method]
        if not own.empty:
            hits = flags(own["in_top"]).sum()
            best = None if own["rank"].isna().all() else int(own["rank"].min())
            results.append(Found(method, int(hits), len(own), best, int(own["regions"].iloc[0])))
    return sorted(results, key=lambda found: (-found.found, found.best_rank or math.inf))


def best_localiser(
    frames: Mapping[str, pd.DataFrame], methods: Sequence[str], unsound: Collection[str]
) -> Answer | None:
    """Return the method that finds most of the truth among those that may be believed.

    A map that stays the same when the network is random can only find a truth that the images show by themselves:
    such a method is not recommended, however well it does.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``planted_regions`` and ``localization``, where they are: methods are put in order by the planted regions among
        their top ones, then by the rank of the best one, then by AUC.
    methods : sequence of str
    unsound : collection of str
        Methods that fail the randomisation test.

    Returns
    -------
    Answer or None
        None where no method was held against a truth.
    """
    regions = {found.method: found for found in find_planted(frames["planted_regions"], methods)} if (
        "planted_regions" in frames
    ) else {}  # fmt: skip
    scores = {method: row for method in methods if (row := population_score(frames, method)) is not None}
    scores = {method: row for method, row in scores.items() if pd.notna(row["auc"])}
    tested = [method for method in methods if method in regions or method in scores]
    if not tested:
        return None

    def place(method: str) -> tuple[float, float, float]:
        found, row = regions.get(method), scores.get(method)
        hits = (-found.found, found.best_rank or math.inf) if found else (0, math.inf)
        return (*hits, -float(row["auc"]) if row is not None else math.inf)

    ranked = sorted(tested, key=place)
    sound = [method for method in ranked if method not in unsound]
    best = (sound or ranked)[0]
    better = tuple(method for method in ranked if method in unsound and place(method) < place(best))
    auc = found_in_words(scores[best]) if best in scores else ""
    return Answer(best, bool(sound), auc, regions.get(best), better)


def population_score(frames: Mapping[str, pd.DataFrame], method: str) -> pd.Series | None:
    """Return the row of ``localization`` about a method's map of all people; None without one."""
    if "localization" not in frames:
        return None
    table = frames["localization"]
    rows = table[(table["group"] == JOINT) & (table["level"] == "population") & (table["method"] == method)]
    return rows.iloc[0] if len(rows) else None


def found_in_words(row: pd.Series | None) -> str:
    """Return the AUC of a population map against the truth beside that of a misplaced truth; empty without a truth."""
    if row is None or pd.isna(row["auc"]):
        return ""
    if pd.isna(row["auc_chance_95"]):
        return number(row["auc"])
    return f"{number(row['auc'])} (misplaced truth: up to {number(row['auc_chance_95'])})"
