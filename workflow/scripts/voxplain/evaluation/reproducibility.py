"""Do maps come out alike when the network is trained once more, with one thing changed?

The maps of the same people under the original networks and under those of a variant (another seed, other dropout
masks, other folds, noise on the weights; as a control, labels shuffled for the training) are compared at four levels:
person by person, as the map of the population, in the ranking of regions, and voxel by voxel.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.evaluation.icc import Ratings
from voxplain.imaging.grid import COMMON, Grid
from voxplain.population.atlas import Atlas
from voxplain.population.maps import read_index, read_on_grid, walk_maps
from voxplain.population.overlap import dice, dice_chance, spearman
from voxplain.population.regions import region_scores, top_regions
from voxplain.population.summary import prepared, smooth
from voxplain.population.threshold import top_voxels
from voxplain.population.weights import person_weights

COLUMNS = ["change", "variant", "level", "measure", "value", "sd", "chance", "dice_chance", "n"]
QUARTILES = {"": 0.5, "_q25": 0.25, "_q75": 0.75}


@dataclass(frozen=True)
class Comparison:
    """How maps are joined and what of them is compared.

    Attributes
    ----------
    brain : ndarray of bool [D, H, W]
    how, groups : str, sequence of str
        How the joint map comes about; see `voxplain.population.weights.person_weights`.
    statistic, normalise : str
        Over people; see `voxplain.population.summary.summarise`. Of ``t`` the mean or difference that is tested.
    smoothing_fwhm_mm : float
        Of the joint map.
    top_percent : float
        Of the brain's voxels, the strongest ones, whose overlap is taken.
    atlas : Atlas, optional
    top_regions : int
        How many regions of it, those with the largest share, are compared.
    grid : Grid
        Of maps, brain and atlas.
    """

    brain: np.ndarray
    how: str
    groups: Sequence[str]
    statistic: str = "mean_signed"
    normalise: str = "none"
    smoothing_fwhm_mm: float = 0.0
    top_percent: float = 5.0
    atlas: Atlas | None = None
    top_regions: int = 10
    grid: Grid = COMMON

    def strongest(self, values: np.ndarray) -> np.ndarray:
        """Return which of the brain's voxels are the strongest ones, bool [V]."""
        return top_voxels(values, np.ones(values.shape, bool), round(self.top_percent * values.size / 100))


