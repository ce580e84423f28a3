"""One cell of a benchmark: a cohort with something planted, one network, and how well each method's maps find it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from voxplain.attribution.choosing import choose_people
from voxplain.attribution.explaining import target_kind
from voxplain.attribution.noise_training import train_noise
from voxplain.attribution.registry import attribute, checked_settings, find_method
from voxplain.attribution.targets import target_weights
from voxplain.base.errors import refuse
from voxplain.base.files import read_table, write_table
from voxplain.base.progress import Progress
from voxplain.base.seeds import seed_for
from voxplain.cohort.folds import assign_folds
from voxplain.evaluation.power_scores import SCORE_COLUMNS, Cohort, score_images, score_maps
from voxplain.evaluation.shuffled_truth import MIN_INSIDE, shuffle_truth
from voxplain.imaging.grid import COMMON
from voxplain.models.fold import train_and_test
from voxplain.models.holdout import families_of
from voxplain.models.metrics import fold_metrics
from voxplain.models.prediction import network_outputs
from voxplain.models.resuming import fingerprint
from voxplain.models.settings import TrainingSettings
from voxplain.population.summary import STATISTICS

HELD_OUT, TRAINED_ON = 0, 1
LEAST_FOR_T = 2  # of each class


class Cell(NamedTuple):
    """What is known of a cell.

    Attributes
    ----------
    scores : DataFrame
        `voxplain.evaluation.power_scores.SCORE_COLUMNS`; see `score_cohort`.
    accuracy : DataFrame
        One row: ``accuracy, balanced_accuracy, auc`` in the held-out people, ``n_train, n_test, epoch``.
    cost : DataFrame
        ``step, seconds``: ``training``, and of each method its maps (``{name}``) and their scores (``{name} scored``).
    """

    scores: pd.DataFrame
    accuracy: pd.DataFrame
    cost: pd.DataFrame


def score_cohort(
    images: np.ndarray,
    people: pd.DataFrame,
    truth: np.ndarray,
    brain: np.ndarray,
    training: TrainingSettings,
    methods: Mapping[str, Mapping[str, object]],
    *,
    held_out: float = 0.25,
    statistics: Sequence[str] = STATISTICS,
    fwhms_mm: Sequence[float] = (0.0, 8.0),
    shuffles: int = 200,
    min_inside: float = MIN_INSIDE,
    seed: int = 0,
    device: torch.device | str = "cpu",
    state_folder: str | Path,
    affine: np.ndarray = COMMON.affine,
) -> Cell:
    """Train a network on part of a cohort, explain it for the others, and hold the maps against the truth.

    Parameters
    ----------
    images : float32 ndarray [n, D, H, W]
    people : DataFrame
        ``participant_id``, ``target`` (one of two labels) and ``group`` (family, or missing), in the order of `images`.
    truth : ndarray [D, H, W]
        Not 0 where the classes differ, or where something might have been planted but was not.
    brain : ndarray of bool [D, H, W]
    training : TrainingSettings
        Of a classification of two labels; maps of the contrast are the second minus the first.
    methods : mapping of str to mapping
        Per name in the tables: ``method`` (a key of `voxplain.attribution.registry.METHODS`), ``people`` (how many of
        the held-out are explained; missing or None: all), ``target``, and settings of the method.
    held_out : float
        Share of the people that the network does not see, in (0, 0.5], rounded to one part of a whole number of parts;
        stratified by target, families on one side.
    statistics : sequence of str
        Of `voxplain.population.summary.STATISTICS`.
    fwhms_mm : sequence of float
        Widths by which maps are smoothed before they are scored.
    shuffles, min_inside
        See `voxplain.evaluation.shuffled_truth.shuffle_truth`; the same misplaced truths serve all maps.
    seed : int
    device : torch.device or str
    state_folder : path-like
        Where the epochs of the training and the scores of finished methods are kept, so that a cell that was killed
        goes on where it was. What other data or settings left there is not used; what other code left is, so name it
        after the code, and delete it once the result is saved.
    affine : ndarray [4, 4]
        Of the maps; gives the voxels' size.

    Returns
    -------
    Cell
        The scores have, for each method, a row for each statistic, way to join the classes (``joint``: ``mean``, or
        ``difference``, which for ``t`` is Welch's) and width on the level ``population``, with the measures of
        `voxplain.evaluation.shuffled_truth.score_beside_chance` and the number of people explained; ``usual`` marks
        what `voxplain.configuration.joining` takes by default. On the level ``people`` there is a row a width with mean
        and standard deviation over people of the measures of single maps, chance being that of random voxels.

        The maps of single people are also compared with what needs no network: ``anatomy_held_out`` and
        ``anatomy_all``, Welch's t-statistic of the images themselves, over the explained and over all people.

    Raises
    ------
    InputError
        For settings that cannot be, too few explained people of a class, and whatever splitting, training, explaining
        and scoring refuse.
    """
    _check(training, methods, statistics, held_out)
    people = people.reset_index(drop=True)
    labels, parts = [str(label) for label in training.labels], max(2, round(1 / held_out))
    folds = assign_folds(people, people["participant_id"], parts, training.task, seed_for(seed, "cell")).set_index(
        "participant_id"
    )
    tested = folds["fold"].reindex(people["participant_id"]).to_numpy() == 0
    _check_explained(people[tested], labels, methods, statistics)
    people["fold"] = np.where(tested, HELD_OUT, TRAINED_ON)
    state = Path(state_folder)
    trained, guesses = train_and_test(
        images, people, HELD_OUT, training, device, seed_for(seed, "cell", "training"), state / "training",
        families_of(people, people["participant_id"]),
    )  # fmt: skip
    brain, truth = np.asarray(brain, dtype=bool), np.asarray(truth) != 0
    shuffled = shuffle_truth(truth, brain, shuffles, seed, min_inside)
    cohort = Cohort(images, people, labels, truth, brain, shuffled, statistics, fwhms_mm, affine)
    rows = np.flatnonzero(tested)
    logits = torch.from_numpy(network_outputs(trained.model, images, rows, device)).float()
    facts = {
        "training": asdict(training), "people": people[["participant_id", "fold", "target"]].to_numpy().tolist(),
        "images": np.array([volume.sum(dtype=np.float64) for volume in images]), "truth": truth, "brain": brain,
        "families": pd.factorize(people["group"])[0], "seed": [seed, shuffles, min_inside],
        "scores": [list(statistics), list(fwhms_mm)], "software": [torch.__version__, torch.device(device).type],
    }  # fmt: skip
    mean_image = images[~tested].mean(axis=0, dtype=np.float64).astype(np.float32)
    explainer = _Explainer(trained, logits, cohort, rows, mean_image, seed, device, state)
    progress = Progress("benchmark: methods", len(methods))
    tables, cost = [], [("training", float(trained.history["seconds"].sum()))]
    for name, options in methods.items():
        file = state / f"scores-{fingerprint(**facts, name=name, options=dict(options))}.tsv"
        if not file.is_file():
            start = time.monotonic()
            chosen, maps = explainer.maps(name, options)
            middle = time.monotonic()
            scored = score_maps(name, maps, chosen, cohort, _opposed(options))
            seconds = {"maps_seconds": middle - start, "scores_seconds": time.monotonic() - middle}
            write_table(scored.assign(**seconds), file)
        kept = read_table(file)  # also when just written, so that an interrupted run gives the same numbers
        cost += [(name, kept["maps_seconds"][0]), (f"{name} scored", kept["scores_seconds"][0])]
        tables.append(kept[SCORE_COLUMNS])
        progress.step(note=name)
    tables += [
        score_images("anatomy_held_out", tested, cohort),
        score_images("anatomy_all", np.full(len(people), True), cohort),
    ]
    accuracy = fold_metrics(guesses, training.task, labels)
    accuracy |= {"n_train": int((~tested).sum()), "n_test": len(rows), "epoch": trained.metadata["epoch"]}
    return Cell(
        pd.concat(tables, ignore_index=True), pd.DataFrame([accuracy]), pd.DataFrame(cost, columns=["step", "seconds"])
    )


def _check(training: TrainingSettings, methods: Mapping, statistics: Sequence[str], held_out: float) -> None:
    problems = [f"method {name}: names no attribution method" for name in methods if "method" not in methods[name]]
    problems += [
        f"statistic {one!r}, expected some of {', '.join(STATISTICS)}" for one in set(statistics) - {*STATISTICS}
    ]
    if training.task != "classification" or len(training.labels) != 2:
        problems.append(f"task {training.task} of {len(training.labels)} labels: two classes are compared")
    if not 0 < held_out <= 0.5:
        problems.append(f"held_out {held_out!r} must be above 0 and at most 0.5")
    if problems:
        refuse("A cell of the benchmark cannot be made", problems)
    for options in methods.values():  # before hours of training
        method = str(options["method"])
        checked_settings(method, _own_settings(options))
        target_kind(method, options.get("target"), list(training.labels))


def _check_explained(people: pd.DataFrame, labels: Sequence[str], methods: Mapping, statistics: Sequence[str]) -> None:
    """Refuse, before any training, fewer explained people than the statistics over each class need."""
    counts = people["target"].value_counts().reindex(labels, fill_value=0)
    # Of the images themselves there is always a t-map.
    problems = [
        f"held-out people of class {label}: {count}, expected {LEAST_FOR_T} or more"
        for label, count in counts.items()
        if count < LEAST_FOR_T
    ]
    least = len(labels) * (LEAST_FOR_T if "t" in statistics else 1)
    problems += [
        f"method {name}: people {options['people']}, expected {least} or more"
        for name, options in methods.items()
        if options.get("people") is not None and options["people"] < least
    ]
    if problems:
        refuse("Too few people are explained.", problems, "Take more people, or hold out a larger share of them.")


def _opposed(options: Mapping[str, object]) -> bool:
    """Tell whether means of classes cancel: one score of both classes is explained, and signs follow the own class."""
    return find_method(str(options["method"])).contribution and options.get("target") not in ("predicted", "true")


def _own_settings(options: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of the method itself."""
    return {key: value for key, value in options.items() if key not in ("method", "people", "target")}


class _Explainer:
    """Makes the maps of the held-out people, one method after the other."""

    def __init__(self, trained, logits, cohort: Cohort, rows, mean_image, seed: int, device, state: Path):
        self.trained, self.logits, self.cohort, self.rows = trained, logits, cohort, rows
        self.mean_image, self.seed, self.device, self.state = mean_image, seed, device, state

    def maps(self, name: str, options: Mapping[str, object]) -> tuple[pd.DataFrame, np.ndarray]:
        """Return who was explained and their maps, float32 [n, D, H, W]."""
        method, settings = str(options["method"]), _own_settings(options)
        everybody, labels = self.cohort.people.iloc[self.rows], self.cohort.labels
        chosen = choose_people(everybody, options.get("people"), self.seed)
        places = [everybody.index.get_loc(row) for row in _rows_of(chosen, self.cohort.people)]
        kind = target_kind(method, options.get("target"), labels)
        weights = target_weights(kind, self.logits[places], labels, list(chosen["target"]))
        images = torch.from_numpy(self.cohort.images[self.rows[places]])[:, None]
        noise_model = None
        if method == "noise":
            noise_model, _ = train_noise(
                self.trained.model, self.cohort.images, np.setdiff1d(np.arange(len(self.cohort.people)), self.rows),
                {**self.trained.metadata, "fold": HELD_OUT}, checked_settings(method, settings), self.device,
                seed_for(self.seed, "noise", HELD_OUT), self.state / f"noise-{fingerprint(name=name)}",
            )  # fmt: skip
        result = attribute(
            method, self.trained.model, images, weights, participant_ids=list(chosen["participant_id"]),
            seed=self.seed, mean_image=self.mean_image, noise_model=noise_model, **settings,
        )  # fmt: skip
        return chosen, result.maps.numpy()


def _rows_of(chosen: pd.DataFrame, people: pd.DataFrame) -> np.ndarray:
    return pd.Index(people["participant_id"]).get_indexer(chosen["participant_id"])
