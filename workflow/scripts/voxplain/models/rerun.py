"""A whole cross-validation of the network in one go: on other folds, or with shuffled targets."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from voxplain.base.files import read_table, write_table
from voxplain.base.progress import Progress
from voxplain.models.exchange import draw_exchange, exchangeable_blocks
from voxplain.models.fold import train_and_test
from voxplain.models.resuming import fingerprint
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import training_precision

DRAWS = 50  # shufflings of which the least related one is taken


def cross_validate(
    stack: np.ndarray,
    people: pd.DataFrame,
    settings: TrainingSettings,
    device: torch.device | str,
    seeds: Mapping[object, int],
    folder: str | Path,
    families: pd.Series | None = None,
) -> pd.DataFrame:
    """Train on all folds but one, test on that one, for every fold in turn.

    The predictions of each finished fold are kept in `folder`, and the epochs of the unfinished one: a job that was
    killed goes on where it was. The folder stays: delete it once the result is saved.

    Parameters
    ----------
    stack : array [n, D, H, W]
        float32, may be memory-mapped.
    people : DataFrame
        ``participant_id, fold, target`` of each row of the stack, with the index 0 to n − 1.
    settings : TrainingSettings
    device : torch.device
    seeds : mapping
        Seed of the training of each fold.
    folder : path-like
        What other settings, people or images left there is not used; what other code left is, so name it after the
        code.
    families : Series, optional
        Family of each row; families are not split between training and inner validation.

    Returns
    -------
    DataFrame
        ``participant_id, fold, target`` and the columns of `voxplain.models.prediction.predict`: the folds one after
        the other, people in the order of the stack.

    Raises
    ------
    InputError
        As `voxplain.models.training.train`.
    """
    folds = sorted(people["fold"].unique())
    key = fingerprint(
        settings=asdict(settings),
        seeds=[seeds[fold] for fold in folds],
        people=people[["participant_id", "fold", "target"]].to_numpy().tolist(),
        families=None if families is None else pd.factorize(families)[0],
        images=np.array([volume.sum(dtype=np.float64) for volume in stack]),
        software=[torch.__version__, torch.device(device).type, str(training_precision(device, settings.amp))],
    )
    folder = Path(folder) / key
    folder.mkdir(parents=True, exist_ok=True)
    files = {fold: folder / f"fold-{fold}.tsv" for fold in folds}
    done = sum(file.is_file() for file in files.values())
    progress = Progress("cross-validation: fold", len(folds), done, every=0)
    with FileLock(folder / "lock"):
        tables = []
        for fold, file in files.items():
            state = folder / f"fold-{fold}"
            if not file.is_file():
                _, guesses = train_and_test(stack, people, fold, settings, device, seeds[fold], state, families)
                write_table(guesses, file)
                progress.step()
            shutil.rmtree(state, ignore_errors=True)
            # Read back also when just written, so that an interrupted run gives the same bytes.
            tables.append(read_table(file))
    return pd.concat(tables, ignore_index=True)


def shuffle_targets(people: pd.DataFrame, seed: int, number: int, families: pd.Series | None = None) -> pd.Series:
    """Return the targets of one permutation: shuffled among the people, or families, of each fold.

    Folds were stratified by the true targets. Shuffling over all people would undo that: a class that is rare in
    training is then common in the test, which pulls accuracies below chance and flatters the true one. (A ridge
    classifier on noise, 60 people, 5 folds, 600 shuffles: 0.44 on average over all people, 0.50 within folds.)

    Relatives resemble each other in target and image alike and cannot be exchanged one by one, which would make p too
    small: families of equal size within a fold exchange their targets as wholes, and members of a family theirs
    (Winkler et al. 2015, NeuroImage 123, "Multi-level block permutation"). A fold's only family of its size keeps its
    targets, but for their order.

    Parameters
    ----------
    people : DataFrame
        ``participant_id, fold, target``.
    seed : int
        The config's.
    number : int
        Of the permutation.
    families : Series, optional
        Of each person, with the index of `people`; without it everybody is unrelated.

    Returns
    -------
    Series
        With the index of `people`, whose order does not matter.
    """
    return _exchanged(people["target"], exchangeable_blocks(people, families), seed, number)


def _exchanged(targets: pd.Series, strata: Sequence[np.ndarray], seed: int, number: int) -> pd.Series:
    return targets.iloc[draw_exchange(strata, seed, number)].set_axis(targets.index)


def unrelated_targets(people: pd.DataFrame, seed: int, number: int, families: pd.Series | None = None) -> pd.Series:
    """Return shuffled targets that know as little as can be of the true ones: the least related of many shufflings.

    By chance a shuffling of few people goes along with the truth or against it, a network learns that part, and its
    maps find what truly differs. Related means correlated, within the folds: of classes the indicators, of numbers the
    numbers; the sum of squares over folds counts.

    Parameters
    ----------
    people, seed, families
        See `shuffle_targets`.
    number : int
        Of the repeat; other numbers choose from other shufflings.

    Returns
    -------
    Series
        As `shuffle_targets`.
    """
    truth = _indicators(people["target"])

    def related(shuffled: pd.Series) -> float:
        other = _indicators(shuffled)
        total = 0.0
        for _, rows in people.groupby("fold"):
            own, its = (table.loc[rows.index].to_numpy() for table in (truth, other))
            own, its = own - own.mean(axis=0), its - its.mean(axis=0)
            size = np.outer((own**2).sum(axis=0), (its**2).sum(axis=0))
            total += np.divide((own.T @ its) ** 2, size, out=np.zeros(size.shape), where=size > 0).sum()
        return total

    strata = exchangeable_blocks(people, families)
    candidates = (_exchanged(people["target"], strata, seed, DRAWS * number + draw) for draw in range(DRAWS))
    return min(candidates, key=related)


def _indicators(targets: pd.Series) -> pd.DataFrame:
    """Return numbers as they are, and classes as a column of zeros and ones each."""
    if pd.api.types.is_numeric_dtype(targets):
        return targets.astype(float).to_frame()
    return pd.get_dummies(targets, dtype=float)
