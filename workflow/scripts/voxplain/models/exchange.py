"""Who may change places with whom when targets are shuffled: families as wholes, within folds."""

from collections.abc import Sequence

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


def draw_exchange(strata: Sequence[np.ndarray], seed: int, number: int) -> np.ndarray:
    """Draw one rearrangement of the people: whole families change places, and members within a family.

    Parameters
    ----------
    strata : sequence of ndarray [blocks, size]
        From `exchangeable_blocks`.
    seed, number : int
        Of the run, and of the permutation; it depends on these and on the blocks alone.

    Returns
    -------
    int64 ndarray [n]
        ``targets[drawn]`` are the targets of the permutation.
    """
    generator = stream(seed, "permutation", number)
    drawn = np.empty(sum(blocks.size for blocks in strata), dtype=np.int64)
    for blocks in strata:
        sources = blocks[generator.permutation(len(blocks))]
        if blocks.shape[1] > 1:  # a shuffle of one draws nothing
            sources = np.array([generator.permutation(source) for source in sources])
        drawn[blocks] = sources
    return drawn