@dataclass
class _Sample:
    """The people who have a map in a variant and in the original, and what is summed up over them."""

    people: pd.DataFrame
    weights: dict[str, float]
    other: dict[str, str]  # whose map of the variant stands for chance; nobody's for a single person
    original: np.ndarray | float = 0.0
    again: np.ndarray | float = 0.0
    pairs: list[dict[str, float]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return list(self.people["participant_id"])


def measure(
    original: Sequence[str],
    variants: Mapping[str, Sequence[str]],
    people: pd.DataFrame,
    comparison: Comparison,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the maps of one method with those of networks that were trained again.

    Parameters
    ----------
    original : sequence of path-like
        Folders of maps of the original networks; see `voxplain.population.maps.walk_maps`.
    variants : mapping of str to sequence of path-like
        The same of each variant. ``seed-1`` and ``seed-2`` are repeats of the change ``seed``.
    people : DataFrame
        ``participant_id`` and ``target`` of everybody explained.
    comparison : Comparison
    seed : int
        Draws which other person's map stands for chance.

    Returns
    -------
    DataFrame
        ``change, variant, level, measure, value, sd, chance, dice_chance, n``, without a row about one person; n is the
        number of people who have a map in both.

        ``people``: ``spearman`` (of the signed maps inside the brain) and ``dice`` of the strongest voxels by |map|,
        mean and SD (ddof 1) over people; ``chance`` is the mean of the same between the original map of each person and
        the variant's map of another one (a random cyclic order of the people): where it is as high, maps do not tell
        people apart. A constant map has no ranks and is left out of the mean.

        ``population``: the same two of the joint maps of these people, smoothed; chance is 0 and ``dice_chance``, which
        is the Dice of as many random voxels (also given for people). What anatomy and architecture alone make alike is
        more, and told by the control whose labels were shuffled.

        ``regions`` (with an atlas): ``overlap``, the share of the first regions that both joint maps have in common,
        with chance k / R for k of R regions, and ``spearman`` of the regions' shares.

        ``voxels``, of all repeats of a change together (``variant`` empty), over the people who have a map in all of
        them: ``icc_agreement`` and ``icc_consistency``, ICC(2,1) and ICC(3,1) of Shrout & Fleiss 1979 with original and
        repeats as raters: medians over the brain's voxels, ``_q25`` and ``_q75``, and the same of the ``_top`` voxels,
        the strongest ones of the original joint map of all people of the change. Voxels at which nothing varies are
        left out; missing for fewer than two people.

    Raises
    ------
    InputError
        When no variant can be compared, naming for each what is missing; and what `walk_maps` refuses. Of several
        variants one is left out, with a message, when it has nobody in common with the original maps or nobody of a
        group, or people who are not among `people`.
    """
    own = read_index(original)
    samples, paths = _samples(own, variants, people, comparison, seed)
    rows = []
    for change in dict.fromkeys(change_of(variant) for variant in samples):
        repeats = {variant: sample for variant, sample in samples.items() if change_of(variant) == change}
        rows += _compare(change, original, {name: variants[name] for name in repeats}, repeats, paths, comparison)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def change_of(variant: str) -> str:
    """Return what was changed: ``seed`` of ``seed-2``."""
    return re.sub(r"-\d+$", "", variant)


def other_people(ids: Sequence[str], seed: int) -> dict[str, str]:
    """Return another person for each one, each person once; for a single person nobody.

    The people are put in a random cycle (Sattolo 1986: no cycle of all leaves anybody in place), which depends on the
    seed and on who they are, not on the order in which they are given.
    """
    ids = sorted(ids)
    cycle = stream(seed, "reproducibility", "other people").permutation(len(ids))
    return {ids[one]: ids[other] for one, other in zip(cycle, np.roll(cycle, 1), strict=True) if one != other}


def _samples(own, variants, people, comparison, seed) -> tuple[dict[str, _Sample], dict[str, pd.Series]]:
    """Return the people of each variant that can be compared, and where its maps are."""
    samples, paths, problems, explained = {}, {}, [], set(own["participant_id"])
    for variant, folders in variants.items():
        paths[variant] = read_index(folders).set_index("participant_id")["path"]
        both = sorted(explained & set(paths[variant].index))
        here = people[people["participant_id"].isin(both)].sort_values("participant_id", ignore_index=True)
        if not both:
            problems.append(f"{variant}: has {len(paths[variant])} people with a map, none of whom the original has")
            continue
        if len(here) < len(both):
            problems.append(f"{variant}: {len(both) - len(here)} people with a map are in no fold")
            continue
        try:
            weights = person_weights(here, comparison.how, comparison.groups)
        except InputError as error:
            problems.append(f"{variant}: {error}")
            continue
        samples[variant] = _Sample(here, dict(zip(both, weights, strict=True)), other_people(both, seed))
    if not samples:
        refuse(
            f"None of the {len(variants)} variants can be compared with the original maps.",
            problems,
            "Explain the same people with the networks that were trained again, or more people.",
        )
    for problem in problems:  # few people of few folds: what can be compared is worth the other networks' time
        print(f"Warning: left out: {problem}", file=sys.stderr)
    return samples, paths


def _compare(change, original, folders, samples, paths, comparison) -> Iterator[dict[str, object]]:
    """Walk once through the maps of one change and give the rows of its table."""
    everybody = pd.concat([sample.people for sample in samples.values()]).drop_duplicates("participant_id")
    everybody = everybody.sort_values("participant_id", ignore_index=True)
    weights = person_weights(everybody, comparison.how, comparison.groups)
    brain, ratings, joint = np.asarray(comparison.brain, dtype=bool), Ratings(), 0.0
    walks = {name: walk_maps(folders[name], one.ids, grid=comparison.grid) for name, one in samples.items()}
    progress = Progress(f"reproducibility, {change}: people", len(everybody))
    own = walk_maps(original, everybody["participant_id"], grid=comparison.grid)
    for (person, volume), weight in zip(own, weights, strict=True):
        counted = prepared(volume, comparison.statistic, comparison.normalise)
        joint = joint + weight * counted
        seen = [volume[brain]]
        for name, sample in samples.items():
            if person not in sample.weights:
                continue
            _, again = next(walks[name])
            other = sample.other.get(person)
            stranger = None if other is None else read_on_grid(paths[name][other], comparison.grid)[brain]
            seen.append(again[brain])
            sample.pairs.append(_compare_people(seen[0], seen[-1], stranger, comparison))
            share = sample.weights[person]
            sample.original = sample.original + share * counted
            sample.again = sample.again + share * prepared(again, comparison.statistic, comparison.normalise)
        if len(seen) == len(samples) + 1:
            ratings.add(seen)
        progress.step()
    for name, sample in samples.items():
        for row in (*_people_rows(sample), *_population_rows(sample, comparison)):
            yield {"change": change, "variant": name, "n": len(sample.ids)} | row
    strongest = comparison.strongest(_smoothed(joint, comparison)[brain])
    for row in _voxel_rows(ratings, strongest):
        yield {"change": change, "variant": "", "n": ratings.people} | row


def _compare_people(first, again, stranger, comparison) -> dict[str, float]:
    top, top_again = comparison.strongest(first), comparison.strongest(again)
    found = {
        "spearman": spearman(first, again),
        "dice": dice(top, top_again),
        "dice_chance": dice_chance(top, top_again),
    }
    if stranger is None:
        return found | {"spearman_other": np.nan, "dice_other": np.nan}
    return found | {
        "spearman_other": spearman(first, stranger),
        "dice_other": dice(top, comparison.strongest(stranger)),
    }


def _people_rows(sample: _Sample) -> Iterator[dict[str, object]]:
    pairs = pd.DataFrame(sample.pairs)
    for name in ("spearman", "dice"):
        row = {"level": "people", "measure": name, "value": pairs[name].mean(), "sd": pairs[name].std()}
        row["chance"] = pairs[f"{name}_other"].mean()
        yield row | ({"dice_chance": pairs["dice_chance"].mean()} if name == "dice" else {})


def _population_rows(sample: _Sample, comparison: Comparison) -> Iterator[dict[str, object]]:
    brain = np.asarray(comparison.brain, dtype=bool)
    maps = [_smoothed(volume, comparison) for volume in (sample.original, sample.again)]
    tops = [comparison.strongest(volume[brain]) for volume in maps]
    chance = dice_chance(*tops)
    yield {"level": "population", "measure": "spearman", "value": spearman(*maps, brain), "chance": 0.0}
    yield {"level": "population", "measure": "dice", "value": dice(*tops), "chance": chance, "dice_chance": chance}
    if comparison.atlas is None:
        return
    scores = [region_scores(volume, np.zeros(brain.shape), comparison.atlas) for volume in maps]
    known = all(score["rank"].notna().all() for score in scores)
    regions = len(comparison.atlas.regions)
    count = min(comparison.top_regions, regions)
    first, again = (set(top_regions(score, count)["index"]) for score in scores)
    # Ties at the last place leave regions out: as many random ones of either map meet a·b / R times.
    overlap, chance = len(first & again) / count, len(first) * len(again) / regions / count
    correlation = spearman(*(score["share"].to_numpy() for score in scores)) if known else np.nan
    overlap, chance = (overlap, chance) if known else (np.nan, np.nan)
    yield {"level": "regions", "measure": "overlap", "value": overlap, "chance": chance}
    yield {"level": "regions", "measure": "spearman", "value": correlation, "chance": 0.0}


def _voxel_rows(ratings: Ratings, strongest: np.ndarray) -> Iterator[dict[str, object]]:
    correlations = ratings.correlations() if ratings.people > 1 else dict.fromkeys(("agreement", "consistency"))
    for kind, values in correlations.items():
        for where, chosen in (("", slice(None)), ("_top", strongest)):
            here = np.array([]) if values is None else values[chosen]
            here = here[np.isfinite(here)]
            for part, quantile in QUARTILES.items():
                row = {"level": "voxels", "measure": f"icc_{kind}{where}{part}", "chance": np.nan if part else 0.0}
                yield row | {"value": np.quantile(here, quantile) if here.size else np.nan}


def _smoothed(volume: np.ndarray, comparison: Comparison) -> np.ndarray:
    return smooth(volume, comparison.smoothing_fwhm_mm, comparison.grid.affine, comparison.brain)
