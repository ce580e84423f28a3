"""Do maps show more than plain anatomy? Maps held against the mass-univariate statistic of the images themselves."""

import numpy as np
import pandas as pd

from voxplain.evaluation.agreement import Surrogates, beside_chance, standard_ranks
from voxplain.population.atlas import Atlas
from voxplain.population.overlap import dice, dice_chance
from voxplain.population.regions import region_scores
from voxplain.population.threshold import top_voxels

STRONG, WIDE = 5, 20  # percent of the brain
BINS = 20
# Whether more (1) or less (-1) of it means that a map shows what the images' own statistic shows.
MEASURES = {"spearman_absolute": 1, "spearman": 1, "dice": 1, "auc": 1, "not_significant": -1, "overlooked": -1}
COLUMNS = ["method", "measure", "value", "chance", "null_mean", "null_95", "p"]
REGION_COLUMNS = ["method", "index", "region", "hemisphere", "rank_map", "rank_t", "t_mean", "difference"]
DENSITY_COLUMNS = ["method", "percent_t", "percent_map", "density"]


def compare_anatomy(
    method: str,
    volume: np.ndarray,
    statistic: np.ndarray,
    significant: np.ndarray,
    brain: np.ndarray,
    signed: bool,
    count: int,
    seed: int,
) -> pd.DataFrame:
    """Hold the population map of a method against the statistic of the images themselves.

    Parameters
    ----------
    method : str
        Also a word of the random streams.
    volume : ndarray [D, H, W]
        Its joint map.
    statistic, significant : ndarray [D, H, W]
        Of `voxplain.evaluation.univariate.univariate`.
    brain : ndarray of bool [D, H, W]
    signed : bool
        Whether the signs of the map and of the statistic mean the same: gradients of the contrast of two classes, of
        the second class's score, or of a regression's answer. Not those of contributions (a gradient times what is
        there): where the second class is darker both factors turn, and their difference between the classes is
        positive whatever the sign of the statistic.
    count : int
        Surrogates of the map.
    seed : int

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a measure. ``spearman_absolute``: rank correlation of |map| and |statistic| in the brain;
        ``spearman``: of the signed ones (where they are); ``dice`` of the strongest 5 % of both; ``auc``: probability
        that |map| is larger at a significant voxel than at another one. And where the two part: ``not_significant``,
        the share of the map's strongest 5 % at which the images by themselves differ not significantly, and
        ``overlooked``, the share of the significant voxels outside the map's strongest 20 %. ``chance``: of random
        voxels. ``null_mean``, ``null_95``, ``p``: of surrogates of the map, as in
        `voxplain.evaluation.agreement.compare_methods`; of the last two measures small values mean agreement, so p
        counts surrogates that are as small or smaller and ``null_95`` is their 5th percentile. What is not defined
        (no or only significant voxels, a constant map) is missing.

    Notes
    -----
    A network may rightly use what no voxel shows by itself, and may ignore what is redundant: neither a high nor a low
    agreement says that a map is right. A map that adds nothing to the t-map needs no network.
    """
    brain = np.asarray(brain, dtype=bool)
    absolute, found = np.abs(volume), np.asarray(significant, dtype=bool)[brain]
    voxels, discoveries = int(brain.sum()), np.float64(found.sum())
    sizes = [round(share * voxels / 100) for share in (STRONG, WIDE)]
    strong, wide = (top_voxels(volume, brain, size)[brain] for size in sizes)
    top = top_voxels(statistic, brain, sizes[0])[brain]
    ranks, own = standard_ranks(np.abs(statistic[brain])), standard_ranks(absolute[brain])
    random = Surrogates(absolute, brain, count, seed, ("anatomy", method))
    masks = np.stack([top, found])[:, None].repeat(2, axis=1)
    # Ranks times the mask are their sum over the significant voxels, from which the AUC follows.
    null, hits = random.against(np.stack([ranks, found]), masks, [int(strong.sum()), int(wide.sum())])
    with np.errstate(invalid="ignore", divide="ignore"):
        # Standardised ranks have the length 1; Mann-Whitney's U counts pairs.
        scale = _length_of_ranks(absolute[brain]) / (discoveries * (voxels - discoveries))
        rows = {
            "spearman_absolute": (ranks @ own, np.nan, null[:, 0]),
            "dice": (dice(strong, top), dice_chance(strong, top), 2 * hits[:, 0, 0] / (strong.sum() + top.sum())),
            "auc": (0.5 + scale * own[found].sum(dtype=float), 0.5, 0.5 + scale * null[:, 1]),
            "not_significant": (
                1 - (strong & found).sum() / strong.sum(),
                1 - discoveries / voxels,
                1 - hits[:, 1, 0] / strong.sum(),
            ),
            "overlooked": (
                1 - (wide & found).sum() / discoveries,
                1 - wide.sum() / voxels,
                1 - hits[:, 1, 1] / discoveries,
            ),
        }
    if signed:
        other = standard_ranks(statistic[brain])
        random = Surrogates(volume, brain, count, seed, ("anatomy", method, "signed"))
        rows["spearman"] = (other @ standard_ranks(volume[brain]), np.nan, random.against(other[None])[0][:, 0])
    table = []
    for measure, sign in MEASURES.items():
        if measure in rows:
            value, chance, of_null = rows[measure]
            null_row = beside_chance(sign * float(value), sign * of_null)
            null_row |= {name: sign * null_row[name] for name in ("null_mean", "null_95")}
            table.append({"method": method, "measure": measure, "value": float(value), "chance": chance, **null_row})
    return pd.DataFrame(table, columns=COLUMNS)


