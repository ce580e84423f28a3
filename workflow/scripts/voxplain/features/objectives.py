"""What a network can be excited in: its outputs, and the channels of its layers, before their nonlinearity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

    def receptive_field(self, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return stride, centre of unit 0, and size of what a unit sees, voxels [3] each; None where unknown."""
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
        return stride, offset, seen


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


def in_target_units(values: np.ndarray, objective: Objective, metadata: Mapping[str, object]) -> np.ndarray:
    """Return outputs of a regression in the target's unit; everything else as it is."""
    if objective.layer is None and metadata["task"] == "regression":
        return np.asarray(values) * metadata["target_sd"] + metadata["target_mean"]
    return np.asarray(values)
