"""What single people's maps have in common, for tables that may be passed on: no person's row leaves the maps."""

from collections.abc import Mapping

import pandas as pd

COLUMNS = ["method", "people", "explained", "conservation_q25", "conservation_median", "conservation_q75"]


def describe_maps(indices: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the explained people of every method and say what was explained.

    Parameters
    ----------
    indices : mapping of method to DataFrame
        From `voxplain.population.maps.read_index`: ``explained`` and ``conservation`` of each person.

    Returns
    -------
    DataFrame
        A row a method, in the order given: ``people``, ``explained`` (such as ``M-F``; several things are listed), and
        the quartiles of conservation, missing where a method has none. Quartiles, because a score near 0 makes the
        ratio of one person as large as one likes.
    """
    rows = []
    for method, index in indices.items():
        kinds = sorted(index["explained"].dropna().astype(str).unique())
        quartiles = index["conservation"].astype(float).quantile([0.25, 0.5, 0.75])
        rows.append([method, len(index), ", ".join(kinds), *quartiles])
    return pd.DataFrame(rows, columns=COLUMNS)
