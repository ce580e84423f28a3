"""A population map as a weighted sum over people: what each person's map counts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.population.groups import members_of


def person_weights(people: pd.DataFrame, how: str, groups: Sequence[str]) -> np.ndarray:
    """Return the weights under which the sum of people's maps is the joint map of a population.

    With every statistic but ``t``, `voxplain.population.summary.joint` of the means of groups is such a sum; smoothing
    it before or after makes no difference. Of ``t`` the sum is the difference or mean that is tested.

    Parameters
    ----------
    people : DataFrame
        ``participant_id`` and ``target`` (class labels, or float).
    how : {'mean', 'sum', 'difference', 'welch', 'everybody'}
        See `voxplain.configuration.joining`; ``welch`` counts as ``difference``.
    groups : sequence of str
        The groups that are joined; for a difference the second minus the first. None for ``everybody``.

    Returns
    -------
    float64 ndarray [n]
        In the order of `people`; 0 for who is in none of the groups.

    Raises
    ------
    InputError
        For an unknown way to join, a difference of other than two groups, or a group without people.
    """
    if how not in ("mean", "sum", "difference", "welch", "everybody"):
        refuse(f"Unknown way {how!r} to join maps; expected mean, sum, difference, welch or everybody.")
    if how == "everybody":
        return np.full(len(people), 1 / len(people))
    if how in ("difference", "welch") and len(groups) != 2:
        refuse(f"The difference is one of two groups, got {len(groups)}.")
    signs = {"mean": [1 / len(groups)] * len(groups), "sum": [1.0] * len(groups)}.get(how, [-1.0, 1.0])
    weights = np.zeros(len(people))
    for group, sign in zip(groups, signs, strict=True):
        inside = people["participant_id"].isin(members_of(group, people)).to_numpy()
        weights += sign * inside / inside.sum()
    return weights
