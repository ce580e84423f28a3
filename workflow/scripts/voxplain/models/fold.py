"""One fold: a network trained on the people of all others, and what it says about its own."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from voxplain.models.prediction import predict
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import TrainedModel, train


def train_and_test(
    stack: np.ndarray,
    people: pd.DataFrame,
    fold: object,
    settings: TrainingSettings,
    device: torch.device | str,
    seed: int,
    resume_folder: str | Path,
    families: pd.Series | None = None,
    dropout_seed: int | None = None,
) -> tuple[TrainedModel, pd.DataFrame]:
    """Train on all folds but one, and predict that one.

    Parameters
    ----------
    stack : array [n, D, H, W]
        float32, may be memory-mapped.
    people : DataFrame
        ``participant_id, fold, target`` of each row of the stack, with the index 0 to n − 1.
    fold : int
    settings : TrainingSettings
    device : torch.device
    seed, resume_folder, dropout_seed
        See `voxplain.models.training.train`.
    families : Series, optional
        Family of each row; families are not split between training and inner validation.

    Returns
    -------
    TrainedModel
    DataFrame
        ``participant_id, fold, target`` and the columns of `predict`, in the order of the stack.

    Raises
    ------
    InputError
        As `train`.
    """
    tested = people["fold"] == fold
    training = people.index[~tested]
    groups = None if families is None else list(families[training])
    trained = train(
        stack, training, people["target"][training], settings, device, seed, resume_folder, groups, dropout_seed
    )
    guesses = predict(trained.model, stack, people.index[tested], trained.metadata, device)
    known = people.loc[tested, ["participant_id", "fold", "target"]].reset_index(drop=True)
    return trained, known.join(guesses)
