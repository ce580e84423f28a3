"""Cells of the benchmark on the phantom: people straight on the common grid, and what was planted in them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from voxplain.base.progress import Progress
from voxplain.cohort.phantom.effects import mock_truth, truth_codes
from voxplain.cohort.phantom.families import LABELS, design
from voxplain.cohort.phantom.fields import positions
from voxplain.cohort.phantom.people import Person
from voxplain.cohort.phantom.settings import PhantomSettings
from voxplain.evaluation.power import Cell, score_cohort
from voxplain.imaging.grid import COMMON
from voxplain.imaging.intensity import normalise
from voxplain.imaging.stacking import MAJORITY


class PhantomCohort(NamedTuple):
    """A phantom in memory.

    Attributes
    ----------
    images : float32 ndarray [n, D, H, W]
        On the common grid, z-scored over each person's brain as the workflow does.
    people : DataFrame
        ``participant_id``, ``target`` (F, M) and ``group`` (family).
    truth : uint8 ndarray [D, H, W]
        `voxplain.cohort.phantom.effects.truth_codes`; where nothing is planted the mock truth.
    brain : ndarray of bool [D, H, W]
        Where more than half of the people have brain.
    """

    images: np.ndarray
    people: pd.DataFrame
    truth: np.ndarray
    brain: np.ndarray


def benchmark_settings(
    design: str, effect: float, seed: int, people: int, phantom: Mapping[str, object] | None = None
) -> PhantomSettings:
    """Return the settings of a cohort on the common grid, native-sized where nothing but head size differs.

    Parameters
    ----------
    design, effect, seed, people
        See `PhantomSettings`.
    phantom : mapping, optional
        Other fields of `PhantomSettings`.
    """
    space = "acpc" if design == "head_size" else "mni"
    known = {"space": space, "grid": "common", "dtype": "float32", **(phantom or {})}
    return PhantomSettings(**{**known, "design": design, "effect": effect, "seed": seed, "people": people})


def phantom_cohort(settings: PhantomSettings) -> PhantomCohort:
    """Make a phantom in memory; a person's image is what the workflow reads from the files of the same settings.

    Parameters
    ----------
    settings : PhantomSettings
        On the grid ``common``.
    """
    table = design(settings)
    images = np.empty((len(table), *COMMON.shape), dtype=np.float32)
    brains = np.zeros(COMMON.shape, dtype=np.int64)
    progress = Progress("phantom people", len(table))
    for place, row in table.iterrows():
        data = Person(row["participant_id"], row, settings).image()
        inside = data != 0
        images[place] = normalise(data, inside, "zscore")
        brains += inside
        progress.step()
    people = table.rename(columns={"Gender": "target", "Family_ID": "group"})[["participant_id", "target", "group"]]
    planted = truth_codes if settings.planted_effect > 0 else mock_truth
    return PhantomCohort(images, people, planted(settings, positions(COMMON)), brains > MAJORITY * len(table))


def phantom_cell(
    design: str,
    effect: float,
    seed: int,
    people: int,
    *,
    training: Mapping[str, object],
    methods: Mapping[str, Mapping[str, object]],
    phantom: Mapping[str, object] | None = None,
    **scoring: object,
) -> Cell:
    """Make a phantom, train a network on part of it and score the maps of the others.

    Cells of one seed share their people, their split and their noise, whatever the design and the effect.

    Parameters
    ----------
    design, effect, seed, people, phantom
        See `benchmark_settings`.
    training : mapping
        Fields of `voxplain.models.settings.TrainingSettings` without task and labels.
    methods : mapping
        See `voxplain.evaluation.power.score_cohort`.
    **scoring
        Its other arguments but the seed.
    """
    from voxplain.models.settings import TrainingSettings

    cohort = phantom_cohort(benchmark_settings(design, effect, seed, people, phantom))
    settings = TrainingSettings(**training, labels=LABELS)
    return score_cohort(*cohort, settings, methods, seed=seed, **scoring)
