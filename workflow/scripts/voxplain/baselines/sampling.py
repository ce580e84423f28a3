"""Whom a model learns from, or is measured on, where its costs grow faster than the number of people."""

import numpy as np
import pandas as pd

from voxplain.base.seeds import seed_for
from voxplain.cohort.limits import limit_people


def sampled(targets: pd.Series, most: int | None, task: str, seed: int) -> np.ndarray:
    """Tell who is in a random sample that keeps the shares of the classes, or of the fifths of a number.

    It follows from the seed and the ids: neither the order of the people nor another one's absence shuffles it; see
    `voxplain.cohort.limits.limit_people`.

    Parameters
    ----------
    targets : Series
        By participant id: labels, or numbers for a regression.
    most : int or None
        People at most; None for everybody.
    task : {'classification', 'regression'}
    seed : int

    Returns
    -------
    ndarray of bool [n]
        In the order of `targets`.
    """
    if most is None or most >= len(targets):
        return np.ones(len(targets), dtype=bool)
    table = pd.DataFrame({"participant_id": targets.index, "target": targets.to_numpy()})
    chosen = limit_people(table, most, task, seed_for(seed, "sample of people"))
    return targets.index.isin(chosen["participant_id"])
