"""What a population map says about the regions of an atlas."""

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.population.atlas import Atlas

COLUMNS = ["index", "region", "hemisphere", "voxels", "mean", "share", "inside", "rank"]


def region_scores(volume: np.ndarray, mask: np.ndarray, atlas: Atlas) -> pd.DataFrame:
    """Score every region of an atlas.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        Population map on the atlas's grid, signed or not.
    mask : ndarray of bool [D, H, W]
        The thresholded map.
    atlas : Atlas

    Returns
    -------
    DataFrame
        One row a region, sorted by index: ``index``, ``region``, ``hemisphere``, ``voxels`` (on this grid), ``mean``
        (of the map as it is), ``share`` (mean of |map| in the region divided by the sum of these means over all
        regions, as in Kan et al. 2020, tables 1 and 2), ``inside`` (fraction of the region's voxels in the mask) and
        ``rank`` by share, 1 = top. Regions of equal share get the worst of their ranks, so that a map that is 0 nearly
        everywhere puts no region high. Share and rank are missing when the map is 0 in all regions.

    Raises
    ------
    InputError
        When map, mask and atlas have unequal shapes, or the map is not finite.
    """
    volume, mask = np.asarray(volume, dtype=np.float64), np.asarray(mask, dtype=bool)
    if not volume.shape == mask.shape == atlas.data.shape:
        refuse(
            f"Map {volume.shape}, mask {mask.shape} and atlas {atlas.name} {atlas.data.shape} must have one shape; "
            "all are made on the common grid."
        )
    labelled = atlas.data > 0
    if not np.isfinite(volume[labelled]).all():
        refuse(f"The map is NaN or infinite at some voxels of the atlas {atlas.name}.")
    regions = atlas.regions
    position = np.searchsorted(regions["index"], atlas.data[labelled])
    voxels = np.bincount(position, minlength=len(regions))

    def mean_of(values: np.ndarray) -> np.ndarray:
        return np.bincount(position, values[labelled], len(regions)) / voxels

    strength = mean_of(np.abs(volume))
    total = strength.sum()
    share = pd.Series(strength / total if total > 0 else np.full(len(regions), np.nan))
    return pd.DataFrame(
        {
            "index": regions["index"].to_numpy(),
            "region": regions["name"].to_numpy(),
            "hemisphere": regions["hemisphere"].to_numpy(),
            "voxels": voxels,
            "mean": mean_of(volume),
            "share": share,
            "inside": mean_of(mask),
            "rank": share.rank(ascending=False, method="max").astype("Int64"),
        },
        columns=COLUMNS,
    )


def top_regions(table: pd.DataFrame, count: int = 10) -> pd.DataFrame:
    """Keep the regions ranked 1 to `count`, best first; of every method and group where the table has several.

    Returns
    -------
    DataFrame
        The columns of `table`; methods and groups stay in their order.
    """
    keys = [key for key in ("method", "group") if key in table]
    top = table[table["rank"].notna() & (table["rank"].fillna(count + 1) <= count)]
    if not keys:
        return top.sort_values(["rank", "index"], ignore_index=True)
    parts = [part.sort_values(["rank", "index"]) for _, part in top.groupby(keys, sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else top.reset_index(drop=True)
