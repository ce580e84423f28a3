"""Do the maps show what was planted? Voxels against the truth, and the ranks of the planted regions."""

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.population.overlap import dice, dice_chance
from voxplain.population.threshold import top_voxels

PLANTED_COLUMNS = ["index", "region", "hemisphere", "kind", "rank", "regions", "in_top"]


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
        (Mann-Whitney; 0.5 is chance). ``dice`` of the truth and the strongest voxels of the map, as many as the truth
        has, ``dice_chance`` for random voxels in their stead, and ``voxels``, the truth's size in the brain. The
        first three are NaN where nothing was planted.

    Raises
    ------
    InputError
        For unequal shapes, a map that is not finite, or a truth with every voxel of the brain.
    """
    from scipy.stats import rankdata

    volume, truth, brain = np.asarray(volume), np.asarray(truth) != 0, np.asarray(brain, dtype=bool)
    if not volume.shape == truth.shape == brain.shape:
        refuse(f"Map {volume.shape}, truth {truth.shape} and brain mask {brain.shape} must have one shape.")
    planted = truth[brain]
    inside, outside = int(planted.sum()), int((~planted).sum())
    if not outside:
        refuse(f"The truth must leave some voxels of the brain out; it has all {planted.size}.")
    if not inside:  # a phantom without effects: there is nothing to find
        return {"auc": float("nan"), "dice": float("nan"), "dice_chance": float("nan"), "voxels": 0}
    top = top_voxels(volume, brain, inside)
    ranks = rankdata(np.abs(volume[brain]))
    auc = (ranks[planted].sum() - inside * (inside + 1) / 2) / (inside * outside)
    return {
        "auc": float(auc),
        "dice": dice(top, truth, brain),
        "dice_chance": dice_chance(top, truth, brain),
        "voxels": inside,
    }


def planted_ranks(regions: pd.DataFrame, truth_regions: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Find the ranks that the planted regions reached.

    Parameters
    ----------
    regions : DataFrame
        From `voxplain.population.regions.region_scores`, of the atlas in which was planted; with ``method`` and
        ``group`` when it holds several.
    truth_regions : DataFrame
        ``index``, ``name`` and ``kind`` of the planted regions.
    top : int
        Ranks 1 to `top` count as found.

    Returns
    -------
    DataFrame
        ``method`` and ``group`` where given, ``index, region, hemisphere, kind, rank, regions`` (how many were ranked)
        and ``in_top`` (bool), a row a method, group and planted region.

    Raises
    ------
    InputError
        When planted regions are not in the table, or are named differently there (another atlas).
    """
    names = dict(zip(regions["index"], regions["region"], strict=True))
    strangers = [
        f"{index} {name} (in the atlas: {names.get(index, 'no such label')})"
        for index, name in zip(truth_regions["index"], truth_regions["name"], strict=True)
        if names.get(index) != name
    ]
    if strangers:
        refuse(
            "The table of regions is not of the atlas in which something was planted.",
            strangers,
            "Use the table of the phantom's own parcels.",
        )
    keys = [key for key in ("method", "group") if key in regions]
    counted = regions.assign(regions=regions.groupby(keys)["index"].transform("size") if keys else len(regions))
    planted = counted.merge(truth_regions[["index", "kind"]], on="index", how="inner")
    planted["in_top"] = (planted["rank"].fillna(top + 1) <= top).astype(bool)
    return planted[keys + PLANTED_COLUMNS]
