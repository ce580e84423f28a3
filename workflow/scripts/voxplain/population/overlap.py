"""How much the maps and masks of two methods have in common, each figure under its right name."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse

COLUMNS = ["group", "method_a", "method_b", "dice", "dice_chance", "agreement", "spearman", "voxels_a", "voxels_b"]


def dice(a: np.ndarray, b: np.ndarray, within: np.ndarray | None = None) -> float:
    """Return Dice's coefficient 2·|A∩B| / (|A| + |B|) of two masks (Dice 1945).

    Parameters
    ----------
    a, b : ndarray of bool
    within : ndarray of bool, optional
        Only these voxels count.

    Returns
    -------
    float
        NaN when both masks are empty.
    """
    a, b = _masks(a, b, within)
    size = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / size if size else float("nan")


def dice_chance(a: np.ndarray, b: np.ndarray, within: np.ndarray | None = None) -> float:
    """Return the expected Dice of two random masks with as many voxels: 2ab / (N(a + b)).

    A random mask of b out of N voxels holds on average ab/N of the a voxels of another (hypergeometric mean).

    Returns
    -------
    float
        NaN when both masks are empty.
    """
    a, b = _masks(a, b, within)
    size_a, size_b = int(a.sum()), int(b.sum())
    return 2 * size_a * size_b / (a.size * (size_a + size_b)) if size_a + size_b else float("nan")


def agreement(a: np.ndarray, b: np.ndarray, within: np.ndarray | None = None) -> float:
    """Return the share of voxels at which two masks say the same, background included.

    Over the whole grid this is what the code of Kan et al. (2020) printed as Dice; small masks agree nearly
    everywhere even when they are disjoint.

    Returns
    -------
    float
    """
    a, b = _masks(a, b, within)
    return float((a == b).mean())


def spearman(a: np.ndarray, b: np.ndarray, within: np.ndarray | None = None) -> float:
    """Return Spearman's rank correlation of two maps (ties get their mean rank).

    Returns
    -------
    float
        NaN when a map is constant.
    """
    from scipy.stats import rankdata

    a, b = (rankdata(values) for values in _pair(a, b, within))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def compare(
    maps: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], brain: np.ndarray, group: str
) -> pd.DataFrame:
    """Compare every pair of methods in one group.

    Parameters
    ----------
    maps, masks : mapping of str to ndarray [D, H, W]
        Population map and mask of each method; the same methods in both.
    brain : ndarray of bool [D, H, W]
        Dice, its chance and Spearman's correlation are taken inside; `agreement` over the whole grid, as published.
    group : str
        A class label, or ``joint``.

    Returns
    -------
    DataFrame
        ``group, method_a, method_b, dice, dice_chance, agreement, spearman, voxels_a, voxels_b``, a row a pair in the
        order of `maps`. Spearman's correlation is that of the absolute maps, on which the masks rest too: signed and
        unsigned methods could not be compared otherwise. Voxels are counted inside the brain.
    """
    if set(maps) != set(masks):
        refuse("Maps and masks of the same methods are needed.", sorted(set(maps) ^ set(masks)))
    brain = np.asarray(brain, dtype=bool)
    rows = []
    for one, other in combinations(maps, 2):
        a, b = masks[one], masks[other]
        rows.append(
            {
                "group": group,
                "method_a": one,
                "method_b": other,
                "dice": dice(a, b, brain),
                "dice_chance": dice_chance(a, b, brain),
                "agreement": agreement(a, b),
                "spearman": spearman(np.abs(maps[one]), np.abs(maps[other]), brain),
                "voxels_a": int((np.asarray(a, dtype=bool) & brain).sum()),
                "voxels_b": int((np.asarray(b, dtype=bool) & brain).sum()),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _masks(a: np.ndarray, b: np.ndarray, within: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    return _pair(np.asarray(a, dtype=bool), np.asarray(b, dtype=bool), within)


def _pair(a: np.ndarray, b: np.ndarray, within: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    within = np.ones(a.shape, dtype=bool) if within is None else np.asarray(within, dtype=bool)
    if not a.shape == b.shape == within.shape:
        refuse(f"Images of one shape are needed, got {a.shape}, {b.shape} and, where to compare, {within.shape}.")
    if not within.any():
        refuse("There is no voxel to compare: the mask that says where to compare is empty.")
    return a[within], b[within]
