"""Who can be in a model that head size is regressed out of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def with_known_size(
    sizes: Sequence[float], tested: Sequence[bool], targets: Sequence[object], task: str, labels: Sequence[str]
) -> np.ndarray:
    """Return who takes part: those whose head size is known, if they suffice to train on and to test; else nobody.

    A model on raw features is not lost because head sizes are: it is the residualised one that stays empty.

    Parameters
    ----------
    sizes : sequence [n]
        NaN where unknown.
    tested : sequence of bool [n]
    targets : sequence [n]
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    ndarray of bool [n]
    """
    tested = np.asarray(tested, dtype=bool)
    known = np.isfinite(np.asarray(sizes, dtype=float))
    answers = set(pd.Series(list(targets), dtype=object)[known & ~tested].astype(str))
    trainable = answers >= set(map(str, labels)) if task == "classification" else len(answers) > 1
    return known if trainable and (known & tested).any() else np.zeros(len(known), dtype=bool)
