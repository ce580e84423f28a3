"""The randomisation test over folds, and the methods whose maps survive it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.attribution import NON_NEGATIVE
from voxplain.evaluation.similarity import COLUMNS, MEASURES

CASCADE, SHUFFLED = "cascade", "shuffled labels"
THRESHOLD = 0.5  # ours: the paper shows curves and names no number


def summarise_folds(folds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the tables of `voxplain.evaluation.randomization.randomization_test` of several folds and methods.

    Returns
    -------
    DataFrame
        The same columns, the measures as mean and standard deviation (ddof 1; missing for one fold) over the folds in
        which they are defined, ``people`` and ``undefined`` as sums, and ``folds``.
    """
    everything = pd.concat(folds, ignore_index=True)
    keys = ["method", "test", "layers", "layer", "level"]
    grouped = everything.groupby(keys, sort=False, dropna=False)
    means, spreads = grouped[list(MEASURES)].mean(), grouped[list(MEASURES)].std().add_suffix("_sd")
    counts = grouped[["people", "undefined"]].sum().assign(folds=grouped.size())
    table = means.join(spreads)[list(COLUMNS)].join(counts).reset_index()
    return table.astype({"layers": "Int64"})


def over_folds(table: pd.DataFrame, measure: str) -> pd.Series:
    """Return how strong a similarity is in the folds, whatever its sign: the root of its mean square over them.

    A plain mean would take folds with opposite signs for no likeness at all. With one fold it is the absolute value.
    """
    similarity = table[measure].astype(float)
    if "folds" not in table:
        return similarity.abs()
    spread = table[f"{measure}_sd"].astype(float).fillna(0) ** 2 * (1 - 1 / table["folds"].astype(float))
    return np.sqrt(similarity**2 + spread)


def survives(table: pd.DataFrame, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Say which methods draw the same maps although at least half of the network's layers are random.

    Parameters
    ----------
    table : DataFrame
        Of `voxplain.evaluation.randomization.randomization_test` or `summarise_folds`; people count, not the
        population.
    threshold : float
        See `THRESHOLD`.

    Returns
    -------
    DataFrame
        A row a method: ``method``, ``measure``, ``layers`` (how many were random where the maps are most alike),
        ``similarity`` (the largest, see `over_folds`), ``threshold`` and ``survives``, which is missing where no
        similarity is defined.

    Notes
    -----
    The signed ranks of maps count where a method has signs: they are near 0 for independent maps. Absolute ones hold
    what the image alone brings to both maps of a method that multiplies with it (0.5 for independent weights), so they
    count only for methods without signs.
    """
    rows = []
    people = table[(table["test"] == CASCADE) & (table["level"] == "people")]
    for method, steps in people.groupby("method", sort=False):
        measure = "spearman_absolute" if method in NON_NEGATIVE else "spearman"
        deep = steps[steps["layers"] >= steps["layers"].max() / 2]
        alike = over_folds(deep, measure).set_axis(deep["layers"].to_numpy()).dropna()
        most = (pd.NA, np.nan, pd.NA) if alike.empty else (alike.idxmax(), alike.max(), alike.max() > threshold)
        rows.append((method, measure, most[0], most[1], threshold, most[2]))
    columns = ["method", "measure", "layers", "similarity", "threshold", "survives"]
    return pd.DataFrame(rows, columns=columns).astype({"layers": "Int64", "survives": "boolean"})
