"""Who may change places with whom under the null hypothesis: rearranged targets and signs, families as wholes."""

from collections.abc import Hashable, Sequence
from math import exp, lgamma, log

import numpy as np
import pandas as pd

from voxplain.base.seeds import stream
from voxplain.models.exchange import draw_exchange


def draw_exchanges(strata: Sequence[np.ndarray], permutations: int, seed: int) -> np.ndarray:
    """Draw rearrangements of the people: whole families change places, and members within a family.

    Parameters
    ----------
    strata : sequence of ndarray [blocks, size]
        From `voxplain.models.exchange.exchangeable_blocks`.
    permutations : int
    seed : int
        Permutation k depends on the seed and k alone; see `voxplain.models.exchange.draw_exchange`.

    Returns
    -------
    int64 ndarray [permutations, n]
        ``targets[drawn[k]]`` are the targets of permutation k.
    """
    size = sum(blocks.size for blocks in strata)
    drawn = [draw_exchange(strata, seed, number) for number in range(permutations)]
    return np.array(drawn, dtype=np.int64).reshape(permutations, size)


def draw_signs(families: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """Draw signs, one for all members of a family, for the test of a mean against 0.

    Parameters
    ----------
    families : int ndarray [n]
        From `voxplain.models.exchange.number_families`.
    permutations : int
    seed : int
        Permutation k depends on the seed and k alone.

    Returns
    -------
    int8 ndarray [permutations, n]
        −1 or 1.
    """
    count = int(families.max()) + 1
    flips = [stream(seed, "signs", number).integers(0, 2, count, dtype=np.int8) for number in range(permutations)]
    return 1 - 2 * np.array(flips, dtype=np.int8).reshape(permutations, count)[:, families]


def smallest_p(permutations: int, log_arrangements: float) -> float:
    """Return the smallest p that a test can reach: 1 of the permutations and the data, or 1 of all arrangements.

    A bound: where every fold has equally many people of two classes, or a number is distributed symmetrically, the
    mirrored arrangement has the same |t|, and p is at least twice as large.

    Parameters
    ----------
    permutations : int
    log_arrangements : float
        Natural logarithm of how many arrangements differ; see `log_arrangements` and `log_sign_patterns`.
    """
    return max(1 / (1 + permutations), exp(-log_arrangements))


def log_arrangements(strata: Sequence[np.ndarray], targets: Sequence[Hashable]) -> float:
    """Return the logarithm of the number of different arrangements of the targets that the exchanges can give.

    With few families, or families of many sizes, there are few: no number of permutations makes p smaller than one
    over their number.

    Parameters
    ----------
    strata : sequence of ndarray [blocks, size]
        From `voxplain.models.exchange.exchangeable_blocks`.
    targets : sequence [n]
        Equal targets cannot be told apart.
    """
    codes, total = pd.factorize(np.asarray(targets, dtype=object))[0], 0.0
    for blocks in strata:
        own = np.sort(codes[blocks], axis=1)
        # Families with the same targets cannot be told apart either.
        _, alike = np.unique(own, axis=0, return_counts=True)
        total += _log_orders(alike)
        total += sum(_log_orders(np.unique(family, return_counts=True)[1]) for family in own)
    return total


def log_sign_patterns(families: np.ndarray) -> float:
    """Return the logarithm of the number of patterns of signs that differ; all signs turned give the same |t|."""
    return float(families.max()) * log(2)


def _log_orders(counts: np.ndarray) -> float:
    """Return the logarithm of the number of orders of things of which so many are alike."""
    return lgamma(counts.sum() + 1) - sum(lgamma(count + 1) for count in counts)
