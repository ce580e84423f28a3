"""A part of a cohort that resembles the whole: strata, and a stratified choice of people for a trial run."""

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError
from voxplain.base.seeds import seed_for

LIMIT_BINS = 5


def strata(people: pd.DataFrame, task: str, bins: int) -> np.ndarray:
    """Return the stratum of each person: the class, or for regression the quantile bin of the target.

    Bins are cut by rank, equal targets being ordered by id, so that no bin is empty however often a value repeats.

    Parameters
    ----------
    people : DataFrame
        Columns `participant_id` and `target`.
    task : {'classification', 'regression'}
    bins : int
        For regression; at most one bin a person.

    Returns
    -------
    ndarray [n]
        Labels (str), or bins from 0 (int).
    """
    if task == "classification":
        return people["target"].astype(str).to_numpy(dtype=object)
    order = np.lexsort((people["participant_id"].to_numpy(dtype=str), people["target"].to_numpy(dtype=float)))
    rank = np.empty(len(people), dtype=int)
    rank[order] = np.arange(len(people))
    return rank * min(bins, len(people)) // max(len(people), 1)


def limit_people(people: pd.DataFrame, limit: int | None, task: str, seed: int) -> pd.DataFrame:
    """Return at most `limit` people with the strata in the proportions of the whole, sorted by id.

    Everyone has an own random number, from the seed and the id, and the lowest of each stratum are taken: neither the
    order of the table nor another person's absence shuffles the choice. Every class keeps at least one person as long
    as the limit allows.

    Parameters
    ----------
    people : DataFrame
        Columns `participant_id`, `target` and any others.
    limit : int or None
        None takes everyone.
    task : {'classification', 'regression'}
    seed : int

    Raises
    ------
    InputError
        For a limit below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"cohort.limit: {limit} was given; it must be at least 1, or null for everyone")
    people = people.sort_values("participant_id", ignore_index=True)
    if limit is None or limit >= len(people):
        return people
    stratum = strata(people, task, LIMIT_BINS)
    names, counts = np.unique(stratum, return_counts=True)
    lottery = np.array([seed_for(seed, "limit", person) for person in people["participant_id"]])
    taken = []
    for name, quota in zip(names, _quotas(counts, limit), strict=True):
        members = np.flatnonzero(stratum == name)
        taken.extend(members[np.argsort(lottery[members])][:quota])
    return people.iloc[sorted(taken)].reset_index(drop=True)


def _quotas(counts: np.ndarray, limit: int) -> np.ndarray:
    """Share `limit` places among strata: largest remainders, at least one each where the limit allows."""
    exact = limit * counts / counts.sum()
    quota = np.maximum(np.floor(exact).astype(int), min(1, limit // len(counts)))
    while quota.sum() > limit:  # small strata were rounded up: the most favoured of the others give a place back
        quota[np.argmax(np.where(quota > 1, quota - exact, -np.inf))] -= 1
    neediest = np.argsort(quota - exact, kind="stable")
    quota[neediest[: limit - quota.sum()]] += 1
    return quota
