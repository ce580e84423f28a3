"""Do two methods show the same places? Agreement of their population maps beside that of equally smooth random maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.evaluation.spatial_null import draw_ranks, fit_field
from voxplain.population.overlap import dice, dice_chance
from voxplain.population.threshold import top_voxels

MEASURES = ("spearman", "spearman_absolute", "dice")
PERCENTILE = 95
ROUNDING = 1e-6  # of correlations of float32 ranks; less than this between two measures is none
NULL = ["null_mean", f"null_{PERCENTILE}", "p"]
COLUMNS = ["group", "first", "second", "measure", "volume", "value", "chance", "corrected", *NULL]


@dataclass(frozen=True)
class Surrogates:
    """Random maps with the values and the smoothness of one map, to be held against real maps one by one.

    Attributes
    ----------
    volume, brain, count, seed, words
        As in `voxplain.evaluation.spatial_null.surrogates`.
    """

    volume: np.ndarray
    brain: np.ndarray
    count: int
    seed: int
    words: tuple

    def against(
        self, ranks: np.ndarray, masks: np.ndarray | None = None, strong: Sequence[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Correlate every surrogate with maps, and count how many of its strongest voxels lie in masks.

        Parameters
        ----------
        ranks : float ndarray [M, N]
            `standard_ranks` of M maps at the N voxels of the brain.
        masks : ndarray of bool [K, V, N], optional
            K masks for each of V volumes.
        strong : sequence of int, V of them
            How many of a surrogate's voxels are strong, largest values first.

        Returns
        -------
        correlations : float64 ndarray [count, M]
            Spearman's rank correlations; NaN where a map is constant.
        hits : int64 ndarray [count, K, V]
            Strong voxels of each volume in its masks.
        """
        field = fit_field(self.volume, self.brain)
        own = standard_ranks(field.values)  # sorted, as the field's values
        if masks is None:
            masks = np.zeros((0, 0, field.values.size), dtype=bool)
        correlations = np.empty((self.count, len(ranks)))
        hits = np.empty((self.count, *masks.shape[:2]), dtype=np.int64)
        for row, rank in enumerate(draw_ranks(field, self.count, self.seed, *self.words)):
            correlations[row] = ranks @ own[rank]
            for place, size in enumerate(strong):
                hits[row, :, place] = masks[:, place, np.flatnonzero(rank >= rank.size - size)].sum(axis=1)
        return correlations, hits


