"""Cross-validation folds: stratified by target, families kept together."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from voxplain.base.errors import InputError, refuse
from voxplain.base.names import check_ids
from voxplain.cohort.limits import strata

MOST_BINS = 10


def assign_folds(
    participants: pd.DataFrame, index_ids: Iterable[str], k: int, task: str, seed: int, grouped: bool = True
) -> pd.DataFrame:
    """Assign everyone who passed quality control to the fold in which they are tested.

    scikit-learn's ``StratifiedKFold``, or ``StratifiedGroupKFold`` when some of these people share a known group, with
    ``shuffle=True, random_state=seed``, over people sorted by id; people without a known group are their own.
    Regression targets are stratified by quantile bins (at most 10, with at least k people each).

    Parameters
    ----------
    participants : DataFrame
        Columns `participant_id`, `target`, `group`; may hold more people.
    index_ids : iterable of str
        People whose images are in the stack, in any order.
    k : int
        Number of folds.
    task : {'classification', 'regression'}
    seed : int
        The config's seed; scikit-learn gets it modulo 2³².
    grouped : bool
        Keep groups together.

    Returns
    -------
    DataFrame
        `participant_id`, `fold` (int from 0), `target`; sorted by id. Neither the order of the ids nor the salt of the
        groups' hashes changes it.

    Raises
    ------
    InputError
        For fewer than two folds; fewer people, members of a class or groups than folds; images of people whom the
        table does not have; groups so large that a training set would lack a class or a fold would be empty.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        raise InputError(f"folds: {k!r} was given; at least 2 folds are needed, for example 5")
    index_ids = [str(person) for person in index_ids]
    check_ids(index_ids, "index of the image stack")
    strangers = sorted(set(index_ids) - set(participants["participant_id"]))
    if strangers:
        refuse(
            f"folds: {len(strangers)} people of the image stack are not in the participants table",
            strangers,
            "The stack and the table come from different runs: make them anew.",
        )
    chosen = participants["participant_id"].isin(set(index_ids))
    people = participants[chosen].sort_values("participant_id", ignore_index=True)
    if len(people) < k:
        raise InputError(f"folds: {k} folds were asked for, but there are only {len(people)} people: ask for fewer")
    stratum = strata(people, task, bins=min(MOST_BINS, len(people) // k))
    if task == "classification":
        _check_members(stratum, k)
    families = family_codes(people) if grouped else np.arange(len(people))
    fold = split_people(stratum, families, k, seed)
    _check_folds(fold, stratum, families, k, task)
    return pd.DataFrame({"participant_id": people["participant_id"], "fold": fold, "target": people["target"]})


def family_codes(people: pd.DataFrame) -> np.ndarray:
    """Number groups by their first member's place; people without a known one get an own number each.

    scikit-learn's split depends on how groups sort: numbers make it independent of the salt in their hashes.

    Parameters
    ----------
    people : DataFrame
        `participant_id`, `group`; sorted by id, so that the numbers do not hang on the order of the rows.

    Returns
    -------
    ndarray of int [n]
    """
    known = people["group"].notna().to_numpy()
    names = np.where(known, "group " + people["group"].astype(str), "person " + people["participant_id"].astype(str))
    return pd.factorize(names)[0]


def split_people(stratum: np.ndarray, families: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Split people into k parts with shuffling, alike in their strata as far as families as wholes allow.

    Parameters
    ----------
    stratum : ndarray [n]
        Of `voxplain.cohort.limits.strata`; people sorted by id.
    families : ndarray of int [n]
        Of `family_codes`; scikit-learn's ``StratifiedKFold`` where all differ, otherwise ``StratifiedGroupKFold``.
    k : int
    seed : int
        scikit-learn gets it modulo 2³².

    Returns
    -------
    ndarray of int [n]
        The part of each person, from 0.

    Raises
    ------
    InputError
        For fewer families than parts.
    """
    state = seed % 2**32
    count = len(np.unique(families))
    if count < k:
        raise InputError(
            f"folds: {k} folds were asked for, but all {len(families)} people belong to {count} families (groups), "
            "which must not be torn apart: ask for fewer folds, or switch grouping off"
        )
    if count == len(families):
        splitter, groups = StratifiedKFold(k, shuffle=True, random_state=state), None
    else:
        splitter, groups = StratifiedGroupKFold(k, shuffle=True, random_state=state), families
    fold = np.full(len(stratum), -1)
    # The strata are passed as numbers: their order, not their spelling, is what scikit-learn may look at.
    codes = np.unique(stratum, return_inverse=True)[1]
    for number, (_, test) in enumerate(splitter.split(codes, codes, groups)):
        fold[test] = number
    return fold


def _check_members(stratum: np.ndarray, k: int) -> None:
    labels, counts = np.unique(stratum, return_counts=True)
    if len(labels) < 2:
        raise InputError(f"folds: everyone belongs to the class {labels[0]!r}; a classification needs two classes")
    few = [f"{label}: {count} people" for label, count in zip(labels, counts, strict=True) if count < k]
    if few:
        refuse(f"folds: {k} folds were asked for, but these classes have fewer people", few, "Ask for fewer folds.")


def _check_folds(fold: np.ndarray, stratum: np.ndarray, families: np.ndarray, k: int, task: str) -> None:
    """Refuse what large families can cause."""
    problems = [f"fold {number} is empty" for number in range(k) if not np.any(fold == number)]
    if task == "classification":
        problems += [
            f"without fold {number} nobody of class {label} is left to train with"
            for number in range(k)
            for label in np.unique(stratum)
            if not np.any((fold != number) & (stratum == label))
        ]
    if problems:
        refuse(
            f"folds: the families (groups) are too large for {k} folds: the largest has "
            f"{np.bincount(families).max()} of {len(fold)} people",
            problems,
            "Ask for another number of folds, check the group column, or switch grouping off.",
        )
