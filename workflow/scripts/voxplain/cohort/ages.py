"""Ages as numbers, however the source writes them."""

import math
import re
from collections.abc import Iterable

import pandas as pd

BAND = re.compile(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)")
OPEN_BAND = re.compile(r"(\d+(?:\.\d+)?)\s*\+")


def ages_in_years(texts: Iterable[object]) -> pd.Series:
    """Return ages in years.

    Parameters
    ----------
    texts : iterable or Series
        Numbers stay as they are; of HCP's bands the middle is taken (``22-25``: 23.5), of the open one its beginning
        (``36+``: 36).

    Returns
    -------
    Series of float64
        With the index of `texts`, if it has one; NaN for everything else, negative numbers included.
    """
    texts = texts if isinstance(texts, pd.Series) else pd.Series(list(texts), dtype="object")
    return pd.Series([_years(cell) for cell in texts], index=texts.index, dtype="float64", name=texts.name)


def _years(cell: object) -> float:
    if pd.isna(cell):
        return math.nan
    text = str(cell).strip()
    if band := BAND.fullmatch(text):
        first, last = (float(number) for number in band.groups())
        return (first + last) / 2 if first <= last else math.nan
    if band := OPEN_BAND.fullmatch(text):
        return float(band[1])
    try:
        years = float(text)
    except ValueError:
        return math.nan
    return years if 0 <= years < math.inf else math.nan
