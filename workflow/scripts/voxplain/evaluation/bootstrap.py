"""How sure the order of the regions is: shares and ranks of regions when other people had been drawn."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.evaluation.relevance_matrix import RelevanceMatrix, column_blocks
from voxplain.models.exchange import number_families
from voxplain.population.atlas import Atlas
from voxplain.population.groups import TERTILES, members_of
from voxplain.population.maps import JOINT
from voxplain.population.weights import joining_factors

LOW, HIGH = 0.025, 0.975
CHUNK = 4096  # voxels at a time, and fewer where that many values of replicates would not fit into 8 MB of float32
MOST_VALUES = 2**21
MOST_DRAWS = 1000
COLUMNS = [
    *("group", "atlas", "index", "region", "hemisphere", "share", "share_low", "share_high", "share_mean"),
    *("rank", "rank_low", "rank_high", "in_top", "people", "clusters", "replicates"),
]


def resampled_counts(
    people: pd.DataFrame, groups: Iterable[str], replicates: int, seed: int, families: pd.Series | None = None
) -> dict[str, np.ndarray]:
    """Return how often each person counts in the mean of each group in every replicate of a cluster bootstrap.

    As many families as there are, are drawn with replacement, all members of each; draws in which a class is missing
    are repeated (Davison & Hinkley 1997, section 3.8: resample whole clusters, nothing within them).

    Parameters
    ----------
    people : DataFrame
        ``participant_id, target``.
    groups : iterable of str
        See `voxplain.population.groups.members_of`. Thirds by a number are cut anew in every replicate, a person who
        was drawn twice counting as two people of the same rank.
    replicates : int
    seed : int
        Replicate k depends on the seed and k alone.
    families : Series, optional
        See `voxplain.models.exchange.number_families`.

    Returns
    -------
    dict of str to uint16 ndarray [1 + replicates, n]
        By group. The first row is the group as it is: 1 for its members.

    Raises
    ------
    InputError
        For a group without people; when a class is missing in every draw.

    Notes
    -----
    The networks stay what they are: intervals tell what other people would change, not what other networks would.
    """
    groups = list(dict.fromkeys(groups))
    for group in groups:
        members_of(group, people)  # refuses one that is empty
    order = np.argsort(people["participant_id"].to_numpy(dtype=object), kind="stable")
    targets, family = people["target"].to_numpy()[order], number_families(people, families)[order]
    members = {group: targets == group for group in groups if group not in (JOINT, *TERTILES)}
    thirds = [group for group in groups if group in TERTILES]
    by_target = np.argsort(targets, kind="stable") if thirds else order
    counts = {group: np.zeros((1 + replicates, len(people)), dtype=np.uint16) for group in groups}
    progress = Progress("bootstrap: replicates drawn", replicates)
    for number in range(1 + replicates):
        times = np.ones(len(people), dtype=np.int64) if number == 0 else _draw(family, members, thirds, seed, number)
        parts = np.array_split(np.repeat(by_target, times[by_target]), len(TERTILES)) if thirds else []
        for group, own in counts.items():
            if group in thirds:
                own[number, order] = np.bincount(parts[TERTILES.index(group)], minlength=len(people))
            else:
                own[number, order] = times if group == JOINT else times * members[group]
        progress.step(int(number > 0))
    return counts


def _draw(
    family: np.ndarray, members: Mapping[str, np.ndarray], thirds: Sequence[str], seed: int, number: int
) -> np.ndarray:
    """Return how often each person is in one draw of families that leaves no group without people."""
    generator, count = stream(seed, "bootstrap", number), int(family.max()) + 1
    for _ in range(MOST_DRAWS):
        times = np.bincount(generator.integers(count, size=count), minlength=count)[family]
        if all(times[own].any() for own in members.values()) and (not thirds or times.sum() >= len(TERTILES)):
            return times
    refuse(
        f"None of {MOST_DRAWS} draws of {count} families held people of {', '.join(sorted({*members, *thirds}))}.",
        advice="Explain more people.",
    )


def region_strengths(
    matrix: RelevanceMatrix | np.ndarray,
    counts: Mapping[str, np.ndarray],
    joining: Mapping[str, Mapping[str, float]],
    membership,
) -> dict[str, np.ndarray]:
    """Return the mean of |population map| in every region, for many population maps at once.

    Parameters
    ----------
    matrix : RelevanceMatrix or ndarray [n, V]
        From `voxplain.evaluation.relevance_matrix.stack_maps`.
    counts : mapping of str to ndarray [B, n]
        From `resampled_counts`.
    joining : mapping of str to (mapping of str to float)
        Of each population map: factors of the groups; see `voxplain.population.weights.joining_factors`.
    membership : csr_array [V, R]
        From `voxplain.evaluation.relevance_matrix.region_membership`.

    Returns
    -------
    dict of str to float64 ndarray [B, R]
        By population map.

    Notes
    -----
    One matrix product a group, of 2·B·V operations for each person who ever counts in it: joint maps are made of the
    groups' maps. Memory: 8 MB a group, and 6 bytes a replicate and person in each group, beside the matrix.
    """
    rows = {group: np.flatnonzero(own.any(axis=0)) for group, own in counts.items()}
    times = {group: np.ascontiguousarray(own[:, rows[group]].T, dtype=np.float32) for group, own in counts.items()}
    sums = {group: own.sum(axis=1, dtype=np.float32) for group, own in counts.items()}
    replicates = len(next(iter(sums.values()), ()))
    strengths = {name: np.zeros((membership.shape[1], replicates)) for name in joining}
    progress = Progress("bootstrap: voxels", matrix.shape[1])
    for here, block in column_blocks(matrix, min(CHUNK, max(1, MOST_VALUES // max(1, replicates)))):
        means = {  # [voxels, maps]
            group: (block if len(own) == len(block) else block[own]).T @ times[group] for group, own in rows.items()
        }
        for group, mean in means.items():
            mean /= sums[group]
        for name, factors in joining.items():
            volumes = sum(factor * means[group] for group, factor in factors.items())
            strengths[name] += membership[here].T @ np.abs(volumes, out=volumes)
        progress.step(block.shape[1])
    return {name: own.T for name, own in strengths.items()}


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
    matrix: RelevanceMatrix | np.ndarray,
    counts: Mapping[str, np.ndarray],
    joining: Mapping[str, Mapping[str, float]],
    membership,
    atlases: Mapping[str, Atlas],
    top: int,
    families: np.ndarray,
) -> pd.DataFrame:
    """Return `region_intervals` of every population map and atlas.

    Parameters
    ----------
    matrix, counts, joining, membership
        See `region_strengths`.
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
    for group, strengths in region_strengths(matrix, counts, joining, membership).items():
        counted, start = np.any([counts[one][0] > 0 for one in joining[group]], axis=0), 0
        known = {"group": group, "people": int(counted.sum()), "clusters": len(np.unique(families[counted]))}
        for name, atlas in atlases.items():
            end = start + len(atlas.regions)
            parts.append(region_intervals(strengths[:, start:end], atlas, top).assign(**known, atlas=name))
            start = end
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def bootstrap_intervals(
    matrix: RelevanceMatrix | np.ndarray,
    people: pd.DataFrame,
    families: pd.Series | None,
    joining: Mapping[str, Mapping[str, float]],
    membership,
    atlases: Mapping[str, Atlas],
    replicates: int,
    top: int,
    seed: int,
) -> pd.DataFrame:
    """Draw replicates and return `tabulate_intervals` of them; for the arguments see there and `resampled_counts`."""
    groups = [group for factors in joining.values() for group in factors]
    counts = resampled_counts(people, groups, replicates, seed, families)
    return tabulate_intervals(matrix, counts, joining, membership, atlases, top, number_families(people, families))


def joinings(groups: Sequence[str], how: str, joined: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how the map of each group comes about: the joint one as configured, others as means of their people.

    Parameters
    ----------
    groups : sequence of str
        Of which maps; ``joint`` among them.
    how, joined
        Of the joint map; see `voxplain.configuration.joining`.

    Returns
    -------
    dict of str to (dict of str to float)
        Factors of the means of groups; see `voxplain.population.weights.joining_factors`.
    """
    return {group: joining_factors(how, joined) if group == JOINT else {group: 1.0} for group in groups}
