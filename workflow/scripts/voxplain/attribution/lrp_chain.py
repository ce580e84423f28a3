"""A network as the chain of layers that it runs, as layer-wise relevance propagation needs it.

The layers are found by running the network once, so that any module counts whose forward pass is a chain, whatever its
containers look like. BatchNorm is folded into the layer before it, and the chain must give the network's own output for
every image: what no layer does (a function, a skip connection) cannot go unnoticed. Where every layer is torch's own
and gets the very tensor that the layer before it gave, this needs no second pass.
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


def chain_of(network: nn.Module, images: Tensor) -> tuple[list[ChainLayer], list[Tensor] | None, Tensor]:
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
    inputs : list of Tensor or None
        Of every layer, [n, *shape] each, as the network passed them on; None where they must come from `run_chain`:
        BatchNorm was folded here, a weight is computed anew at every call, or a layer has hooks.
    output : Tensor
        Of the network, as it is.

    Raises
    ------
    InputError
        Names every layer that is not supported, BatchNorm that cannot be folded, and every place where something
        happens between two layers.
    """
    called, output, intact = _called(network, images, copies=False)
    if not intact:
        called, output, _ = _called(network, images, copies=True)
    chain, problems = _folded(called)
    if not isinstance(output, Tensor):
        problems.append(f"the network's output ({type(output).__name__}; expected one tensor [n, outputs])")
    if not any(isinstance(layer.module, WEIGHTED) for layer in chain) and not problems:
        problems.append("no convolution or linear layer at all")
    if problems:
        refuse("lrp: relevance cannot be propagated through this network", problems, SUPPORTED_TEXT)
    if any(isinstance(call.layer.module, NORMS) or not _as_it_stands(call.layer.module) for call in called):
        return chain, None, output
    return chain, [call.given.tensor for call in called if not isinstance(call.layer.module, PASSED)], output


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
    given: "_Seen | None"  # None: something else than one tensor
    problem: str | None


class _Seen:
    """A tensor as it was when it was seen: as a copy, or with a way to tell whether it was changed in place."""

    def __init__(self, tensor: Tensor, copied: bool):
        self.tensor = tensor.detach().clone() if copied else tensor.detach()
        self.version = None if self.tensor.is_inference() else self.tensor._version

    @property
    def intact(self) -> bool:
        return self.version is not None and self.tensor._version == self.version

    def is_given_on(self, other: Tensor, as_one: bool = False) -> bool:
        """Whether nothing but the shape of each image (or of all) changed; what is not finite is left to others."""
        before, after = self.tensor, other.detach()
        if before.numel() != after.numel() or (before.shape[:1] != after.shape[:1] and not as_one):
            return False
        if before.data_ptr() == after.data_ptr() and before.shape == after.shape and before.stride() == after.stride():
            return True
        return torch.equal(before.nan_to_num().reshape(after.shape), after.nan_to_num())


def _called(network: nn.Module, images: Tensor, copies: bool) -> tuple[list[_Call], Tensor, bool]:
    """Run the network; return the calls of its layers, its output, and whether all that was seen stayed as it was.

    Without copies this takes no longer than the pass itself, but a network that works in place cannot be judged, but
    for its ReLUs.
    """
    calls: list[_Call] = []
    images = images.clone()  # for a network that works in place
    last, intact = [_Seen(images, copies), "the input"], True
    arrived: dict[int, tuple[_Seen | None, bool]] = {}

    def keep(module, inputs):  # before a module works in place
        nonlocal intact
        single = len(inputs) == 1 and isinstance(inputs[0], Tensor)
        intact = intact and last[0].intact
        arrived[id(module)] = (_Seen(inputs[0], copies), last[0].is_given_on(inputs[0])) if single else (None, False)

    def note(name):
        def hook(module, inputs, output):
            given, unchanged = arrived.pop(id(module))
            problem = _unsupported(name, module)
            if problem is None and (given is None or not isinstance(output, Tensor)):
                problem = f"{name} ({type(module).__name__}: takes or gives something else than one tensor)"
            elif problem is None and not unchanged:
                problem = f"what happens between {last[1]} and {name} (a function or a skip connection)"
            shape = () if given is None else tuple(given.tensor.shape[1:])
            calls.append(_Call(ChainLayer(name, module, shape), given, problem))
            last[:] = [_Seen(output, copies) if isinstance(output, Tensor) else last[0], name]

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
    if calls and isinstance(output, Tensor) and not last[0].is_given_on(output, as_one=True):
        calls[-1] = replace(calls[-1], problem=calls[-1].problem or f"what happens after {last[1]} (a function)")
    needed = [call.given for call in calls if call.given and not isinstance(call.layer.module, (nn.ReLU, *PASSED))]
    return calls, output, intact and last[0].intact and all(given.intact for given in needed)


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


def _as_it_stands(module: nn.Module) -> bool:
    """Whether a layer does nothing but what its type and its parameters say."""
    return not (module._forward_hooks or module._forward_pre_hooks or is_parametrized(module))


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
