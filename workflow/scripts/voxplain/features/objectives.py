"""What a network can be excited in: its outputs, and the channels of its layers, before their nonlinearity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.activations import NONLINEARITIES, POOLS, Layer, Step, find_layer, receptive_field_centres
from voxplain.base.errors import InputError, refuse
from voxplain.features.passes import on_call, read_and_stop


@dataclass(frozen=True)
class Objective:
    """One thing to raise.

    Attributes
    ----------
    name : str
        Unique, and fit for file names: ``class-M``, ``output-high``, ``output-low``, ``layer-1_channel-3``.
    layer : str, int or None
        As in `voxplain.attribution.activations.find_layer`, or a module whose output is [n, channels]; None: an output
        of the network.
    channel : int
        Of the layer, or of the output.
    label : str
        Class, or ``high`` and ``low`` of a regression; empty for channels.
    sign : int
        -1 where the smallest value is looked for.
    """

    name: str
    layer: str | int | None
    channel: int
    label: str = ""
    sign: int = 1


def output_objectives(labels: Sequence[str]) -> list[Objective]:
    """Return one objective per class; for a regression (no labels) its largest and its smallest output."""
    if not labels:
        return [Objective("output-high", None, 0, "high"), Objective("output-low", None, 0, "low", -1)]
    return [Objective(f"class-{label}", None, place, str(label)) for place, label in enumerate(labels)]


def channel_objectives(
    network: nn.Module, image: Tensor, layers: Sequence[str | int], most: int | None = None
) -> list[Objective]:
    """Return one objective per channel of each layer, at most the first `most` of them.

    Raises
    ------
    InputError
        Naming every layer that the network does not have.
    """
    objectives, problems = [], []
    for layer in layers:
        try:
            channels = Probe.of(network, image, layer).channels
        except InputError as error:
            problems.append(str(error))
            continue
        prefix = f"layer-{layer}" if isinstance(layer, int) or layer == "last" else layer
        shown = range(channels if most is None else min(most, channels))
        objectives += [Objective(f"{prefix}_channel-{channel}", layer, channel) for channel in shown]
    if problems:
        refuse("layers whose channels cannot be visualised", problems)
    return objectives


def output_values(outputs: Tensor, channels: Sequence[int], kind: str) -> Tensor:
    """Return what is raised of outputs [n, k]: one value per image (channel i of image i), or a column a channel.

    Parameters
    ----------
    outputs : Tensor [n, k]
    channels : sequence of int
    kind : {'log_odds', 'logit'}
        A network with one output (regression) has no odds.

    Returns
    -------
    Tensor [n, len(channels)]
    """
    values = outputs[:, list(channels)]
    if kind == "logit" or outputs.shape[1] == 1:
        return values
    others = [
        torch.cat([outputs[:, :channel], outputs[:, channel + 1 :]], dim=1).logsumexp(dim=1) for channel in channels
    ]
    return values - torch.stack(others, dim=1)


class ReceptiveField(NamedTuple):
    """What the units of a layer see: unit i the voxels around ``offset + stride * i``.

    Attributes
    ----------
    stride, offset, size : ndarray [3]
        Voxels: from unit to unit, centre of what unit 0 sees, and how much each of them sees.
    """

    stride: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def centre(self, unit: Sequence[float]) -> np.ndarray:
        """Return the voxel in the middle of what a unit sees, [3] (between voxels where their number is even)."""
        return self.offset + self.stride * np.asarray(unit)

    def box(self, unit: Sequence[float], shape: Sequence[int]) -> tuple[slice, slice, slice]:
        """Return the part of a volume of that shape that a unit sees."""
        low = np.round(self.centre(unit) - (self.size - 1) / 2).astype(int)
        high = np.minimum(low + self.size.astype(int), shape)
        return tuple(slice(int(a), int(b)) for a, b in zip(np.maximum(low, 0), high, strict=True))

    def units_within(self, mask: np.ndarray, grid: Sequence[int]) -> np.ndarray:
        """Return which units have their centre in a mask of the volume, bool of the layer's grid.

        A centre beyond a face, which wide padding brings about, counts as the voxel at that face.
        """
        voxels = [
            np.clip(np.floor(first + step * np.arange(units) + 0.5), 0, size - 1).astype(int)
            for first, step, units, size in zip(self.offset, self.stride, grid, mask.shape, strict=True)
        ]
        return np.asarray(mask, dtype=bool)[np.ix_(*voxels)]


@dataclass(frozen=True)
class Probe:
    """Where the pre-activations of a layer are read: the input of its nonlinearity, or its output where it has none.

    Attributes
    ----------
    layer : Layer
    """

    layer: Layer

    @classmethod
    def of(cls, network: nn.Module, image: Tensor, layer: str | int) -> "Probe":
        """Find a layer by running the network on an image [1, 1, D, H, W].

        Raises
        ------
        InputError
            When the network does not run such a layer, or its output is neither [n, channels, d, h, w] nor
            [n, channels].
        """
        module = dict(network.named_modules()).get(layer) if isinstance(layer, str) and layer != "last" else None
        flat = None if module is None else _flat_step(network, image, layer, module)
        return cls(find_layer(network, image, layer) if flat is None else Layer(flat, ()))

    @property
    def channels(self) -> int:
        return self.layer.step.shape[1]

    @property
    def spatial(self) -> bool:
        return self.layer.step.spatial

    def read(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return pre-activations [n, channels, ...] of images [n, 1, D, H, W]; the pass ends there."""
        return read_and_stop(network, images, self.layer.step.name, self.listening)

    def listening(self, receive: Callable[[Tensor], None]) -> "torch.utils.hooks.RemovableHandle":
        """Give the pre-activations of the next forward pass to `receive`; to be used in a with statement."""
        module = self.layer.step.module
        take = on_call(self.layer.step.call, lambda inputs, *output: receive(output[0] if output else inputs[0]))
        if isinstance(module, NONLINEARITIES):
            return module.register_forward_pre_hook(take)
        return module.register_forward_hook(take)

    def receptive_field(self, shape: Sequence[int]) -> ReceptiveField | None:
        """Return what the units see of images [n, 1, *shape]; None where that cannot be followed."""
        if not self.spatial:
            return None
        try:
            stride, offset = receptive_field_centres(self.layer, tuple(shape))
        except InputError:
            return None
        jump, seen = np.ones(3), np.ones(3)
        for step in (*self.layer.before, self.layer.step):
            if isinstance(step.module, (nn.Conv3d, *POOLS)):
                kernel, dilation = (
                    np.broadcast_to(getattr(step.module, name, 1), 3) for name in ("kernel_size", "dilation")
                )
                seen = seen + jump * dilation * (kernel - 1)
                jump = jump * np.broadcast_to(step.module.stride, 3)
        return ReceptiveField(stride, offset, seen)


def _flat_step(network: nn.Module, image: Tensor, name: str, module: nn.Module) -> Step | None:
    """Return the module's last call when its output is [n, channels], otherwise None."""
    shapes: list[tuple[int, ...]] = []
    handle = module.register_forward_hook(
        lambda _, inputs, output: shapes.append(tuple(output.shape) if isinstance(output, Tensor) else ())
    )
    with handle, torch.no_grad():
        network(image)
    if not shapes or len(shapes[-1]) != 2:
        return None
    return Step(name, module, len(shapes) - 1, shapes[-1])


def target_units(objective: Objective, metadata: Mapping[str, object]) -> tuple[float, float]:
    """Return factor and offset that bring an objective's values into the target's unit; 1 and 0 but for regressions."""
    if objective.layer is None and metadata["task"] == "regression":
        return float(metadata["target_sd"]), float(metadata["target_mean"])
    return 1.0, 0.0