def density(method: str, volume: np.ndarray, statistic: np.ndarray, brain: np.ndarray) -> pd.DataFrame:
    """Count the brain's voxels by the ranks of |map| and |statistic|, for a picture of the two.

    Returns
    -------
    DataFrame
        `DENSITY_COLUMNS`: ``percent_t`` and ``percent_map``, the lower edges of bins of 5 % of the ranks (0: the
        weakest), and ``density``, the voxels in both over those expected were the two independent.
    """
    from scipy.stats import rankdata

    brain = np.asarray(brain, dtype=bool)
    place = [
        np.minimum(((rankdata(np.abs(one[brain])) - 0.5) / brain.sum() * BINS).astype(int), BINS - 1)
        for one in (statistic, volume)
    ]
    counts = np.zeros((BINS, BINS))
    np.add.at(counts, tuple(place), 1)
    edges = np.arange(BINS) * (100 / BINS)
    table = {"method": method, "percent_t": edges.repeat(BINS), "percent_map": np.tile(edges, BINS)}
    return pd.DataFrame(table | {"density": (counts / brain.sum() * BINS**2).ravel()}, columns=DENSITY_COLUMNS)


def compare_regions(method: str, volume: np.ndarray, statistic: np.ndarray, atlas: Atlas) -> pd.DataFrame:
    """Rank the regions of an atlas by the map and by the statistic.

    Parameters
    ----------
    method : str
    volume, statistic : ndarray [D, H, W]
        0 outside the brain.
    atlas : Atlas

    Returns
    -------
    DataFrame
        `REGION_COLUMNS`, a row a region, sorted by index: ``rank_map`` and ``rank_t`` by the mean of |map| and of
        |statistic| (`voxplain.population.regions.region_scores`; 1 = top), ``t_mean``, the mean of |statistic|, and
        ``difference``, rank_t − rank_map: positive where the map puts the region higher than the images' own statistic
        does.
    """
    nowhere = np.zeros(atlas.data.shape, dtype=bool)
    own, other = (region_scores(np.abs(one), nowhere, atlas) for one in (volume, statistic))
    table = own[["index", "region", "hemisphere"]].assign(
        method=method, rank_map=own["rank"], rank_t=other["rank"], t_mean=other["mean"]
    )
    return table.assign(difference=table["rank_t"] - table["rank_map"])[REGION_COLUMNS]


def _length_of_ranks(values: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks = rankdata(values)
    return float(np.linalg.norm(ranks - ranks.mean()))
