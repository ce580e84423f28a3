"""Mean and entropy of every feature of one layer, person by person."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from voxplain.attribution.activations import Layer, find_layer
from voxplain.base.errors import refuse
from voxplain.features.passes import on_call, read_and_stop
from voxplain.models.loading import Volumes

COLUMNS = ["row", "feature", "mean", "entropy"]


def describe(
    model: nn.Module,
    stack: np.ndarray,
    rows: Sequence[int],
    device: torch.device | str,
    layer: str | int = 1,
    bins: int = 256,
    batch_size: int = 16,
) -> pd.DataFrame:
    """Describe what every feature (channel) of a layer does in every person, in full precision.

    Parameters
    ----------
    model : nn.Module
        Moved to the device and left there, in the mode it was in.
    stack : array [n, D, H, W]
        Images, possibly memory-mapped.
    rows : sequence of int
        Rows of the stack.
    device : torch.device
    layer : str or int
        As in `voxplain.attribution.activations.find_layer`; 1 is the output of the nonlinearity after the first
        convolution, before any pooling.
    bins : int
        Of the histogram.
    batch_size : int
        Does not change the result but for rounding.

    Returns
    -------
    DataFrame
        ``row`` (of the stack), ``feature`` (channel, from 0), ``mean`` (of the activation over all voxels of the
        layer, the background around the brain among them) and ``entropy`` (nats) of the histogram of these voxels;
        a row a person and feature, people in the order of `rows`. The bins are of equal width between the smallest
        and the largest activation of the feature over all of these people, so that people can be compared. A feature
        that is the same at all voxels of all of them has the entropy 0.

    Raises
    ------
    InputError
        When there is no such layer, or its activations are not finite.

    Notes
    -----
    Kan et al. (2020, arXiv 2006.15969), appendix; their code scaled by the extremes of a batch, which makes a person's
    entropy depend on who happened to be beside them.
    """
    if len(rows) == 0:
        raise ValueError("no rows to describe")
    device = torch.device(device)
    volumes = Volumes(stack, rows, device, resident=True)  # two passes: the extremes, then the histograms between them
    was_training = model.training
    model.to(device).eval()
    try:
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = find_layer(model, volumes.batch([0]), layer)
            low, high = _extremes(_activations(model, found, volumes, batch_size))
            _check_finite(low, high, found)
            # One place for all answers: small ones kept between large activations would leave holes in the memory.
            answers = torch.empty((2, len(volumes), len(low)), dtype=torch.float64, device=device)
            batches = _activations(model, found, volumes, batch_size)
            for place, person in enumerate(person for batch in batches for person in batch):
                answers[0, place], answers[1, place] = _mean_and_entropy(person, low, high, bins)
    finally:
        model.train(was_training)
    means, entropies = answers.cpu().numpy()
    features = len(low)
    return pd.DataFrame(
        {
            "row": np.repeat(np.asarray(rows, dtype=np.int64), features),
            "feature": np.tile(np.arange(features), len(rows)),
            "mean": means.ravel(),
            "entropy": entropies.ravel(),
        },
        columns=COLUMNS,
    )


def _activations(network: nn.Module, layer: Layer, volumes: Volumes, batch_size: int) -> Iterator[Tensor]:
    """Yield the layer's activations [b, features, d, h, w] of one batch after the other."""
    for start in range(0, len(volumes), batch_size):
        yield _activations_of(network, layer, volumes.batch(range(start, min(start + batch_size, len(volumes)))))


def _activations_of(network: nn.Module, layer: Layer, images: Tensor) -> Tensor:
    step = layer.step

    def listen(receive):
        return step.module.register_forward_hook(on_call(step.call, lambda inputs, output: receive(output)))

    return read_and_stop(network, images, step.name, listen)


def _extremes(batches: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest activation of every feature, float64 [features] each."""
    low = high = None
    for batch in batches:
        pair = batch.transpose(0, 1).flatten(1).aminmax(dim=1)
        low = pair.min if low is None else torch.minimum(low, pair.min, out=low)
        high = pair.max if high is None else torch.maximum(high, pair.max, out=high)
    return low.double(), high.double()


def _check_finite(low: Tensor, high: Tensor, layer: Layer) -> None:
    bad = torch.nonzero(~(torch.isfinite(low) & torch.isfinite(high))).flatten().tolist()
    if bad:
        refuse(
            f"Features of layer {layer.step.name!r} have activations that are not finite",
            bad,
            "The training may have diverged: look at history.tsv, and lower the learning rate.",
        )


def _mean_and_entropy(person: Tensor, low: Tensor, high: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Return mean and entropy [features] of one person's activations [features, d, h, w]."""
    values = person.flatten(1).double()
    features, voxels = values.shape
    width = torch.where(high > low, high - low, torch.ones_like(low))
    # The last bin holds its upper edge too, as in numpy.histogram.
    place = ((values - low[:, None]) / width[:, None] * bins).floor_().clamp_(0, bins - 1).long()
    place += bins * torch.arange(features, device=place.device)[:, None]
    counts = torch.bincount(place.flatten(), minlength=features * bins).view(features, bins)
    shares = counts.double() / voxels
    entropy = math.log(voxels) - torch.xlogy(shares, counts.double()).sum(dim=1)
    return values.mean(dim=1), entropy.clamp_(min=0)
