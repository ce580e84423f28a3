"""A network as the chain of layers that it runs, as layer-wise relevance propagation needs it.

The layers are found by running the network once, so that any module counts whose forward pass is a chain, whatever its
containers look like. BatchNorm is folded into the layer before it, and the chain must give the network's own output:
what no layer does (a function, a skip connection) cannot go unnoticed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_weights

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
        return nn.functional.relu(x) if isinstance(self.module, nn.ReLU) else self.module(x)


def chain_of(network: nn.Module, image: Tensor) -> list[ChainLayer]:
    """Return the layers of a network in order of execution, BatchNorm folded, dropout and flatten left out.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    image : Tensor [1, 1, D, H, W]
        On which the network is run and the chain compared with it.

    Raises
    ------
    InputError
        Names every layer that is not supported, BatchNorm that cannot be folded, and every place where something
        happens between two layers; also when the chain computes something else than the network.
    """
    called, output = _called(network, image)
    chain, problems = _folded(called)
    if not any(isinstance(layer.module, WEIGHTED) for layer in chain) and not problems:
        problems.append("no convolution or linear layer at all")
    if problems:
        refuse("lrp: relevance cannot be propagated through this network", problems, SUPPORTED_TEXT)
    _compare(chain, image, output)
    return chain


def run_chain(chain: Sequence[ChainLayer], images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the input of every layer, [n, *shape] each, and the output of the last."""
    inputs, x = [], images
    for layer in chain:
        x = x.reshape(len(x), *layer.shape)
        inputs.append(x)
        x = layer(x)
    return inputs, x


@dataclass(frozen=True)
class _Call:
    layer: ChainLayer
    problem: str | None


def _called(network: nn.Module, image: Tensor) -> tuple[list[_Call], Tensor]:
    """Run the network on one image; return its calls of modules without children, and its output."""
    calls: list[_Call] = []
    last: list[Tensor | str] = [image.detach().clone(), "the input"]

    def note(name):
        def hook(module, inputs, output):
            given = arrived[id(module)]
            single = len(given) == 1 and isinstance(given[0], Tensor) and isinstance(output, Tensor)
            problem = None
            if not isinstance(module, SUPPORTED):
                problem = f"{name} ({type(module).__name__})"
            elif not single:
                problem = f"{name} ({type(module).__name__}: takes or gives more than one tensor)"
            elif not _same(last[0], given[0]):
                problem = f"what happens between {last[1]} and {name} (a function or a skip connection)"
            calls.append(_Call(ChainLayer(name, module, tuple(given[0].shape[1:]) if single else ()), problem))
            last[:] = [output.detach().clone() if isinstance(output, Tensor) else given[0], name]

        return hook

    arrived: dict[int, tuple] = {}

    def keep(module, inputs):  # before a module works in place
        arrived[id(module)] = tuple(x.detach().clone() if isinstance(x, Tensor) else x for x in inputs)

    handles = []
    for name, module in network.named_modules():
        if next(module.children(), None) is None:
            handles += [module.register_forward_pre_hook(keep), module.register_forward_hook(note(name or "network"))]
    try:
        with torch.no_grad():
            output = network(image)
    finally:
        for handle in handles:
            handle.remove()
    if calls and isinstance(output, Tensor) and not _same(last[0], output):
        calls[-1] = replace(calls[-1], problem=calls[-1].problem or f"what happens after {last[1]} (a function)")
    return calls, output


def _same(before: Tensor, after: Tensor) -> bool:
    """Whether nothing but the shape changed; values that are not finite are left to others."""
    if before.numel() != after.numel() or len(before) != len(after):
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
            if chain and isinstance(chain[-1].module, WEIGHTED) and module.running_mean is not None:
                chain[-1] = replace(chain[-1], module=_fuse(chain[-1].module, module))
            else:
                problems.append(
                    f"{call.layer.name} ({type(module).__name__}: needs running statistics and a convolution or linear "
                    "layer right before it)"
                )
        elif not isinstance(module, PASSED):
            chain.append(call.layer)
    return chain, problems


def _fuse(layer: nn.Module, norm: nn.Module) -> nn.Module:
    if isinstance(layer, CONVOLUTIONS):
        return fuse_conv_bn_eval(layer, norm).requires_grad_(False)
    weight, bias = fuse_linear_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    fused = nn.Linear(layer.in_features, layer.out_features, device=weight.device, dtype=weight.dtype)
    fused.weight, fused.bias = weight, bias
    return fused.requires_grad_(False)


def _compare(chain: Sequence[ChainLayer], image: Tensor, expected: Tensor) -> None:
    with torch.no_grad():
        got = run_chain(chain, image)[1]
    if got.shape == expected.shape:
        difference = (got - expected).abs().max().item()
        if not difference > TOLERANCE * max(1.0, expected.abs().max().item()):
            return
    raise InputError(
        "lrp: the chain of layers found in the network "
        f"({', '.join(layer.name for layer in chain)}) gives {got.flatten()[:3].tolist()} where the network gives "
        f"{expected.flatten()[:3].tolist()}. {SUPPORTED_TEXT}"
    )
