"""A population map as a weighted sum over people: what each person's map counts."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.imaging.grid import COMMON
from voxplain.population.groups import members_of
from voxplain.population.maps import JOINT
from voxplain.population.summary import prepared, smooth


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
    weights = np.zeros(len(people))
    for group, factor in joining_factors(how, groups).items():
        inside = people["participant_id"].isin(members_of(group, people)).to_numpy()
        weights += factor * inside / inside.sum()
    return weights


def joining_factors(how: str, groups: Sequence[str]) -> dict[str, float]:
    """Return the factors under which the sum of the means of groups is the joint map; see `person_weights`.

    Returns
    -------
    dict of str to float
        By group; ``everybody`` is the mean of the group ``joint``.

    Raises
    ------
    InputError
        For an unknown way to join, or a difference of other than two groups.
    """
    if how not in ("mean", "sum", "difference", "welch", "everybody"):
        refuse(f"Unknown way {how!r} to join maps; expected mean, sum, difference, welch or everybody.")
    if how == "everybody":
        return {JOINT: 1.0}
    if how in ("difference", "welch") and len(groups) != 2:
        refuse(f"The difference is one of two groups, got {len(groups)}.")
    factors = {"mean": [1 / len(groups)] * len(groups), "sum": [1.0] * len(groups)}.get(how, [-1.0, 1.0])
    return dict(zip(groups, factors, strict=True))


def joint_map(
    maps: Iterable[tuple[str, np.ndarray]],
    people: pd.DataFrame,
    how: str,
    groups: Sequence[str],
    statistic: str,
    normalise: str,
    smoothing_fwhm_mm: float,
    brain: np.ndarray,
    affine: np.ndarray = COMMON.affine,
) -> np.ndarray:
    """Return the joint map of some people in one go, one map in memory at a time.

    Parameters
    ----------
    maps : iterable of (str, ndarray [D, H, W])
        Ids and maps, as `voxplain.population.maps.walk_maps` gives them.
    people : DataFrame
        ``participant_id`` and ``target`` of exactly these people.
    how, groups
        See `person_weights`.
    statistic, normalise : str
        See `voxplain.population.summary.summarise`; of ``t`` the difference or mean that is tested.
    smoothing_fwhm_mm, brain, affine
        See `voxplain.population.summary.smooth`.

    Returns
    -------
    float32 ndarray [D, H, W]

    Raises
    ------
    InputError
        As `person_weights`, and when maps and people are not of the same persons.
    """
    weights = dict(zip(people["participant_id"], person_weights(people, how, groups), strict=True))
    # Of the mask's order in memory, which is that of files.
    total, unseen = np.zeros_like(brain, dtype=np.float64), set(weights)
    for person, volume in maps:
        if person not in unseen:
            refuse(f"There is a map of {person}, who is not among the people to be joined, or came before.")
        unseen.remove(person)
        total += weights[person] * prepared(volume, statistic, normalise)
    if unseen:
        refuse(f"{len(unseen)} of {len(weights)} people have no map to join", sorted(unseen))
    return smooth(total, smoothing_fwhm_mm, affine, brain)
