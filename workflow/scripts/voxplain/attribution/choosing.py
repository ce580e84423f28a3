"""Which people are explained, by which job, and what of them; needs no torch."""

from collections.abc import Sequence

import pandas as pd

from voxplain.base.errors import InputError
from voxplain.base.seeds import seed_for

BINS = 4
# Numbers that take more values than this are measurements, not names of classes.
MOST_CLASSES = 10


def default_target(labels: Sequence[str]) -> str:
    """Return ``contrast`` for two classes (signs then mean the same in all people), otherwise ``predicted``."""
    return "contrast" if len(labels) == 2 else "predicted"


def choose_people(folds: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """Take a subset of the people for a costly method, stratified by target and, within a target, by fold.

    Subsets are nested: a larger `n` keeps everybody whom a smaller one takes. The order of the rows plays no part.
    Every class has two people in the subset as long as `n` allows.

    Parameters
    ----------
    folds : DataFrame
        ``participant_id``, ``fold``, ``target`` (class labels; of numbers, as in regression, the quarters count).
    n : int or None
        How many people; None, or more than there are, takes all.
    seed : int

    Returns
    -------
    DataFrame
        The rows taken, sorted by ``participant_id``.

    Raises
    ------
    InputError
        For n below 1.
    """
    if n is not None and n < 1:
        raise InputError(f"people: {n} must be at least 1 (or null for all)")
    if n is None or n >= len(folds):
        return folds.sort_values("participant_id").reset_index(drop=True)
    table = folds.copy()
    table["_draw"] = [seed_for(seed, "people", i) for i in table["participant_id"]]
    table["_class"] = table["target"]
    numbers = pd.to_numeric(table["target"], errors="coerce")
    if numbers.notna().all() and numbers.nunique() > MOST_CLASSES:
        table["_class"] = pd.qcut(numbers.rank(method="first"), BINS, labels=False)
    # Spread evenly over the folds of a class first, then over the classes; draws decide within and between equals.
    table = _spread(table, ["_class", "fold"], "_within_fold", ["_draw"])
    table = _spread(table, ["_class"], "_within_class", ["_within_fold", "_draw"])
    # Two of every class come before all others: a class without maps would have no population map.
    first = table.groupby("_class").cumcount() < 2
    table.loc[first, "_within_class"] = table[first].groupby("_class").cumcount() - 2.0
    table = table.sort_values(["_within_class", "_draw"]).head(n)
    return table[list(folds.columns)].sort_values("participant_id").reset_index(drop=True)


def _spread(table: pd.DataFrame, by: list[str], name: str, order: list[str]) -> pd.DataFrame:
    """Number the people of each group 0.5/m, 1.5/m ... so that the lowest k of all groups are a proportional draw."""
    table = table.sort_values(order)
    groups = table.groupby(by)
    table[name] = (groups.cumcount() + 0.5) / groups["_draw"].transform("size")
    return table


def people_of_part(folds: pd.DataFrame, fold: int, part: int, parts: int) -> pd.DataFrame:
    """Return the people of one job: those of a fold, sorted by id, every `parts`-th from `part` on; may be none.

    Parameters
    ----------
    folds : DataFrame
        As in `choose_people`, possibly its result.
    fold, part, parts : int
        ``0 <= part < parts``
    """
    people = folds[folds["fold"] == fold].sort_values("participant_id")
    return people.iloc[part::parts].reset_index(drop=True)
