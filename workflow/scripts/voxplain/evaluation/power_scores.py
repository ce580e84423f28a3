"""Scores of a cell of the benchmark: one method's maps of people, joined in every way, against what was planted."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from voxplain.evaluation.localization import MEASURES, score_people
from voxplain.evaluation.shuffled_truth import score_beside_chance
from voxplain.population.summary import joint, smooth, summarise, welch

# How the maps of two classes may be joined. The difference of unsigned maps has no meaning that one would look for.
JOINTS = {
    "mean_rectified": ("mean",),
    "mean_absolute": ("mean",),
    "mean_signed": ("mean", "difference"),
    "t": ("mean", "difference"),
}
CHANCE = ("auc_chance", "auc_chance_95", "auc_p", "dice_chance", "dice_chance_95", "dice_p")
SCORE_COLUMNS = [
    *("method", "statistic", "joint", "usual", "fwhm_mm", "level", "n"),
    *(name + what for name in MEASURES for what in ("", "_sd")),
    *CHANCE,
]


class Cohort(NamedTuple):
    """What all methods of a cell share.

    Attributes
    ----------
    images : float32 ndarray [n, D, H, W]
    people : DataFrame
        ``participant_id``, ``target``.
    labels : sequence of two str
    truth, brain : ndarray of bool [D, H, W]
    shuffled : list of ndarray of int
        From `voxplain.evaluation.shuffled_truth.shuffle_truth`.
    statistics, fwhms_mm : sequence
    affine : ndarray [4, 4]
    """

    images: np.ndarray
    people: pd.DataFrame
    labels: Sequence[str]
    truth: np.ndarray
    brain: np.ndarray
    shuffled: list[np.ndarray]
    statistics: Sequence[str]
    fwhms_mm: Sequence[float]
    affine: np.ndarray


def population_maps(
    maps: np.ndarray, targets: Sequence[str], labels: Sequence[str], statistics: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Give the population's map under each statistic and each way to join two classes.

    Parameters
    ----------
    maps : ndarray [n, D, H, W]
    targets : sequence of str
        Class of each person.
    labels : sequence of two str
    statistics : sequence of str

    Yields
    ------
    tuple of str, str and float32 ndarray [D, H, W]
        Statistic, joint (``mean``, ``difference``) and map.
    """
    targets = np.asarray([str(target) for target in targets])

    def own(label):
        return ((str(place), maps[place]) for place in np.flatnonzero(targets == label))

    for statistic in statistics:
        classes = [summarise(own(label), statistic) for label in labels]
        for how in JOINTS[statistic]:
            if statistic == "t" and how == "difference":
                yield statistic, how, welch(own(labels[0]), own(labels[1]))
            else:
                yield statistic, how, joint(classes, how)


def score_maps(name: str, maps: np.ndarray, chosen: pd.DataFrame, cohort: Cohort, opposed: bool) -> pd.DataFrame:
    """Score what a method says of some people, as a population and one by one.

    Parameters
    ----------
    name : str
        Of the method in the table.
    maps : float32 ndarray [n, D, H, W]
    chosen : DataFrame
        ``participant_id`` and ``target`` of each map.
    cohort : Cohort
    opposed : bool
        Whether the signs of the maps follow the person's own class, so that means of the classes cancel and their
        difference is usual.

    Returns
    -------
    DataFrame
        `SCORE_COLUMNS`; see `voxplain.evaluation.power.score_cohort`.
    """
    rows = []
    for statistic, how, volume in population_maps(maps, chosen["target"], cohort.labels, cohort.statistics):
        usual = how == ("difference" if opposed and len(JOINTS[statistic]) > 1 else "mean")
        here = {"method": name, "statistic": statistic, "joint": how, "usual": usual, "n": len(maps)}
        rows += _score_population(volume, here, cohort)
    for fwhm in cohort.fwhms_mm:
        ids = zip(chosen["participant_id"], maps, strict=True)
        smoothed = ((person, smooth(one, fwhm, cohort.affine, cohort.brain)) for person, one in ids)
        own = score_people(smoothed, cohort.truth, cohort.brain).iloc[0].to_dict()
        rows.append({**own, "method": name, "fwhm_mm": fwhm, "level": "people"})
    return pd.DataFrame(rows).reindex(columns=SCORE_COLUMNS)


def _score_population(volume: np.ndarray, here: dict, cohort: Cohort) -> list[dict]:
    rows = []
    for fwhm in cohort.fwhms_mm:
        smoothed = smooth(volume, fwhm, cohort.affine, cohort.brain)
        score = score_beside_chance(smoothed, cohort.truth, cohort.brain, cohort.shuffled)
        rows.append({**here, "fwhm_mm": fwhm, "level": "population", **score})
    return rows


def score_images(name: str, chosen: np.ndarray, cohort: Cohort) -> pd.DataFrame:
    """Score the mass-univariate t-map (Welch) of the images of some people, bool [n], as `score_maps` does."""
    targets = cohort.people["target"][chosen]
    *_, volume = population_maps(cohort.images[chosen], targets, cohort.labels, ["t"])  # the last is Welch's
    here = {"method": name, "statistic": "t", "joint": "difference", "usual": True, "n": int(chosen.sum())}
    return pd.DataFrame(_score_population(volume[2], here, cohort)).reindex(columns=SCORE_COLUMNS)
