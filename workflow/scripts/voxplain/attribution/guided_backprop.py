"""Guided backpropagation: the gradient of the input, cut at every ReLU both ways.

Springenberg et al. 2015 (arXiv 1412.6806); eqs. 4 and 5 of Kan et al. 2020 (arXiv 2006.15969): at a ReLU the gradient
passes where the unit was active and the gradient itself is positive. The paper's ReLU of the result and the division by
the maximum are left to the summary over people: maps are signed and raw.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.base.errors import InputError

RELU = {"relu", "relu_"}
OTHERS = {
    "relu6", "leaky_relu", "leaky_relu_", "rrelu", "rrelu_", "prelu", "elu", "elu_", "selu", "selu_", "celu", "celu_",
    "gelu", "silu", "mish", "hardswish", "softplus", "tanh", "tanh_", "sigmoid", "sigmoid_", "hardtanh", "hardtanh_",
    "hardsigmoid", "logsigmoid", "softsign", "glu", "threshold", "threshold_", "clamp", "clamp_", "clamp_min",
    "maximum",
}  # fmt: skip


@dataclass(frozen=True)
class GuidedBackpropSettings:
    """Guided backpropagation has no settings."""


class _Nonlinearities(TorchFunctionMode):
    """Counts calls of activation functions, by modules and by functions alike."""

    def __init__(self):
        super().__init__()
        self.relus = 0
        self.others: set[str] = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        self.relus += name in RELU
        if name in OTHERS:
            self.others.add(name)
        return function(*args, **(kwargs or {}))


@contextmanager
def _guided(network: nn.Module) -> Iterator[list[str]]:
    """Clip gradients that enter ReLU modules from above for the length of a block; gives the names of called modules.

    The gradient of a ReLU's output is cut at 0 before the ReLU's own backward pass masks it, which is the same as
    cutting after. A hook on the tensor, unlike one on the module's backward pass, also allows ReLUs in place and
    modules that are called more than once.
    """
    called: list[str] = []

    def clip(name):
        def hook(module, inputs, output):
            called.append(name)
            output.register_hook(lambda gradient: gradient.clamp(min=0))

        return hook

    handles = [m.register_forward_hook(clip(name)) for name, m in network.named_modules() if isinstance(m, nn.ReLU)]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()


def guided_backprop(
    network: nn.Module, images: Tensor, targets: Tensor, settings: GuidedBackpropSettings, context: Context
) -> Attribution:
    """Return guided gradients of one batch; arguments as in `voxplain.attribution.method.Method`.

    Raises
    ------
    InputError
        For a network without ReLU modules, with functional ReLUs (which no hook can reach, so that the map would
        silently be the plain gradient) or with other nonlinearities, for which the method is not defined.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad(), _guided(network) as called:
        with _Nonlinearities() as seen:
            logits = network(images)
        _check(len(called), seen)
        score = weighted_score(logits, targets)
        (gradient,) = torch.autograd.grad(score.sum(), images)
    return Attribution(gradient[:, 0], score.detach().cpu().numpy())


def _check(modules: int, seen: _Nonlinearities) -> None:
    advice = "Write activations as nn.ReLU modules, or use another method."
    if seen.others:
        raise InputError(
            f"guided_backprop is defined for ReLU only, but the network uses {', '.join(sorted(seen.others))}. {advice}"
        )
    if seen.relus > modules:
        raise InputError(
            f"guided_backprop: the network calls ReLU as a function {seen.relus - modules} time(s), where it cannot be "
            f"guided (nn.ReLU modules called: {modules}). {advice}"
        )
    if not modules:
        raise InputError(f"guided_backprop: the network has no nn.ReLU module. {advice}")
