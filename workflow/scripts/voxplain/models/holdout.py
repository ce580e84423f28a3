"""The inner validation split: which of the training people choose the epoch instead of being trained on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError
from voxplain.base.seeds import seed_for
from voxplain.models.answers import Answers

LARGEST_BIN_COUNT = 5
PEOPLE_PER_BIN = 4


def hold_out(
    answers: Answers, fraction: float, seed: int, groups: Sequence[object] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split people into those to train on and those to validate on, stratified, families kept together.

    Parameters
    ----------
    answers : Answers
        Regression is stratified by quantiles.
    fraction : float
        Share to validate on, in (0, 0.5]; rounded to one part of a whole number of parts, and larger when a class has
        fewer people than parts.
    seed : int
    groups : sequence [n], optional
        People of equal group stay on the same side.

    Returns
    -------
    train, validation : ndarray of int
        Sorted places.

    Raises
    ------
    InputError
        When there are too few people, or families, of some class for both sides.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    people = np.arange(len(answers.values))
    # Numbered by first appearance: scikit-learn's split depends on how groups sort, and their names are salted hashes.
    groups = people if groups is None else pd.factorize(np.asarray(groups, dtype=object))[0]
    strata = answers.values if answers.classification else _quantiles(answers.values)
    families = [len(np.unique(groups[strata == stratum])) for stratum in np.unique(strata)]
    parts = min(round(1 / fraction), *families, len(people))
    if parts < 2:
        raise InputError(
            f"{len(people)} training people are too few for an inner validation split: every class needs two people "
            "(of two families) on the training side. Use more people or fewer folds, or set training.checkpoint: last."
        )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed_for(seed, "validation") % 2**32)
    train, validation = next(splitter.split(people, strata, groups))
    if not len(validation) or len(np.unique(strata[train])) < len(families):
        raise InputError(
            "No inner validation split keeps families together and leaves every class in training: too few families. "
            "Use more people, or set training.checkpoint: last."
        )
    return np.sort(train), np.sort(validation)


def families_of(participants: pd.DataFrame, ids: pd.Series) -> pd.Series:
    """Return the family of each person; people without a known one are their own, as in the folds.

    Parameters
    ----------
    participants : DataFrame
        ``participant_id`` and ``group``.
    ids : Series

    Returns
    -------
    Series
        With the index of `ids`.
    """
    known = participants.set_index("participant_id")["group"].reindex(ids)
    alone = pd.Series("person " + known.index, index=known.index)
    return pd.Series(known.fillna(alone).to_numpy(), index=ids.index)


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return the quantile bin of each value, by rank, so that no bin is empty whatever the ties."""
    bins = int(np.clip(len(values) // PEOPLE_PER_BIN, 1, LARGEST_BIN_COUNT))
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ranks * bins // len(values)
