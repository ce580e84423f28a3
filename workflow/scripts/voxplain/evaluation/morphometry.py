"""Do the maps and the morphometry models point at the same regions?"""

from collections import defaultdict

import numpy as np
import pandas as pd

from voxplain.population.overlap import spearman
from voxplain.population.region_names import region_key

GROUP = "joint"
LEAST_REGIONS = 5
COLUMNS = ["method", "model", "kind", "region", "hemisphere", "features", "importance", "map_share"]
CORRELATION_COLUMNS = ["method", "model", "kind", "regions", "spearman"]


def region_importance(importance: pd.DataFrame, regions: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Sum the importance of a model's features over the regions that they measure.

    Parameters
    ----------
    importance : DataFrame
        ``feature`` and ``mean`` (importance, over folds) of one model and kind.
    regions : DataFrame
        ``region`` (name) and ``hemisphere``, a row a region.
    kind : {'permutation', 'coefficient', 'gain'}
        Negative permutation importances (the feature only added noise) count as 0; of the other kinds the absolute
        value counts.

    Returns
    -------
    DataFrame
        ``region, hemisphere, features`` (how many measure the region) and ``importance`` (of them together, as a share
        of that of all regions here), with the index of `regions`; only regions with a feature. Name and side must be
        the same in the sense of `voxplain.population.region_names.region_key`; two regions of one key are left out,
        because nothing says which of them a feature measures. Importance is NaN when it is 0 everywhere.
    """
    values = importance["mean"].astype(float)
    strength = values.clip(lower=0) if kind == "permutation" else values.abs()
    found = defaultdict(list)
    for feature, value in zip(importance["feature"], strength, strict=True):
        found[region_key(feature)].append(value)
    keys = [region_key(name) for name in regions["region"]]
    known = [keys.count(key) == 1 and key in found for key in keys]
    kept = [found[key] for key, one in zip(keys, known, strict=True) if one]
    table = regions.loc[known, ["region", "hemisphere"]]
    return table.assign(features=[len(part) for part in kept], importance=_shares([np.nansum(part) for part in kept]))


def compare(importance: pd.DataFrame, regions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold the regions' importance to each model against their share in each method's map of both classes together.

    Parameters
    ----------
    importance : DataFrame
        ``model, kind, feature, mean``.
    regions : DataFrame
        ``method, group, region, hemisphere, share`` of one atlas; the group ``joint`` counts.

    Returns
    -------
    table : DataFrame
        ``method, model, kind, region, hemisphere, features, importance, map_share``; both last ones are shares that
        sum to 1 over the regions that have features. No rows when these are fewer than 5.
    correlation : DataFrame
        ``method, model, kind, regions`` (how many) and ``spearman``, the rank correlation of importance and map share
        over them (NaN when one is the same everywhere).
    """
    tables, correlations = [], []
    for method, shares in regions[regions["group"] == GROUP].groupby("method", sort=False):
        for (model, kind), features in importance.groupby(["model", "kind"], sort=False):
            table = region_importance(features, shares, kind)
            if len(table) < LEAST_REGIONS:
                continue
            table["map_share"] = _shares(shares.loc[table.index, "share"])
            both = table[["importance", "map_share"]].dropna().to_numpy().T
            rho = spearman(*both) if both.shape[1] >= LEAST_REGIONS else np.nan
            which = {"method": method, "model": model, "kind": kind}
            tables.append(table.assign(**which)[COLUMNS])
            correlations.append({**which, "regions": both.shape[1], "spearman": rho})
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return whole, pd.DataFrame(correlations, columns=CORRELATION_COLUMNS)


def _shares(values: list[float] | pd.Series) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    total = np.nansum(values)
    return values / total if total > 0 else np.full(len(values), np.nan)
