"""The same network in less time, for outputs and gradients of the input, where single layers do not matter."""

import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from voxplain.models.folding import fold_batchnorm, fold_neighbours, frozen_copy, largest_difference, uses_of

AT_ONCE = 2**24  # products of weights and gradients in memory, 64 MB


def quickened(model: nn.Module, example: Tensor | None = None, keep: Collection[str] = ()) -> nn.Module:
    """Return a frozen copy in evaluation mode that gives the same outputs and gradients of the input sooner.

    BatchNorm is folded as by `voxplain.models.folding.fold_batchnorm`.

    ReLU goes behind the max-pooling that follows it: max(relu(x)) = relu(max(x)), and so are the gradients, plain and
    guided ones, as those of a window without a positive value are 0 either way. After the pooling there are 8 times
    fewer values. What was a ReLU becomes `nn.Identity`, and what was a pooling becomes pooling and ReLU, so that
    modules keep their names. Only neighbours inside an `nn.Sequential` that are used nowhere else change places, and
    only where the windows of the pooling do not overlap.

    On a CPU the gradient of a convolution's input with one channel comes from a matrix product (see `input_gradient`),
    and volumes lie in memory with their channels innermost: with torch's usual layout max-pooling takes ten times as
    long.

    Parameters
    ----------
    model : nn.Module
        Left untouched.
    example : tensor [n, 1, D, H, W], optional
        Input on which both networks are compared, as in `fold_batchnorm`.
    keep : collection of str
        Dotted names of modules whose output must stay what it is (but for folding).

    Returns
    -------
    nn.Module
        On the model's device. When it does not compute what the original does (a forward pass that taps a ReLU
        itself), what `fold_batchnorm` gives comes instead, and a warning says so.
    """
    plain, quick = frozen_copy(model), frozen_copy(model)
    kept = [quick.get_submodule(name) for name in keep]
    fold_neighbours(quick)
    _pool_first(quick, kept)
    if next(quick.parameters()).device.type == "cpu":
        _own_gradients(quick)
        quick.to(memory_format=torch.channels_last_3d)
    quick.eval()
    difference, tolerance = largest_difference(plain, quick, example)
    if difference <= tolerance:
        return quick
    warnings.warn(
        f"Folding BatchNorm or moving ReLU behind pooling changed the network's output by {difference:.3g} "
        f"(tolerated: {tolerance:.3g}); ReLU stays where it is.",
        stacklevel=2,
    )
    return fold_batchnorm(model, example)


def _sequences(model: nn.Module) -> Iterator[nn.Sequential]:
    # A subclass with a forward of its own may use its children in another order.
    return (module for module in model.modules() if type(module).forward is nn.Sequential.forward)


def _pool_first(model: nn.Module, kept: Collection[nn.Module]) -> None:
    """Let ReLU and the pooling after it change places."""
    uses = uses_of(model)
    for parent in list(_sequences(model)):
        for place in range(len(parent) - 1):
            relu, pool = parent[place], parent[place + 1]
            if type(relu) is not nn.ReLU or type(pool) is not nn.MaxPool3d or _overlapping(pool) or pool.return_indices:
                continue
            if any(uses[id(module)] > 1 or module in kept or _hooked(module) for module in (relu, pool)):
                continue
            parent[place] = nn.Identity()
            parent[place + 1] = nn.Sequential(OrderedDict(pool=pool, relu=relu))


def _overlapping(pool: nn.MaxPool3d) -> bool:
    """Whether a value may belong to several windows, of whose gradients guided backpropagation clips the sum."""
    strides = zip(_three(pool.kernel_size), _three(pool.stride), strict=True)
    return any(stride < kernel for kernel, stride in strides) or any(step != 1 for step in _three(pool.dilation))


def _three(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) * 3 if isinstance(value, int) else tuple(value)


def _hooked(module: nn.Module) -> bool:
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks))


