"""Do the maps show what was planted? Voxels against the truth, people and population, and ranks of planted regions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.population.maps import JOINT
from voxplain.population.overlap import dice_chance
from voxplain.population.threshold import top_voxels

MEASURES = ("auc", "average_precision", "dice", "inside", "pointing")


@dataclass(frozen=True)
class RankedMap:
    """One map, ranked inside the brain once, so that many truths can be held against it; see `rank_map`.

    Attributes
    ----------
    strength : float64 ndarray [N]
        |map| at the N voxels of the brain, in the order of ``volume[brain]``.
    ranks : float64 ndarray [N]
        Of the strength, from 1 (weakest) to N; equal voxels share their mean rank.
    at_or_above : int64 ndarray [N]
        How many voxels are as strong as this one or stronger, itself included.
    top : ndarray of bool [N]
        The strongest voxels, as many as were planted; fewer when the map is 0 elsewhere.
    strongest : ndarray of bool [N]
        The strongest voxel, or all that are equally strong.
    planted : int64 ndarray [k]
        The real truth: positions of the planted voxels among those of the brain.
    """

    strength: np.ndarray
    ranks: np.ndarray
    at_or_above: np.ndarray
    top: np.ndarray
    strongest: np.ndarray
    planted: np.ndarray

    def measure(self, truth: np.ndarray) -> dict[str, float]:
        """Hold a truth against the map: the real one, or one that was moved and may have lost voxels on the way.

        Every planted voxel counts k / k' and every other one (N − k) / (N − k'), k' being the truth's voxels and k
        those of the real truth: all measures but AUC grow with the number of planted voxels, and a truth that lost a
        tenth of its own would look worse than the real one on any map. For the real truth both weights are 1.

        Parameters
        ----------
        truth : ndarray of int [k']
            Positions among the voxels of the brain; neither none nor all of them.

        Returns
        -------
        dict
            `MEASURES`, as `score` explains them.
        """
        voxels, size, kept = self.strength.size, self.planted.size, len(truth)
        weight, weight_elsewhere = size / kept, (voxels - size) / (voxels - kept)

        def share(inside, everywhere):
            """Return the weighted share of the truth in what is counted or summed."""
            return weight * inside / (weight * inside + weight_elsewhere * (everywhere - inside))

        # Mann-Whitney: pairs of a planted and another voxel. Equal weights within each kind cancel.
        auc = (self.ranks[truth].sum() - kept * (kept + 1) / 2) / (kept * (voxels - kept))
        above = np.sort(self.at_or_above[truth])
        precision = share(np.searchsorted(above, above, side="right"), above)
        hits, chosen = self.top[truth].sum(), self.top.sum()
        # Twice what both have over the sum of both sizes, where the size of the truth is again k.
        overlap = 2 * weight * hits / (weight * hits + weight_elsewhere * (chosen - hits) + size)
        total = self.strength.sum()
        return {
            "auc": float(auc),
            "average_precision": float(precision.mean()),
            "dice": float(overlap),
            "inside": float(share(self.strength[truth].sum(), total)) if total > 0 else float("nan"),
            "pointing": float(share(self.strongest[truth].sum(), self.strongest.sum())),
        }


def rank_map(volume: np.ndarray, truth: np.ndarray, brain: np.ndarray) -> RankedMap:
    """Rank the voxels of a map inside the brain by their absolute value.

    Parameters
    ----------
    volume, truth, brain
        As in `score`.

    Returns
    -------
    RankedMap

    Raises
    ------
    InputError
        As `score`.
    """
    from scipy.stats import rankdata

    planted, brain = planted_voxels(truth, brain)
    volume = np.asarray(volume)
    if volume.shape != brain.shape:
        refuse(f"The map has the shape {volume.shape}, truth and brain mask {brain.shape}; one shape is needed.")
    top = top_voxels(volume, brain, planted.size)[brain]
    strength = np.abs(volume[brain]).astype(np.float64)
    above = rankdata(-strength, method="max").astype(np.int64)
    return RankedMap(strength, rankdata(strength), above, top, strength == strength.max(), planted)


def planted_voxels(truth: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the truth lies among the voxels of the brain, and the brain as bool.

    Parameters
    ----------
    truth, brain
        As in `score`.

    Returns
    -------
    planted : int64 ndarray [k]
        Positions in ``volume[brain]``; none where nothing was planted in the brain.
    brain : ndarray of bool [D, H, W]

    Raises
    ------
    InputError
        For unequal shapes, or a truth with every voxel of the brain.
    """
    truth, brain = np.asarray(truth) != 0, np.asarray(brain, dtype=bool)
    if truth.shape != brain.shape:
        refuse(f"The truth has the shape {truth.shape}, the brain mask {brain.shape}; one shape is needed.")
    planted = np.flatnonzero(truth[brain])
    if planted.size == brain.sum():
        refuse(f"The truth must leave some voxels of the brain out; it has all {planted.size}.")
    return planted, brain


def score(volume: np.ndarray, truth: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """Score one map (of a population or a person) against the voxels at which something was planted.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        The absolute value counts.
    truth : ndarray [D, H, W]
        Not 0 where something was planted.
    brain : ndarray of bool [D, H, W]
        Only these voxels count.

    Returns
    -------
    dict
        ``auc``: probability that |map| is larger at a planted voxel than at another one, ties counted half
        (Mann-Whitney). ``average_precision``: mean, over the planted voxels, of the share of planted voxels among all
        that are as strong or stronger (scikit-learn's ``average_precision_score``). ``dice`` of the truth and the
        strongest voxels of the map, as many as the truth has, never those where the map is 0. ``inside``: share of
        the sum of |map| that lies in the truth. ``pointing``: 1 when the strongest voxel lies in the truth, else 0;
        of several equally strong ones, the share that does (pointing game, Zhang et al. 2018).

        ``dice_chance`` and ``planted_share``, the share of the brain's voxels that are planted: see `chance_of`.
        ``voxels``: the truth's size in the brain. Where nothing was planted all but this are NaN.

        A map that is 0 everywhere prefers no voxel: ``auc``, ``average_precision`` and ``pointing`` are at chance, but
        ``dice`` is 0, as no voxel stands out, and ``inside`` NaN, as there is nothing to share.

    Raises
    ------
    InputError
        For unequal shapes, a map that is not finite, or a truth with every voxel of the brain.
    """
    return score_ranked(rank_map(volume, truth, brain))


def score_ranked(ranked: RankedMap) -> dict[str, float]:
    """Return what `score` does, of a map that is ranked already."""
    size, voxels = ranked.planted.size, ranked.strength.size
    if not size:  # a phantom without effects: there is nothing to find
        return dict.fromkeys((*MEASURES, "dice_chance", "planted_share"), float("nan")) | {"voxels": 0}
    truth = np.zeros(voxels, dtype=bool)
    truth[ranked.planted] = True
    return {
        **ranked.measure(ranked.planted),
        "dice_chance": dice_chance(ranked.top, truth),
        "planted_share": size / voxels,
        "voxels": size,
    }


def chance_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Return what each measure is worth when the truth is as many random voxels of the brain.

    Random voxels know nothing of the smoothness of maps: the mean is right, but how far maps stray from it by chance
    is only told by `voxplain.evaluation.shuffled_truth`.

    Parameters
    ----------
    scores : mapping
        From `score`.

    Returns
    -------
    dict
        Of `MEASURES`: 0.5 for ``auc``, ``dice_chance`` for ``dice``, and the share of planted voxels for the others
        (which the mean of ``average_precision`` over random orders exceeds by less than ln(N) / N).
    """
    share = scores["planted_share"]
    auc = float("nan") if np.isnan(share) else 0.5
    return {**dict.fromkeys(MEASURES, share), "auc": auc, "dice": scores["dice_chance"]}


def score_people(
    maps: Iterable[tuple[str, np.ndarray]],
    truth: np.ndarray,
    brain: np.ndarray,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> pd.DataFrame:
    """Score the maps of single people and summarise the scores over each group; only one map is in memory at a time.

    Parameters
    ----------
    maps : iterable of (str, ndarray [D, H, W])
        Ids, each once, and maps, as `voxplain.population.maps.walk_maps` gives them; in any order.
    truth, brain
        As in `score`.
    groups : mapping of str to iterable of str, optional
        The ids of each group; a person may be in several. By default all people, under the name ``joint``.

    Returns
    -------
    DataFrame
        A row a group, in the order given: ``group``, ``n`` (people), of each measure its mean over people, ``_sd``
        (ddof 1, NaN for one person) and ``_chance`` (random voxels, `chance_of`), and ``voxels``. ``inside`` is
        averaged over the people whose map is not 0 everywhere. Nothing in it belongs to one person, or names one.

    Raises
    ------
    InputError
        As `score`; when there is no map at all, or none of somebody in a group.
    """
    scores = {str(person): score(volume, truth, brain) for person, volume in maps}
    if not scores:
        refuse("There are no maps of people to score.")
    # In the order of the ids, so that rounding does not depend on the order in which people come.
    groups = {JOINT: scores} if groups is None else groups
    members = {group: sorted(str(person) for person in people) for group, people in groups.items()}
    missing = sorted({person for people in members.values() for person in people} - set(scores))
    if missing or not all(members.values()):
        empty = [f"the group {group} has nobody" for group, people in members.items() if not people]
        refuse("Each group needs people, and each person a map.", [*empty, *(f"no map: {one}" for one in missing)])
    rows = []
    for group, people in members.items():
        own = pd.DataFrame([scores[person] for person in people])
        chance = pd.DataFrame([chance_of(scores[person]) for person in people])
        row = {"group": group, "n": len(people)}
        for name in MEASURES:
            row |= {name: own[name].mean(), f"{name}_sd": own[name].std(), f"{name}_chance": chance[name].mean()}
        rows.append(row | {"voxels": int(own["voxels"].iloc[0])})
    return pd.DataFrame(rows)
