"""What a trained network says about people."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from voxplain.models.loading import Volumes


def predict(
    model: nn.Module,
    stack: np.ndarray,
    rows: Sequence[int],
    metadata: Mapping[str, object],
    device: torch.device | str,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Predict the target of some rows of the stack, in full precision.

    Parameters
    ----------
    model : nn.Module
        Moved to the device and left there, in the mode it was in.
    stack : array [n, D, H, W]
    rows : sequence of int
    metadata : mapping
        Of the checkpoint: ``task``, ``labels``, ``target_mean``, ``target_sd``.
    device : torch.device
    batch_size : int
        Does not change the result but for rounding.

    Returns
    -------
    DataFrame
        One row a person, in the order of `rows`. Classification: ``prediction`` (label), ``score`` and ``p_{label}``
        per class; the score is the logit of the second class minus that of the first, and with more than two classes
        the margin of the largest logit over the next. Regression: ``prediction`` and ``score``, both the predicted
        value in the target's unit.
    """
    outputs = network_outputs(model, stack, rows, device, batch_size)
    if metadata["task"] == "regression":
        values = outputs[:, 0] * metadata["target_sd"] + metadata["target_mean"]
        return pd.DataFrame({"prediction": values, "score": values})
    labels = list(metadata["labels"])
    if len(labels) == 2:
        score = outputs[:, 1] - outputs[:, 0]
    else:
        ordered = np.sort(outputs, axis=1)
        score = ordered[:, -1] - ordered[:, -2]
    chances = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"prediction": [labels[i] for i in outputs.argmax(axis=1)], "score": score})
    return frame.assign(**{f"p_{label}": chances[:, i] for i, label in enumerate(labels)})


def network_outputs(
    model: nn.Module, stack: np.ndarray, rows: Sequence[int], device: torch.device | str, batch_size: int = 16
) -> np.ndarray:
    """Return the raw outputs, float64 [rows, outputs]; those of a regression are in standardised units."""
    device = torch.device(device)
    if len(rows) == 0:
        raise ValueError("no rows to predict")
    # Every volume is needed once: nothing to keep on the device.
    volumes = Volumes(stack, rows, device, resident=False)
    was_training = model.training
    model.to(device).eval()
    try:
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            parts = [
                model(volumes.batch(range(start, min(start + batch_size, len(volumes))))).double().cpu()
                for start in range(0, len(volumes), batch_size)
            ]
    finally:
        model.train(was_training)
    return torch.cat(parts).numpy()
