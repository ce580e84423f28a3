"""Networks by name: the built-in `VoxelCNN` or a class of the user's, built and tried out before it is used."""

import importlib
from collections.abc import Mapping

import torch
from torch import nn

from voxplain.base.errors import InputError
from voxplain.models.voxel_cnn import VoxelCNN

BUILT_IN = {"VoxelCNN": VoxelCNN}


def build(network: str, arguments: Mapping[str, object]) -> nn.Module:
    """Build a network and check on a dummy input that it returns logits [n, outputs].

    Parameters
    ----------
    network : str
        ``VoxelCNN``, or ``package.module:Class`` of an importable `torch.nn.Module`.
    arguments : mapping
        Keyword arguments of the class: always ``shape`` (voxels, 3 int) and ``outputs`` (classes, or 1 for
        regression), and whatever else the class takes.

    Returns
    -------
    nn.Module
        In training mode. Its weights come from torch's global random generator.

    Raises
    ------
    InputError
        For a class that cannot be imported or built, and for one whose output has the wrong shape.
    """
    chosen = BUILT_IN.get(network) or _import(network)
    arguments = dict(arguments)
    shape = arguments["shape"] = tuple(int(n) for n in arguments["shape"])
    try:
        model = chosen(**arguments)
    except TypeError as error:
        raise InputError(
            f"network {network} cannot be built with the arguments {sorted(arguments)}: {error}. "
            "A network takes shape= and outputs= and the arguments of the config."
        ) from error
    _try_out(model, network, shape, int(arguments["outputs"]))
    return model


def _import(network: str) -> type[nn.Module]:
    module_name, colon, class_name = network.partition(":")
    if not (module_name and colon and class_name):
        raise InputError(f"network {network!r} is neither one of {sorted(BUILT_IN)} nor 'package.module:Class'.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"network {network}: the module {module_name} cannot be imported ({error}). "
            "Install it, or put its folder on PYTHONPATH."
        ) from error
    chosen = getattr(module, class_name, None)
    if not (isinstance(chosen, type) and issubclass(chosen, nn.Module)):
        raise InputError(f"network {network}: {module_name} has no class {class_name} derived from torch.nn.Module.")
    return chosen


def _try_out(model: nn.Module, network: str, shape: tuple[int, ...], outputs: int) -> None:
    was_training = model.training
    try:
        with torch.no_grad():
            result = model.eval()(torch.zeros(2, 1, *shape))
    except Exception as error:
        raise InputError(
            f"network {network} fails on an input [2, 1, {', '.join(map(str, shape))}]: {error}"
        ) from error
    finally:
        model.train(was_training)
    got = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
    if got != (2, outputs):
        raise InputError(
            f"network {network} returned {got} for 2 images, expected logits of shape (2, {outputs}): "
            "one per class without softmax, or one value for regression."
        )
