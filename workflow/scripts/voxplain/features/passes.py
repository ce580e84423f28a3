"""Forward passes that end at a layer: what follows would cost time, and could change the activations in place."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class _Reached(Exception):
    def __init__(self, values: Tensor):
        super().__init__()
        self.values = values


def on_call(call: int, act: Callable[..., None]) -> Callable[..., None]:
    """Return a forward hook, or pre-hook, that hands inputs and, if any, the output of one call of a module to `act`.

    Parameters
    ----------
    call : int
        0 for the module's first call in the pass.
    act : callable
        ``act(inputs, output)``, or ``act(inputs)`` of a pre-hook.
    """
    calls = 0

    def hook(module, inputs, *output):
        nonlocal calls
        calls += 1
        if calls - 1 == call:
            act(inputs, *output)

    return hook


def read_and_stop(
    network: nn.Module, images: Tensor, name: str, listen: Callable[[Callable[[Tensor], None]], RemovableHandle]
) -> Tensor:
    """Run a network until a layer gives its values, and return them.

    Parameters
    ----------
    network : nn.Module
    images : Tensor [n, 1, D, H, W]
    name : str
        Of the layer, for the message.
    listen : callable
        Hangs its argument, which takes the values, into the network.
    """

    def stop(values: Tensor) -> None:
        raise _Reached(values)

    with listen(stop):
        try:
            network(images)
        except _Reached as reached:
            return reached.values
    raise RuntimeError(f"the network did not run its layer {name!r} a second time")
