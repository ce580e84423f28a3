"""What the objectives of one layer look at: a box around a unit where that gives the same, or the whole volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.base.errors import refuse
from voxplain.base.seeds import stream
from voxplain.features.objectives import Objective, Probe, output_values
from voxplain.features.regularisers import Transforms
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
    seen : tuple of 3 slices, or None
        The part of the box that the values depend on; None where the receptive field is unknown.
    values : callable
        From images of the box [n, 1, d, h, w] to one value each, of n objectives.
    """

    box: tuple[slice, slice, slice]
    focus: np.ndarray
    jitter: np.ndarray
    seen: tuple[slice, slice, slice] | None
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

        return View(whole, middle, jitter, whole, outputs)
    probe = Probe.of(network, example, layer)
    _check_channels(objectives, probe.channels, f"channels of layer {layer!r}")
    if not probe.spatial or settings.where == "everywhere":
        return View(whole, middle, jitter, whole, _channel_values(network, probe, None))
    grid = probe.layer.step.shape[2:]
    field = probe.receptive_field(shape)
    if field is None:
        return View(whole, middle, jitter, None, _channel_values(network, probe, tuple(n // 2 for n in grid)))
    unit = np.clip(np.round((middle - field.offset) / field.stride), 0, np.array(grid) - 1).astype(int)
    centre, seen = field.centre(unit), field.box(unit, shape)
    jitter = np.minimum(jitter, field.stride // 2).astype(int)
    # All that the transforms may bring before the unit, and a voxel more for the total variation. Beyond the volume's
    # faces there is 0 for the whole volume too. Begun at a multiple of the stride, so that poolings keep step.
    reach = Transforms.reach((field.size - 1) / 2, jitter, settings.scale, settings.rotation) + 1
    begin = np.maximum(np.floor((centre - reach) / field.stride).astype(int), 0)
    low = (begin * field.stride).astype(int)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    if _same(network, probe, example, box, tuple(unit), tuple(unit - begin)):
        seen = tuple(slice(part.start - int(a), part.stop - int(a)) for part, a in zip(seen, low, strict=True))
        return View(box, centre - low, jitter, seen, _channel_values(network, probe, tuple(unit - begin)))
    return View(whole, centre, jitter, seen, _channel_values(network, probe, tuple(unit)))


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
