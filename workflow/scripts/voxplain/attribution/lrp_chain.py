"""A network as the chain of layers that it runs, as layer-wise relevance propagation needs it.

The layers are found by running the network once, so that any module counts whose forward pass is a chain, whatever its
containers look like. BatchNorm is folded into the layer before it, and the chain must give the network's own output for
every image: what no layer does (a function, a skip connection) cannot go unnoticed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_weights
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from voxplain.base.errors import InputError, refuse

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)
AVERAGES = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
MAXIMA = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# In evaluation mode these give what they get; of a flattening only the shape is left, which every layer knows itself.
PASSED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten)
SUPPORTED = (*WEIGHTED, *AVERAGES, *MAXIMA, nn.ReLU, *NORMS, *PASSED)
SUPPORTED_TEXT = (
    "Supported are chains of convolutions, linear layers, ReLU, max- and average-pooling, dropout, flatten, identity "
    "and BatchNorm right after a convolution or linear layer, all as modules. Use another method for this network."
)
# Of the contributions that an output adds up, not of the output: one near 0 keeps the rounding of what cancelled out.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ChainLayer:
    """One layer of a chain.

    Attributes
    ----------
    name : str
        Dotted name in the network.
    module : nn.Module
        One of `WEIGHTED`, `AVERAGES`, `MAXIMA` or ReLU.
    shape : tuple of int
        Of its input, without the axis of the images.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the layer's output; `x` is left as it is even where the module works in place."""
        if isinstance(self.module, nn.ReLU):
            return nn.functional.relu(x)
        if isinstance(self.module, WEIGHTED):  # as the rules do it, without the hooks that a module may have
            return self.weighted(x, self.module.weight, self.module.bias)
        return self.module(x)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output that a layer of `WEIGHTED` would have with other parameters."""
        if isinstance(self.module, nn.Linear):
            return nn.functional.linear(x, weight, bias)
        return self.module._conv_forward(x, weight, bias)  # knows strides, groups and every kind of padding


def chain_of(network: nn.Module, images: Tensor) -> tuple[list[ChainLayer], Tensor]:
    """Return the layers of a network in order of execution, BatchNorm folded, dropout and flatten left out.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    images : Tensor [n, 1, D, H, W]
        All that will be explained: what the network does between two layers may show in some of them only.

    Returns
    -------
    chain : list of ChainLayer
    output : Tensor
        Of the network, as it is.

    Raises
    ------
    InputError
        Names every layer that is not supported, BatchNorm that cannot be folded, and every place where something
        happens between two layers.
    """
    called, output = _called(network, images)
    chain, problems = _folded(called)
    if not isinstance(output, Tensor):
        problems.append(f"the network's output ({type(output).__name__}; expected one tensor [n, outputs])")
    if not any(isinstance(layer.module, WEIGHTED) for layer in chain) and not problems:
        problems.append("no convolution or linear layer at all")
    if problems:
        refuse("lrp: relevance cannot be propagated through this network", problems, SUPPORTED_TEXT)
    return chain, output


def run_chain(chain: Sequence[ChainLayer], images: Tensor, expected: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the input of every layer, [n, *shape] each, and the output of the last, shaped like `expected`.

    Raises
    ------
    InputError
        When that is not `expected`, the network's own output, beyond rounding.
    """
    inputs, x = [], images
    for layer in chain:
        x = x.reshape(len(x), *layer.shape)
        inputs.append(x)
        x = layer(x)
    _compare(chain, inputs, x, expected)
    return inputs, x.reshape(expected.shape)


@dataclass(frozen=True)
class _Call:
    layer: ChainLayer
    problem: str | None


