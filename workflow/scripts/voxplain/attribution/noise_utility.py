"""The noise model's own test: how well a network does when only the voxels named most important stay clean."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from voxplain.attribution.noise import draw
from voxplain.attribution.noise_model import TrainedNoise
from voxplain.base.errors import InputError, refuse
from voxplain.base.seeds import stream
from voxplain.models.answers import Answers
from voxplain.models.folding import fold_batchnorm
from voxplain.models.loading import Volumes

SHARES = tuple(range(0, 101, 10))
ORDERS = ("importance", "random")


def noise_utility(
    model: nn.Module,
    trained: TrainedNoise,
    stack: np.ndarray,
    rows: Sequence[int],
    participant_ids: Sequence[str],
    targets: Sequence[object],
    metadata: Mapping[str, object],
    device: torch.device | str,
    seed: int,
    brain: np.ndarray | None = None,
    shares: Sequence[float] = SHARES,
    noise: float | None = None,
    batch_size: int = 8,
) -> pd.DataFrame:
    """Measure a network on images of which a share of the voxels is clean and the others carry noise.

    The clean voxels are those that bear least noise by the noise model, or as many at random; the noise of a person is
    the same for every share and order.

    Parameters
    ----------
    model : nn.Module
        The network; left as it is.
    trained : TrainedNoise
    stack : array [n, D, H, W]
    rows, participant_ids, targets : sequences
        People to measure on, best those whom neither model has seen, and their true targets.
    metadata : mapping
        Of the network's checkpoint: ``task``, ``labels``, ``target_mean``, ``target_sd``.
    device : torch.device
    seed : int
    brain : ndarray of bool [D, H, W], optional
        Voxels that shares count and noise falls on; without it all. Beside a random choice from the whole volume, an
        order that puts the brain before the empty background would look good without knowing anything else.
    shares : sequence of float
        Percent of the voxels that stay clean, 0 to 100.
    noise : float, optional
        Standard deviation of the noise in standard deviations of intensity; default: ``noise_max`` of the settings.
    batch_size : int
        Does not change the result but for rounding.

    Returns
    -------
    DataFrame
        ``order, share_clean, n`` and ``accuracy``, or ``mae`` in the target's unit.

    Raises
    ------
    InputError
        For shares outside 0 to 100, lists of unequal length and a mask of another shape.
    """
    outside = [share for share in shares if not 0 <= share <= 100]
    if outside:
        refuse("shares of clean voxels must lie in 0 ... 100 percent", outside)
    if not len(rows) == len(participant_ids) == len(targets):
        raise ValueError(f"{len(rows)} rows, {len(participant_ids)} ids and {len(targets)} targets: one of each")
    device = torch.device(device)
    volumes = Volumes(stack, rows, device, resident=False)
    answers = Answers.encode(targets, metadata["task"], metadata["labels"] or ())
    where = torch.ones(volumes.shape, dtype=torch.bool) if brain is None else torch.as_tensor(np.asarray(brain, bool))
    if tuple(where.shape) != volumes.shape:
        raise InputError(f"brain: {list(where.shape)}, expected the images' {list(volumes.shape)}")
    where = where.flatten().to(device)
    sd = trained.intensity_sd * (trained.settings.noise_max if noise is None else noise)
    network = fold_batchnorm(model, volumes.batch([0])).to(device)
    noise_model = trained.model.to(device).eval()
    utility = np.zeros((len(ORDERS), len(shares), len(rows)))
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in range(0, len(rows), batch_size):
            places = range(start, min(start + batch_size, len(rows)))
            ids = [participant_ids[place] for place in places]
            images = volumes.batch(places)
            noisy = images + sd * draw(images, ids, seed, "noise utility")
            for i, scores in enumerate((-noise_model(images).flatten(1)[:, where], _chance(ids, where, seed))):
                ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
                for j, share in enumerate(shares):
                    clean = torch.ones_like(images, dtype=torch.bool).flatten(1)
                    clean[:, where] = ranks < round(share / 100 * ranks.shape[1])
                    outputs = network(torch.where(clean.view_as(images), images, noisy))
                    utility[i, j, start : places.stop] = _utility(outputs, answers, places, metadata)
    measure = "accuracy" if answers.classification else "mae"
    return pd.DataFrame(
        {"order": order, "share_clean": share, "n": len(rows), measure: utility[i, j].mean()}
        for i, order in enumerate(ORDERS)
        for j, share in enumerate(shares)
    )


def summarise_utility(folds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return ``order, share_clean, metric, mean, sd, folds`` over the tables of the folds.

    The standard deviation (ddof 1) is missing for one fold.
    """
    everything = pd.concat(folds, ignore_index=True)
    metric = "accuracy" if "accuracy" in everything else "mae"
    grouped = everything.groupby(["order", "share_clean"], sort=True)[metric]
    table = grouped.agg(mean="mean", sd="std", folds="count").reset_index()
    table.insert(2, "metric", metric)
    return table


def _chance(ids: Sequence[str], where: torch.Tensor, seed: int) -> torch.Tensor:
    """Return random numbers for the voxels of each person's brain."""
    voxels = int(where.sum())
    scores = np.stack([stream(seed, "noise random order", i).permutation(voxels) for i in ids])
    return torch.from_numpy(scores).to(where.device)


def _utility(outputs: torch.Tensor, answers: Answers, places: range, metadata: Mapping[str, object]) -> np.ndarray:
    """Return for each person 1 for a right class and 0 for a wrong one, or the absolute error in the target's unit."""
    true = answers.values[places.start : places.stop]
    if answers.classification:
        return (outputs.argmax(dim=1).cpu().numpy() == true).astype(float)
    guess = outputs[:, 0].double().cpu().numpy() * metadata["target_sd"] + metadata["target_mean"]
    return np.abs(guess - true)
