"""What the objectives of one layer look at: a box around a unit where that gives the same, or the whole volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.base.errors import refuse
from voxplain.base.seeds import stream
from voxplain.features.objectives import Objective, Probe, output_values
from voxplain.features.visualisation_settings import VisualisationSettings


@dataclass(frozen=True)
class View:
    """What the objectives of one layer look at.

    Attributes
    ----------
    box : tuple of 3 slices
        The part of the volume that matters.
    focus : ndarray [3]
        Voxel of the box that transforms turn about.
    jitter : ndarray [3]
        Largest shift, voxels.
    values : callable
        From images of the box [n, 1, d, h, w] to one value each, of n objectives.
    """

    box: tuple[slice, slice, slice]
    focus: np.ndarray
    jitter: np.ndarray
    values: Callable[[Tensor, Sequence[Objective]], Tensor]


def view_of(
    network: nn.Module,
    layer: str | int | None,
    objectives: Sequence[Objective],
    shape: tuple[int, ...],
    settings: VisualisationSettings,
    device: torch.device,
) -> View:
    """Find out what the objectives of one layer look at, by running the network on noise.

    Parameters
    ----------
    network : nn.Module
    layer : str, int or None
        None: the network's outputs.
    objectives : sequence of Objective
        Of this layer.
    shape : (D, H, W)
    settings : VisualisationSettings
    device : torch.device

    Raises
    ------
    InputError
        For layers and channels that the network does not have.
    """
    whole = tuple(slice(0, size) for size in shape)
    middle = (np.array(shape) - 1) / 2
    jitter = np.full(3, settings.jitter)
    example = torch.from_numpy(stream(0, "visualisation").standard_normal((1, 1, *shape), dtype=np.float32)).to(device)
    if layer is None:
        with torch.no_grad():
            _check_channels(objectives, network(example).shape[1], "outputs")

        def outputs(images: Tensor, asked: Sequence[Objective]) -> Tensor:
            return output_values(network(images), [o.channel for o in asked], settings.output).diagonal()

        return View(whole, middle, jitter, outputs)
    probe = Probe.of(network, example, layer)
    _check_channels(objectives, probe.channels, f"channels of layer {layer!r}")
    if not probe.spatial or settings.where == "everywhere":
        return View(whole, middle, jitter, _channel_values(network, probe, None))
    grid = probe.layer.step.shape[2:]
    field = probe.receptive_field(shape)
    if field is None:
        return View(whole, middle, jitter, _channel_values(network, probe, tuple(n // 2 for n in grid)))
    stride, offset, seen = field
    unit = np.clip(np.round((middle - offset) / stride), 0, np.array(grid) - 1).astype(int)
    centre = offset + stride * unit
    jitter = np.minimum(jitter, stride // 2).astype(int)
    # One more unit on all sides, for shifts and turns; begun at a multiple of the stride, so that poolings keep step.
    begin = np.maximum(np.floor((centre - (seen - 1) / 2) / stride).astype(int) - 1, 0)
    low = (begin * stride).astype(int)
    high = np.minimum(np.ceil(centre + (seen - 1) / 2 + stride).astype(int) + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    if _same(network, probe, example, box, tuple(unit), tuple(unit - begin)):
        return View(box, centre - low, jitter, _channel_values(network, probe, tuple(unit - begin)))
    return View(whole, centre, jitter, _channel_values(network, probe, tuple(unit)))


def _channel_values(network: nn.Module, probe: Probe, unit: tuple[int, ...] | None):
    """Return the function that reads channel i of image i, at one unit or as the mean over all."""

    def values(images: Tensor, objectives: Sequence[Objective]) -> Tensor:
        channels = torch.tensor([objective.channel for objective in objectives], device=images.device)
        found = probe.read(network, images)[torch.arange(len(images), device=images.device), channels]
        if unit is not None:
            return found[:, unit[0], unit[1], unit[2]]
        return found if found.ndim == 1 else found.flatten(1).mean(dim=1)

    return values


def _same(network, probe, example, box, unit, unit_in_box) -> bool:
    """Tell whether a unit has the same pre-activations when the network sees the box alone."""
    with torch.no_grad():
        whole = probe.read(network, example)[:, :, *unit]
        try:
            part = probe.read(network, example[:, :, *box])[:, :, *unit_in_box]
        except (RuntimeError, IndexError):  # a network that takes no other shape
            return False
    return bool(torch.allclose(whole, part, rtol=1e-4, atol=1e-5 * max(1.0, whole.abs().max().item())))


def _check_channels(objectives: Sequence[Objective], count: int, what: str) -> None:
    outside = [o.name for o in objectives if not 0 <= o.channel < count]
    if outside:
        refuse(f"visualisations of {what} that do not exist; there are {count}", outside)