def _own_gradients(model: nn.Module) -> None:
    """Let convolutions of one channel compute the gradient of their input themselves."""
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Conv3d and child.in_channels == 1 and child.padding_mode == "zeros"
    ]
    for parent, name, child in found:
        setattr(parent, name, OneChannelConv3d.of(child))


class OneChannelConv3d(nn.Conv3d):
    """A convolution of images with one channel, and a gradient of them that is quick on a CPU."""

    @classmethod
    def of(cls, convolution: nn.Conv3d) -> "OneChannelConv3d":
        """Return one with the parameters and hooks of another convolution."""
        own = cls.__new__(cls)
        own.__dict__ = convolution.__dict__
        return own

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        frozen = not weight.requires_grad and not (bias is not None and bias.requires_grad)
        if images.device.type == "cpu" and images.ndim == 5 and images.requires_grad and frozen:
            return _OneChannel.apply(images, weight, bias, self)
        return super()._conv_forward(images, weight, bias)


class _OneChannel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, weight, bias, layer):
        ctx.save_for_backward(weight)
        ctx.layer, ctx.shape = layer, images.shape
        return nn.functional.conv3d(images, weight, bias, layer.stride, layer.padding, layer.dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return input_gradient(gradient, *ctx.saved_tensors, ctx.shape, *geometry(ctx.layer)), None, None, None


def geometry(convolution: nn.Conv3d) -> tuple[tuple[int, ...], ...]:
    """Return stride, voxels of padding before the first one, and dilation, along each axis."""
    padding, reach = convolution.padding, zip(convolution.kernel_size, convolution.dilation, strict=True)
    if isinstance(padding, str):
        padding = tuple(step * (size - 1) // 2 if padding == "same" else 0 for size, step in reach)
    return convolution.stride, padding, convolution.dilation


def input_gradient(
    gradient: Tensor,
    weight: Tensor,
    shape: tuple[int, ...],
    stride: tuple[int, ...] = (1, 1, 1),
    padding: tuple[int, ...] = (0, 0, 0),
    dilation: tuple[int, ...] = (1, 1, 1),
) -> Tensor:
    """Return the gradient of a convolution's input with few channels.

    The products of weights and gradients come from one matrix product per plane, and each image of them is added where
    its weight had read. Libraries of convolutions are made for many channels and compute a multiple of that: on a CPU
    this takes a tenth of the time.

    Parameters
    ----------
    gradient : Tensor [n, k, d, h, w]
        Of the convolution's output.
    weight : Tensor [k, c, a, b, e]
    shape : (n, c, D, H, W)
        Of the input.
    stride, padding, dilation : 3 int
        Of the convolution; padding as `geometry` gives it.

    Returns
    -------
    Tensor [n, c, D, H, W]
    """
    kernel, out = weight.shape[2:], gradient.shape[2:]
    # What the convolution read, or more of the image.
    reads = [
        max(step * (count - 1) + wide * (size - 1) + 1, before + voxels)
        for step, count, wide, size, before, voxels in zip(
            stride, out, dilation, kernel, padding, shape[2:], strict=True
        )
    ]
    whole = gradient.new_zeros(*shape[:2], *reads)
    matrix = weight.flatten(1).t()
    at_once = max(1, AT_ONCE // (len(matrix) * out.numel()))
    for image, result in zip(gradient.split(at_once), whole.split(at_once), strict=True):
        # One matrix [voxels, k] a plane: with channels innermost no copy is made.
        planes = image.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)
        products = nn.functional.fold(
            matrix @ planes.transpose(1, 2), reads[1:], kernel[1:], dilation[1:], stride=stride[1:]
        )
        products = products.unflatten(0, (len(image), out[0])).unflatten(2, (shape[1], kernel[0]))
        for place in range(kernel[0]):
            start = place * dilation[0]
            result[:, :, start : start + stride[0] * (out[0] - 1) + 1 : stride[0]] += products[
                :, :, :, place
            ].transpose(1, 2)
    inside = [slice(before, before + voxels) for before, voxels in zip(padding, shape[2:], strict=True)]
    return whole[:, :, *inside]
