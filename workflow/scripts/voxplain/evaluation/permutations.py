"""Who may change places with whom under the null hypothesis: rearranged targets and signs, families as wholes."""

from collections.abc import Hashable, Sequence
from math import exp, lgamma, log

import numpy as np
import pandas as pd

from voxplain.base.seeds import stream


def number_families(people: pd.DataFrame, families: pd.Series | None = None) -> np.ndarray:
    """Number the families by their first member in the order of the ids.

    The names of families are salted hashes, and how those sort is an accident that no draw may depend on.

    Parameters
    ----------
    people : DataFrame
        ``participant_id``.
    families : Series, optional
        Of each person, with the index of `people`; without it everybody is unrelated.

    Returns
    -------
    int64 ndarray [n]
        0, 1, ... in the order of the rows of `people`.
    """
    order = np.argsort(people["participant_id"].to_numpy(dtype=object), kind="stable")
    names = people["participant_id"] if families is None else families.loc[people.index]
    numbers = np.empty(len(people), dtype=np.int64)
    numbers[order] = pd.factorize(names.to_numpy(dtype=object)[order])[0]
    return numbers


def exchangeable_blocks(people: pd.DataFrame, families: pd.Series | None = None) -> list[np.ndarray]:
    """Return the families that may exchange their targets: those of a fold with equally many members.

    People of different folds were explained by different networks and never change places; relatives resemble each
    other in target and map alike and only change places as a family, or with each other (Winkler et al. 2015,
    NeuroImage 123, doi 10.1016/j.neuroimage.2015.05.092, "Multi-level block permutation").

    Parameters
    ----------
    people : DataFrame
        ``participant_id, fold``.
    families : Series, optional
        See `number_families`. Where folds tear a family apart each part of it counts as a family.

    Returns
    -------
    list of int64 ndarray [blocks, size]
        Rows of `people` (their positions), a family in each row of the array, by id.
    """
    ordered = pd.DataFrame({"row": np.arange(len(people)), "fold": people["fold"].to_numpy()})
    ordered["family"] = number_families(people, families)
    ordered = ordered.iloc[np.argsort(people["participant_id"].to_numpy(dtype=object), kind="stable")]
    strata = []
    for _, members in ordered.groupby("fold"):
        blocks = [block["row"].to_numpy() for _, block in members.groupby("family")]
        for size in sorted({len(block) for block in blocks}):
            strata.append(np.array([block for block in blocks if len(block) == size]))
    return strata


def draw_exchanges(strata: Sequence[np.ndarray], permutations: int, seed: int) -> np.ndarray:
    """Draw rearrangements of the people: whole families change places, and members within a family.

    Parameters
    ----------
    strata : sequence of ndarray [blocks, size]
        From `exchangeable_blocks`.
    permutations : int
    seed : int
        Permutation k depends on the seed and k alone, and equals
        `voxplain.models.rerun.shuffle_targets(people, seed, k, families)`.

    Returns
    -------
    int64 ndarray [permutations, n]
        ``targets[drawn[k]]`` are the targets of permutation k.
    """
    drawn = np.empty((permutations, sum(blocks.size for blocks in strata)), dtype=np.int64)
    for number, rows in enumerate(drawn):
        generator = stream(seed, "permutation", number)
        for blocks in strata:
            sources = blocks[generator.permutation(len(blocks))]
            if blocks.shape[1] > 1:  # a shuffle of one draws nothing
                sources = np.array([generator.permutation(source) for source in sources])
            rows[blocks] = sources
    return drawn


def draw_signs(families: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """Draw signs, one for all members of a family, for the test of a mean against 0.

    Parameters
    ----------
    families : int ndarray [n]
        From `number_families`.
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
        From `exchangeable_blocks`.
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
