"""How sure the order of the regions is: shares and ranks of regions when other people had been drawn."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.models.exchange import number_families
from voxplain.population.atlas import Atlas
from voxplain.population.groups import TERTILES
from voxplain.population.maps import JOINT
from voxplain.population.weights import person_weights

LOW, HIGH = 0.025, 0.975
CHUNK = 4096  # voxels at a time
MOST_DRAWS = 1000
COLUMNS = [
    *("group", "atlas", "index", "region", "hemisphere", "share", "share_low", "share_high", "share_mean"),
    *("rank", "rank_low", "rank_high", "in_top", "people", "clusters", "replicates"),
]


def resampled_weights(
    people: pd.DataFrame,
    joining: Mapping[str, tuple[str, Sequence[str]]],
    replicates: int,
    seed: int,
    families: pd.Series | None = None,
) -> dict[str, np.ndarray]:
    """Return the weights of people in the population maps of every replicate of a cluster bootstrap.

    As many families as there are, are drawn with replacement, all members of each; draws in which a class is missing
    are repeated (Davison & Hinkley 1997, section 3.8: resample whole clusters, nothing within them).

    Parameters
    ----------
    people : DataFrame
        ``participant_id, target``.
    joining : mapping of str to (how, groups)
        Of each population map; see `voxplain.population.weights.person_weights`. Thirds by a number are cut anew in
        every replicate.
    replicates : int
    seed : int
        Replicate k depends on the seed and k alone.
    families : Series, optional
        See `voxplain.models.exchange.number_families`.

    Returns
    -------
    dict of str to float64 ndarray [1 + replicates, n]
        The first row is the population map as it is, whose weights are those of everybody once.

    Raises
    ------
    InputError
        As `person_weights`; when a class is missing in every draw.

    Notes
    -----
    The networks stay what they are: intervals tell what other people would change, not what other networks would.
    """
    order = np.argsort(people["participant_id"].to_numpy(dtype=object), kind="stable")
    ordered = people.iloc[order].reset_index(drop=True)
    family = number_families(people, families)[order]
    wanted = {group for _, groups in joining.values() for group in groups}
    weights = {name: np.zeros((1 + replicates, len(people))) for name in joining}
    progress = Progress("bootstrap: replicates drawn", replicates)
    for number in range(1 + replicates):
        rows = np.arange(len(people)) if number == 0 else _draw(ordered, family, wanted, seed, number)
        # A person who was drawn twice counts as two people, of the same rank by number.
        drawn = ordered.iloc[rows].assign(participant_id=np.arange(len(rows)))
        for name, (how, groups) in joining.items():
            own = person_weights(drawn, how, groups)
            weights[name][number, order] = np.bincount(rows, own, minlength=len(people))
        progress.step(int(number > 0))
    return weights


def _draw(people: pd.DataFrame, family: np.ndarray, wanted: set[str], seed: int, number: int) -> np.ndarray:
    """Return the sorted rows of one draw of families that leaves no group without people."""
    generator, count = stream(seed, "bootstrap", number), int(family.max()) + 1
    targets = people["target"].to_numpy()
    classes, thirds = wanted - set(TERTILES), wanted & set(TERTILES)
    for _ in range(MOST_DRAWS):
        times = np.bincount(generator.integers(count, size=count), minlength=count)
        rows = np.repeat(np.arange(len(people)), times[family])
        if classes <= set(targets[rows]) and (not thirds or len(rows) >= len(TERTILES)):
            return rows
    refuse(
        f"None of {MOST_DRAWS} draws of {count} families held people of {', '.join(sorted(wanted))}.",
        advice="Explain more people.",
    )


def region_strengths(matrix: np.ndarray, weights: np.ndarray, membership) -> np.ndarray:
    """Return the mean of |population map| in every region, for many population maps at once.

    Parameters
    ----------
    matrix : float32 ndarray [n, V]
        From `voxplain.evaluation.relevance_matrix.stack_maps`.
    weights : ndarray [B, n]
        A population map in each row; see `resampled_weights`.
    membership : csr_array [V, R]
        From `voxplain.evaluation.relevance_matrix.region_membership`.

    Returns
    -------
    float64 ndarray [B, R]

    Notes
    -----
    One matrix product of 2·B·n·V operations; 16 KB a replicate beside the arguments.
    """
    by_map = np.ascontiguousarray(weights.T, dtype=np.float32)
    strengths = np.zeros((membership.shape[1], len(weights)))
    progress = Progress("bootstrap: voxels", matrix.shape[1])
    for start in range(0, matrix.shape[1], CHUNK):
        here = slice(start, start + CHUNK)
        volumes = matrix[:, here].T @ by_map  # [voxels, maps]
        strengths += membership[here].T @ np.abs(volumes, out=volumes)
        progress.step(len(volumes))
    return strengths.T


def region_intervals(strengths: np.ndarray, atlas: Atlas, top: int) -> pd.DataFrame:
    """Return share and rank of every region with percentile intervals.

    Parameters
    ----------
    strengths : ndarray [1 + replicates, R]
        Mean of |map| by region; the first row is the population map itself.
    atlas : Atlas
    top : int
        For ``in_top``.

    Returns
    -------
    DataFrame
        One row a region, by index: ``index, region, hemisphere``; ``share`` and ``rank`` as
        `voxplain.population.regions.region_scores`; ``share_low, share_high, rank_low, rank_high``: the 2.5th and
        97.5th percentile over the replicates; ``share_mean``: the mean over the replicates; ``in_top``: share of the
        replicates that rank the region among the first `top`; ``replicates``. Missing where the map is 0 in all
        regions; such replicates are left out of intervals and count as not in the top.

    Notes
    -----
    Shares rest on |map|, whose noise does not cancel: with few people a replicate, which holds the noise of the
    people and that of the draw, spreads its shares more evenly over the regions than the population map does. Then
    ``share_mean`` lies off ``share`` towards the mean of all regions, and the interval with it, to the point of
    leaving ``share`` out. Ranks suffer less.
    """
    from scipy.stats import rankdata

    totals = strengths.sum(axis=1, keepdims=True)
    shares = np.divide(strengths, totals, out=np.full_like(strengths, np.nan), where=totals > 0)
    ranks = np.where(np.isnan(shares), np.nan, rankdata(-shares, method="max", axis=1))
    columns = {
        "index": atlas.regions["index"].to_numpy(),
        "region": atlas.regions["name"].to_numpy(),
        "hemisphere": atlas.regions["hemisphere"].to_numpy(),
        "share": shares[0],
        "rank": pd.array(ranks[0], dtype="Int64"),
    }
    drawn = ~np.isnan(shares[1:, 0])
    columns["in_top"] = (ranks[1:] <= top).mean(axis=0)
    for name, values, method in (("share", shares, "linear"), ("rank", ranks, "inverted_cdf")):
        limits = np.full((2, values.shape[1]), np.nan)
        if drawn.any():
            limits = np.quantile(values[1:][drawn], (LOW, HIGH), axis=0, method=method)
        for end, limit in zip(("low", "high"), limits, strict=True):
            columns[f"{name}_{end}"] = pd.array(limit, dtype="Int64") if name == "rank" else limit
    columns["share_mean"] = shares[1:][drawn].mean(axis=0) if drawn.any() else np.nan
    return pd.DataFrame(columns).assign(replicates=len(strengths) - 1)


def tabulate_intervals(
    matrix: np.ndarray,
    weights: Mapping[str, np.ndarray],
    membership,
    atlases: Mapping[str, Atlas],
    top: int,
    families: np.ndarray,
) -> pd.DataFrame:
    """Return `region_intervals` of every population map and atlas.

    Parameters
    ----------
    matrix, membership
        See `region_strengths`.
    weights : mapping of str to ndarray [1 + replicates, n]
        From `resampled_weights`, by group.
    atlases : mapping of str to Atlas
        Those of `membership`, in its order.
    top : int
    families : int ndarray [n]
        From `voxplain.models.exchange.number_families`.

    Returns
    -------
    DataFrame
        `COLUMNS`: ``group, atlas``, those of `region_intervals`, and how many ``people`` count in the map, of how
        many ``clusters`` (families) they come.
    """
    parts = []
    for group, own in weights.items():
        strengths, start, counted = region_strengths(matrix, own, membership), 0, own[0] != 0
        known = {"group": group, "people": int(counted.sum()), "clusters": len(np.unique(families[counted]))}
        for name, atlas in atlases.items():
            end = start + len(atlas.regions)
            parts.append(region_intervals(strengths[:, start:end], atlas, top).assign(**known, atlas=name))
            start = end
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def joinings(groups: Sequence[str], how: str, joined: Sequence[str]) -> dict[str, tuple[str, Sequence[str]]]:
    """Return how the map of each group comes about: the joint one as configured, others as means of their people.

    Parameters
    ----------
    groups : sequence of str
        Of which maps; ``joint`` among them.
    how, joined
        Of the joint map; see `voxplain.configuration.joining`.
    """
    return {group: (how, joined) if group == JOINT else ("mean", [group]) for group in groups}