def _called(network: nn.Module, images: Tensor) -> tuple[list[_Call], Tensor]:
    """Run the network; return the calls of its layers, and its output."""
    calls: list[_Call] = []
    last: list[Tensor | str] = [images.detach().clone(), "the input"]
    arrived: dict[int, tuple] = {}

    def keep(module, inputs):  # before a module works in place
        arrived[id(module)] = tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in inputs)

    def note(name):
        def hook(module, inputs, output):
            given = arrived.pop(id(module))
            single = len(given) == 1 and isinstance(given[0], Tensor) and isinstance(output, Tensor)
            problem = _unsupported(name, module)
            if problem is None and not single:
                problem = f"{name} ({type(module).__name__}: takes or gives something else than one tensor)"
            elif problem is None and not _same(last[0], given[0]):
                problem = f"what happens between {last[1]} and {name} (a function or a skip connection)"
            calls.append(_Call(ChainLayer(name, module, tuple(given[0].shape[1:]) if single else ()), problem))
            last[:] = [output.detach().clone() if isinstance(output, Tensor) else last[0], name]

        return hook

    handles = []
    for name, module in _layers(network):
        handles += [module.register_forward_pre_hook(keep), module.register_forward_hook(note(name or "network"))]
    try:
        with torch.no_grad():
            output = network(images)
    finally:
        for handle in handles:
            handle.remove()
    # The shape of the output is not compared here: what it must be depends on the targets.
    if calls and isinstance(output, Tensor) and not _same(last[0].flatten()[None], output.flatten()[None]):
        calls[-1] = replace(calls[-1], problem=calls[-1].problem or f"what happens after {last[1]} (a function)")
    return calls, output


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Give the modules without children; what computes a parametrized weight belongs to the layer that has it."""
    parametrized = [module for module in network.modules() if is_parametrized(module)]
    inner = {id(part) for module in parametrized for part in module.parametrizations.modules()}
    for name, module in network.named_modules():
        if id(module) not in inner and all(id(child) in inner for child in module.children()):
            yield name, module


def _unsupported(name: str, module: nn.Module) -> str | None:
    """Say what is wrong with a layer by itself: its type, or a way of its own to use the weights."""
    base = next((base for base in SUPPORTED if isinstance(module, base)), None)
    if base is None:
        return f"{name} ({type(module).__name__})"
    for step in ("forward", "_conv_forward"):
        # Also a function that was put on the module itself.
        if hasattr(base, step) and getattr(getattr(module, step), "__func__", None) is not getattr(base, step):
            return f"{name} ({type(module).__name__}: a {base.__name__} whose {step} is its own)"
    return None


def _same(before: Tensor, after: Tensor) -> bool:
    """Whether nothing but the shape of each image changed; values that are not finite are left to others."""
    if before.numel() != after.numel() or before.shape[:1] != after.shape[:1]:
        return False
    return torch.equal(before.nan_to_num().reshape(after.shape), after.nan_to_num())


def _folded(calls: Sequence[_Call]) -> tuple[list[ChainLayer], list[str]]:
    """Return the layers that are left when BatchNorm is folded, and every problem."""
    chain: list[ChainLayer] = []
    problems: list[str] = []
    for call in calls:
        module = call.layer.module
        if call.problem:
            problems.append(call.problem)
        elif isinstance(module, NORMS):
            problem = _unfoldable(chain[-1] if chain else None, call.layer)
            if problem is None:
                chain[-1] = replace(chain[-1], module=_fuse(chain[-1].module, module))
            else:
                problems.append(problem)
        elif not isinstance(module, PASSED):
            chain.append(replace(call.layer, module=_plain(module)))
    return chain, problems


def _unfoldable(before: ChainLayer | None, norm: ChainLayer) -> str | None:
    """Say why a BatchNorm cannot be folded into the layer before it."""
    name = f"{norm.name} ({type(norm.module).__name__}"
    if before is None or not isinstance(before.module, WEIGHTED) or norm.module.running_mean is None:
        return f"{name}: needs running statistics and a convolution or linear layer right before it)"
    linear = isinstance(before.module, nn.Linear)
    outputs = before.module.out_features if linear else before.module.out_channels
    if norm.module.num_features == outputs:
        return None
    return f"{name}: its {norm.module.num_features} features are not the {outputs} output channels of {before.name})"


def _plain(module: nn.Module) -> nn.Module:
    """Return a layer with the weights that its parametrizations give, as plain parameters."""
    if not is_parametrized(module):
        return module
    # Not remove_parametrizations: on a copy it would take the weight from the original too, whose class is the same.
    base = type_before_parametrizations(module)
    plain = base.__new__(base)
    weights = {name: nn.Parameter(getattr(module, name).detach(), False) for name in module.parametrizations}
    plain.__dict__ = {**module.__dict__, "_parameters": {**module._parameters, **weights}, "_modules": {}}
    return plain


def _fuse(layer: nn.Module, norm: nn.Module) -> nn.Module:
    if isinstance(layer, CONVOLUTIONS):
        return fuse_conv_bn_eval(layer, norm).requires_grad_(False)
    # Unlike its sister for convolutions this function does not know BatchNorm without γ and β.
    gamma = torch.ones_like(norm.running_var) if norm.weight is None else norm.weight
    beta = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
    weight, bias = fuse_linear_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, gamma, beta
    )
    fused = nn.Linear(layer.in_features, layer.out_features, device=weight.device, dtype=weight.dtype)
    fused.weight, fused.bias = weight, bias
    return fused.requires_grad_(False)


def _compare(chain: Sequence[ChainLayer], inputs: Sequence[Tensor], got: Tensor, expected: Tensor) -> None:
    """Refuse a chain that computes something else than the network for any image."""
    if got.numel() == expected.numel():
        difference = (got.reshape(expected.shape) - expected).abs().flatten(1).amax(dim=1)
        wrong = (difference > TOLERANCE * _contributed(chain, inputs)).tolist()
        if not any(wrong):
            return
        got, expected = got[wrong], expected[wrong]
    raise InputError(
        "lrp: the chain of layers found in the network "
        f"({', '.join(layer.name for layer in chain)}) gives {got.flatten()[:3].tolist()} where the network gives "
        f"{expected.flatten()[:3].tolist()}. {SUPPORTED_TEXT}"
    )


def _contributed(chain: Sequence[ChainLayer], inputs: Sequence[Tensor]) -> Tensor:
    """Return how large the sums of the last weighted layer would be if nothing cancelled out, of each image [n]."""
    layer, x = [pair for pair in zip(chain, inputs, strict=True) if isinstance(pair[0].module, WEIGHTED)][-1]
    bias = layer.module.bias
    sums = layer.weighted(x.abs(), layer.module.weight.abs(), None if bias is None else bias.abs())
    return sums.flatten(1).amax(dim=1)
