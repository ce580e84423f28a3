"""Activations of one layer and their gradient, and where each of them lies in the input."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import weighted_score
from voxplain.attribution.separable import along_axes, sampling_matrix
from voxplain.base.errors import InputError, refuse

NONLINEARITIES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Hardswish,
)  # fmt: skip
POOLS = (nn.MaxPool3d, nn.AvgPool3d)
PLACEMENTS = ("receptive_field", "stretch")


@dataclass(frozen=True)
class Step:
    """One call of a module during a forward pass.

    Attributes
    ----------
    name : str
    module : nn.Module
    call : int
        0 for the module's first call in the pass, 1 for its second ...
    shape : tuple of int
        Of its output; empty when that is no single tensor.
    """

    name: str
    module: nn.Module
    call: int
    shape: tuple[int, ...]

    @property
    def leaf(self) -> bool:
        return next(self.module.children(), None) is None

    @property
    def spatial(self) -> bool:
        return len(self.shape) == 5


@dataclass(frozen=True)
class Layer:
    """A layer whose activations are explained.

    Attributes
    ----------
    step : Step
    before : tuple of Step
        Everything that ran before it.
    """

    step: Step
    before: tuple[Step, ...]


def find_layer(network: nn.Module, image: Tensor, layer: str | int) -> Layer:
    """Find a layer by running the network once.

    Parameters
    ----------
    network : nn.Module
    image : Tensor [1, 1, D, H, W]
    layer : str or int
        ``last``: the last convolution block; an int k: the k-th convolution (from 1) and what belongs to it; otherwise
        the dotted name of a module. Of a block the output of its nonlinearity is taken, before any pooling.

    Raises
    ------
    InputError
        When there is no such layer, or its output has no three spatial axes.
    """
    steps = _run(network, image)
    if isinstance(layer, str) and layer != "last":
        found = [i for i, step in enumerate(steps) if step.name == layer]
        if not found:
            refuse(f"layer: the network runs no module named {layer!r}; it has", (s.name for s in steps if s.spatial))
        index = found[-1]
    else:
        convolutions = [i for i, step in enumerate(steps) if isinstance(step.module, nn.Conv3d)]
        number = len(convolutions) if layer == "last" else layer
        if not convolutions or not 1 <= number <= len(convolutions):
            raise InputError(f"layer: {layer!r} does not exist; the network runs {len(convolutions)} Conv3d modules")
        index = _end_of_block(steps, convolutions[number - 1])
    if not steps[index].spatial:
        raise InputError(
            f"layer: the output of {steps[index].name!r} is {list(steps[index].shape)}, not [n, channels, d, h, w]. "
            "Name a convolution or an activation before the network is flattened."
        )
    return Layer(steps[index], tuple(steps[:index]))


def _run(network: nn.Module, image: Tensor) -> list[Step]:
    steps: list[Step] = []
    calls: dict[str, int] = {}

    def note(name):
        def hook(module, inputs, output):
            call = calls[name] = calls.get(name, -1) + 1
            steps.append(Step(name, module, call, tuple(output.shape) if isinstance(output, Tensor) else ()))

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return steps


def _end_of_block(steps: list[Step], start: int) -> int:
    """Return the last nonlinearity (or else the last layer) that follows a convolution at the same resolution."""
    last = start
    nonlinear = None
    for index in range(start + 1, len(steps)):
        step = steps[index]
        if not step.leaf:
            continue
        if isinstance(step.module, nn.Conv3d) or step.shape != steps[start].shape:
            break
        last = index
        if isinstance(step.module, NONLINEARITIES):
            nonlinear = index
    return last if nonlinear is None else nonlinear


def activations_and_gradient(
    network: nn.Module, layer: Layer, images: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's activations A [n, k, d, h, w], ∂y/∂A of the explained score y, and y [n].

    The pass is cut at the layer: nothing before it is kept for the backward pass or differentiated.
    """
    captured: list[Tensor] = []
    calls = 0

    def cut(module, inputs, output):
        nonlocal calls
        calls += 1
        if calls - 1 != layer.step.call:
            return None
        leaf = output.detach().requires_grad_()
        captured.append(leaf)
        return leaf.clone()  # an operation in place may follow, which a leaf does not allow

    handle = layer.step.module.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            score = weighted_score(network(images), targets)
            (gradient,) = torch.autograd.grad(score.sum(), captured[0])
    finally:
        handle.remove()
    return captured[0].detach(), gradient, score.detach()


def to_input_grid(maps: Tensor, layer: Layer, shape: tuple[int, int, int], placement: str) -> Tensor:
    """Bring maps from a layer's grid to the input's by trilinear interpolation.

    Parameters
    ----------
    maps : Tensor [n, d, h, w]
    layer : Layer
    shape : (D, H, W)
    placement : {'receptive_field', 'stretch'}
        ``receptive_field`` puts every value at the centre of the input voxels that it sees and repeats the outermost
        values to the faces. ``stretch`` lays the layer's grid over the whole input, as is usual: with unpadded
        convolutions this pushes the map outwards, by up to 6 voxels near the faces for the last block of `VoxelCNN`.

    Returns
    -------
    Tensor [n, D, H, W]

    Raises
    ------
    InputError
        When the receptive fields cannot be followed.
    """
    if placement == "stretch":
        return nn.functional.interpolate(maps[:, None], size=shape, mode="trilinear", align_corners=False)[:, 0]
    stride, offset = receptive_field_centres(layer, shape)
    matrices = [
        sampling_matrix((np.arange(size) - offset[axis]) / stride[axis], maps.shape[axis + 1]).to(maps)
        for axis, size in enumerate(shape)
    ]
    return along_axes(maps, matrices)


def receptive_field_centres(layer: Layer, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return stride [3] and offset [3] such that activation i lies at input voxel ``offset + stride * i``.

    Follows kernel, stride, padding and dilation of the convolutions and poolings before the layer.

    Raises
    ------
    InputError
        When these do not lead to the layer's shape: branches, functional pooling, interpolation.
    """
    stride, offset, size = np.ones(3), np.zeros(3), np.array(shape)
    for step in (*layer.before, layer.step):
        module = step.module
        if not isinstance(module, (nn.Conv3d, *POOLS)):
            continue
        kernel = _three(module.kernel_size)
        dilation = _three(getattr(module, "dilation", 1))
        jump = _three(module.stride)
        reach = dilation * (kernel - 1)
        padding = (
            {"same": reach // 2, "valid": 0 * reach}.get(module.padding) if isinstance(module.padding, str) else None
        )
        both_sides = reach if module.padding == "same" else 2 * (_three(module.padding) if padding is None else padding)
        padding = _three(module.padding) if padding is None else padding
        offset = offset + stride * (reach / 2 - padding)
        stride = stride * jump
        size = (size + both_sides - reach - 1) // jump + 1
    if tuple(size) != layer.step.shape[2:]:
        raise InputError(
            f"placement: receptive_field cannot follow this network: its convolutions and poolings lead to a grid of "
            f"{size.tolist()} at layer {layer.step.name!r}, but that has {list(layer.step.shape[2:])}. "
            "Set placement: stretch."
        )
    return stride, offset


def _three(value: int | tuple[int, ...]) -> np.ndarray:
    return np.array(value) if isinstance(value, tuple | list) else np.full(3, value)
