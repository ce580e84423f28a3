"""Which ranks the planted regions reach in the table of an atlas."""

import pandas as pd

from voxplain.base.errors import refuse

PLANTED_COLUMNS = ["index", "region", "hemisphere", "kind", "rank", "regions", "in_top"]


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
