"""Chance levels of localisation: the same map held against the truth in other places of the brain."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.seeds import stream
from voxplain.evaluation.localization import MEASURES, planted_voxels, rank_map, score_ranked

MIN_INSIDE = 0.9
PERCENTILE = 95
# Measures lie between 0 and 1; less than this between two of them is rounding.
ROUNDING = 1e-9
COLUMNS = [
    *("method", "group", "level", "n"),
    *(name + what for name in MEASURES for what in ("", "_sd", "_chance", f"_chance_{PERCENTILE}", "_p")),
    "voxels",
    "places",
]


def shuffle_truth(
    truth: np.ndarray, brain: np.ndarray, shuffles: int, seed: int, min_inside: float = MIN_INSIDE
) -> list[np.ndarray]:
    """Draw other places for the truth: flipped along voxel axes and moved as a whole by whole voxels.

    All planted spots move together as one configuration, so that their shapes, their sizes and the distances between
    them stay: a map is smooth, and random voxels or spots moved one by one would make chance look narrower than it is.

    Every placement that fits is counted by correlating brain and truth, and drawn from with equal probability and
    without replacement; this equals drawing flips and shifts until one fits, but never ends without an answer. Where
    the truth lies is not drawn, and a flip that leaves the configuration as it is counts once.

    Parameters
    ----------
    truth, brain : ndarray [D, H, W]
        As in `voxplain.evaluation.localization.score`. Planted voxels outside the brain are left out from the start.
    shuffles : int
        How many to draw; all there are when fewer fit.
    seed : int
    min_inside : float
        This share of the truth's voxels must lie inside the brain, in (0, 1]; what falls outside is dropped.

    Returns
    -------
    list of int64 ndarray [k']
        Positions of each placement's voxels among those of the brain (``volume[brain]``); no placement where nothing
        was planted, or where the truth fits nowhere else. Memory: 8 bytes a voxel and placement.

    Raises
    ------
    InputError
        For a count or share out of range, or shapes that differ.
    """
    from scipy.signal import correlate

    if shuffles < 1 or not 0 < min_inside <= 1:
        refuse(f"Shuffles must be 1 or more, the share inside above 0 and at most 1; got {shuffles} and {min_inside}.")
    planted, brain = planted_voxels(truth, brain)
    if not planted.size:
        return []
    inside = np.argwhere(brain)[planted]
    low = inside.min(axis=0)
    patch = np.zeros(np.ptp(inside, axis=0) + 1, dtype=bool)
    patch[tuple((inside - low).T)] = True
    flips: list[np.ndarray] = []
    for steps in product((1, -1), repeat=3):
        flipped = patch[tuple(slice(None, None, step) for step in steps)]
        if not any(np.array_equal(flipped, known) for known in flips):
            flips.append(flipped)
    places = []
    for number, flipped in enumerate(flips):
        # How many voxels of the truth lie inside the brain, for every shift at which the two boxes touch.
        count = np.rint(correlate(brain.astype(float), flipped.astype(float), mode="full", method="fft")).astype(int)
        if number == 0:
            count[tuple(low + patch.shape - 1)] = 0
        shifts = np.argwhere(count >= min_inside * planted.size - ROUNDING) - (np.array(patch.shape) - 1)
        places.append(np.column_stack([np.full(len(shifts), number), shifts]))
    places = np.concatenate(places)
    if len(places) > shuffles:
        places = places[stream(seed, "shuffled truth").choice(len(places), shuffles, replace=False)]
    numbers = np.full(brain.shape, -1)
    numbers[brain] = np.arange(brain.sum())
    voxels = [np.argwhere(flipped) for flipped in flips]
    return [_numbers_at(voxels[number] + shift, numbers) for number, *shift in places]


def _numbers_at(voxels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of those voxels that lie on the grid and inside the brain."""
    on_grid = ((voxels >= 0) & (voxels < numbers.shape)).all(axis=1)
    found = numbers[tuple(voxels[on_grid].T)]
    return found[found >= 0]


def score_beside_chance(
    volume: np.ndarray, truth: np.ndarray, brain: np.ndarray, shuffled: Sequence[np.ndarray]
) -> dict[str, float]:
    """Score one map against the truth, and beside it against the shuffled truths.

    Parameters
    ----------
    volume, truth, brain
        As in `voxplain.evaluation.localization.score`.
    shuffled : sequence of ndarray of int
        From `shuffle_truth`, of the same truth and brain; may serve many maps.

    Returns
    -------
    dict
        Of each measure (``auc``, ``average_precision``, ``dice``, ``inside``, ``pointing``) the value on the real
        truth, ``_chance`` and ``_chance_95`` (mean and 95th percentile over the shuffled truths) and the one-sided
        ``_p`` = (1 + #{shuffled ≥ real}) / (1 + #shuffled) (Phipson & Smyth 2010); ``voxels`` and ``places``, the
        number of shuffled truths. NaN where the measure is, thus everywhere else where nothing was planted; without
        shuffled truths chance and p are NaN. Shuffled truths overlap with the real one: the p of a map that is right
        tends to be too large rather than too small.

    Raises
    ------
    InputError
        As `voxplain.evaluation.localization.score`.
    """
    ranked = rank_map(volume, truth, brain)
    real = score_ranked(ranked)
    null = [ranked.measure(places) for places in shuffled]
    result = {"voxels": real["voxels"], "places": len(null)}
    for name in MEASURES:
        chances = np.array([one[name] for one in null])
        figures = np.full(3, np.nan)
        if null and not np.isnan(real[name]):
            as_good = (chances >= real[name] - ROUNDING).sum()
            figures = np.array([chances.mean(), np.percentile(chances, PERCENTILE), (1 + as_good) / (1 + len(null))])
        chance, high, p = figures.tolist()
        result |= {name: real[name], f"{name}_chance": chance, f"{name}_chance_{PERCENTILE}": high, f"{name}_p": p}
    return result