def standard_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks with mean 0 and sum of squares 1: the product of two is Spearman's rank correlation.

    Parameters
    ----------
    values : ndarray [N]

    Returns
    -------
    float32 ndarray [N]
        Equal values share their mean rank; NaN where all are equal.
    """
    from scipy.stats import rankdata

    if values.min() == values.max():
        return np.full(values.shape, np.nan, dtype=np.float32)
    ranks = rankdata(values)
    ranks -= ranks.mean()
    return (ranks / np.linalg.norm(ranks)).astype(np.float32)


def beside_chance(value: float, null: np.ndarray) -> dict[str, float]:
    """Return ``null_mean``, ``null_95`` and the one-sided ``p`` of a value; NaN where it or its null is not defined.

    Parameters
    ----------
    value : float
    null : ndarray [n]
        The same measure, of surrogates. p = (1 + those that are as large or larger) / (1 + n), never 0 (Phipson &
        Smyth 2010, doi 10.2202/1544-6115.1585).
    """
    if np.isnan(value) or np.isnan(null).any():
        return dict.fromkeys(NULL, float("nan"))
    p = (1 + int((null >= value - ROUNDING).sum())) / (1 + null.size)
    return dict(zip(NULL, (float(null.mean()), float(np.percentile(null, PERCENTILE)), p), strict=True))


def compare_methods(
    maps: Mapping[str, np.ndarray],
    brain: np.ndarray,
    group: str,
    volumes: Sequence[float],
    count: int,
    seed: int,
) -> pd.DataFrame:
    """Compare the population maps of every pair of methods, and tell what smoothness alone would give.

    Parameters
    ----------
    maps : mapping of str to ndarray [D, H, W]
        The population map of each method.
    brain : ndarray of bool [D, H, W]
        Only these voxels count.
    group : str
        Whose maps; also a word of the random streams.
    volumes : sequence of float
        How many of the strongest voxels Dice compares, in percent of the brain, each in (0, 100].
    count : int
        Surrogates of each map.
    seed : int

    Returns
    -------
    DataFrame
        `COLUMNS`; of every pair (none for a single method), in the order of `maps`, the rows ``spearman`` (rank
        correlation of the maps as they are), ``spearman_absolute`` (of their absolute values) and, per volume, ``dice``
        of the strongest voxels by absolute value (`voxplain.population.threshold.top_voxels`). ``chance``: the Dice of
        random voxels;
        ``corrected``: (Dice − chance) / (1 − chance), 0 at chance and 1 for equal masks, so that volumes can be
        compared; both missing of correlations, whose chance is 0. ``null_mean``, ``null_95`` and ``p``: mean, 95th
        percentile and one-sided p, (1 + surrogates that agree as much or more) / (1 + surrogates), of random maps.
        Missing where a map is constant in the brain.

    Raises
    ------
    InputError
        For a volume out of range, unequal shapes, an empty brain or a map that is not finite.

    Notes
    -----
    Maps are smooth because networks are, and smoothed on top: smoothness makes maps of nothing agree, by chance, in
    large patches. The null therefore keeps it: `voxplain.evaluation.spatial_null.surrogates`, of the signed map for
    ``spearman`` and of the absolute map for the others. (Absolute values of signed surrogates would lose what
    neighbours share in strength but not in sign; they reject too often for maps that are strong in one part of the
    brain and weak in another.) Each method's surrogates are held against the real maps of all
    others, and both directions of a pair are pooled, so that the result does not depend on which map is called the
    first. The null says that the *places* of the two maps have nothing to do with each other. That both lie in the
    same tissue is enough to reject it: what maps share with plain anatomy is told by `voxplain.evaluation.anatomy`.

    The p are those of single comparisons; over many pairs some are small by chance.
    """
    out_of_range = [volume for volume in volumes if not 0 < volume <= 100]
    if out_of_range:
        refuse("Volumes to compare are percentages of the brain, above 0 and at most 100; got", out_of_range)
    brain, methods = np.asarray(brain, dtype=bool), list(maps)
    if len(methods) < 2:
        return pd.DataFrame(columns=COLUMNS)
    absolute = {method: np.abs(volume) for method, volume in maps.items()}
    sizes = [round(volume * int(brain.sum()) / 100) for volume in volumes]
    tops = np.array([[top_voxels(maps[method], brain, size)[brain] for size in sizes] for method in methods])
    ranks = {
        kind: np.array([standard_ranks(of_kind[method][brain]) for method in methods])
        for kind, of_kind in (("spearman", maps), ("spearman_absolute", absolute))
    }
    nulls = []  # of every method: measure -> [count, methods] or, of Dice, [count, methods, volumes]
    progress = Progress(f"surrogates, {group}: methods", len(methods))
    for method, own in zip(methods, tops, strict=True):
        strong = own.sum(axis=1)
        random = Surrogates(absolute[method], brain, count, seed, (group, method))
        correlations, hits = random.against(
            np.concatenate([ranks["spearman_absolute"], ranks["spearman"]]), tops, strong
        )
        of_absolute, signed = np.split(correlations, 2, axis=1)
        if (maps[method][brain] < 0).any():
            random = Surrogates(maps[method], brain, count, seed, (group, method, "signed"))
            signed, _ = random.against(ranks["spearman"])
        with np.errstate(invalid="ignore"):
            overlap = 2 * hits / (strong + tops.sum(axis=2))
        nulls.append({"spearman": signed, "spearman_absolute": of_absolute, "dice": overlap})
        progress.step()
    rows = []
    for i, j in combinations(range(len(methods)), 2):
        pair = {"group": group, "first": methods[i], "second": methods[j]}
        null = {name: np.concatenate([nulls[i][name][:, j], nulls[j][name][:, i]]) for name in MEASURES}
        for measure in ("spearman", "spearman_absolute"):
            value = float(ranks[measure][i] @ ranks[measure][j])
            rows.append({**pair, "measure": measure, "value": value, **beside_chance(value, null[measure])})
        for place, volume in enumerate(volumes):
            masks = tops[i, place], tops[j, place]
            value, chance = dice(*masks), dice_chance(*masks)
            corrected = (value - chance) / (1 - chance) if chance < 1 else float("nan")
            found = {"measure": "dice", "volume": volume, "value": value, "chance": chance, "corrected": corrected}
            rows.append(pair | found | beside_chance(value, null["dice"][:, place]))
    return pd.DataFrame(rows, columns=COLUMNS)
