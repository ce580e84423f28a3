"""Do the maps depend on what the network has learned? Maps of networks whose layers are randomised one after another.

Adebayo et al. 2018 (arXiv 1810.03292): layers are re-initialised from the output down, each step on top of the last;
maps that stay what they were show the image or the architecture, not what was learned. Beside it their other test: the
maps of a network that was trained on shuffled labels.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from voxplain.attribution.registry import attribute, usual_batch_size
from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import seed_for
from voxplain.evaluation.randomization_tables import CASCADE, SHUFFLED
from voxplain.evaluation.similarity import compare_maps
from voxplain.features.passes import on_call, read_and_stop
from voxplain.models.folding import frozen_copy

ADVICE = (
    "Give each module that has parameters a reset_parameters() that draws all of them anew, and call the module itself "
    "in forward, as the layers of torch.nn do."
)


def cascade(
    model: nn.Module, seed: int, images: Tensor, batch_size: int | None = None
) -> Iterator[tuple[str, int, nn.Module]]:
    """Give copies of a network of which 1, 2, ... all layers are re-initialised, from the output down.

    A layer is a module with parameters of its own, in the order in which the network runs them (of one that runs more
    than once the last call counts). BatchNorm belongs to the layer before it and is reset with it.

    Parameters
    ----------
    model : nn.Module
        Left untouched.
    seed : int
        New weights come from the layer's own ``reset_parameters``, on the CPU, under a generator seeded with `seed`
        and the layer's name: they depend on neither the device nor the order nor the other layers.
    images : Tensor [n, 1, D, H, W]
        Of the people to be explained; see the notes.
    batch_size : int, optional
        Images at once; plays no part but for rounding.

    Yields
    ------
    name : str
        Of the layer re-initialised last.
    layers : int
        How many are.
    network : nn.Module
        Frozen, in evaluation mode, on the device of `model`.

    Raises
    ------
    InputError
        Names modules that have parameters but no ``reset_parameters``, or one that leaves some of them as they are,
        and modules whose parameters the network uses without calling them.

    Notes
    -----
    Reset running statistics (mean 0, variance 1) do not fit the activations of the new weights, which would shrink
    from layer to layer (PyTorch's usual initialisation has a gain of 1/√3), and the learned statistics fit no better.
    Those of the reset layers are therefore computed anew over all voxels of `images`, as one pass in training mode
    without dropout would, the first layer first. γ and β are reset to 1 and 0.
    """
    network, device = frozen_copy(model), _device(model)
    layers = _layers(network, images[:1])
    batch_size = batch_size or usual_batch_size(device, None)
    for done, name in enumerate(reversed(layers), 1):
        _reset(network.cpu(), layers[name], seed)
        network.to(device)
        for part in itertools.chain.from_iterable(list(layers.values())[-done:]):
            _renew_statistics(network, part, images, batch_size)
        yield name or "network", done, copy.deepcopy(network)


def randomization_test(
    model: nn.Module,
    method: str,
    images: Tensor | np.ndarray,
    targets: Tensor,
    brain: np.ndarray,
    settings: Mapping[str, object],
    seed: int,
    participant_ids: Sequence[str],
    mean_image: np.ndarray | None = None,
    shuffled: nn.Module | None = None,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Compare the maps of a network with those of networks that know less and less.

    Parameters
    ----------
    model : nn.Module
    method : str
        Of `voxplain.attribution.registry.METHODS`, but ``noise``.
    images : array [n, 1, D, H, W]
        Of people whom the network has not seen.
    targets : Tensor [n, outputs]
        What is explained, of all networks alike; see `voxplain.attribution.registry.attribute`.
    brain : ndarray of bool [D, H, W]
    settings : mapping
        Of the method.
    seed : int
    participant_ids : sequence of str
    mean_image : ndarray [D, H, W], optional
        For methods that need it.
    shuffled : nn.Module, optional
        A network of the same kind that was trained on shuffled labels.
    batch_size : int, optional
        People at once; plays no part but for rounding.

    Returns
    -------
    DataFrame
        ``method, test, layers, layer`` and the columns of `voxplain.evaluation.similarity.compare_maps`, two rows
        (people, population) a step. ``test`` is ``cascade``, with ``layers`` randomised from 0 to all and ``layer``
        the last one of them, or ``shuffled labels`` (``layers`` missing). The maps of ``layers`` 0 are those of the
        network itself, drawn again with another seed: what random methods reach at best. The other networks' maps are
        drawn with that seed too.

    Raises
    ------
    InputError
        For ``noise``, and as `cascade` and `attribute`.
    """
    check_testable(method)
    images = torch.as_tensor(images, dtype=torch.float32)
    more = {"batch_size": batch_size, "participant_ids": participant_ids, "mean_image": mean_image, **settings}

    def maps_of(network: nn.Module, draw: int) -> np.ndarray:
        return attribute(method, network, images, targets, seed=draw, **more).maps.numpy()

    def compared(test: str, layers: object, layer: str, network: nn.Module) -> pd.DataFrame:
        return _named(method, test, layers, layer, compare_maps(original, maps_of(network, again), brain))

    progress = Progress(f"{method}: randomised layers", len(_layers(frozen_copy(model), images[:1])))
    original, again = maps_of(model, seed), seed_for(seed, "randomization", "again")
    parts = [compared(CASCADE, 0, "none", model)]
    for name, layers, network in cascade(model, seed, images, batch_size):
        parts.append(compared(CASCADE, layers, name, network))
        progress.step()
    if shuffled is not None:
        other = frozen_copy(shuffled).to(_device(model))
        parts.append(label_shuffled(method, original, maps_of(other, again), brain))
    return pd.concat(parts, ignore_index=True)


def label_shuffled(method: str, maps: np.ndarray, shuffled_maps: np.ndarray, brain: np.ndarray) -> pd.DataFrame:
    """Compare maps of a network with those, of the same people, of one that was trained on shuffled labels.

    Parameters
    ----------
    method : str
    maps, shuffled_maps : array [n, D, H, W]
    brain : ndarray of bool [D, H, W]

    Returns
    -------
    DataFrame
        Two rows of the table of `randomization_test`.
    """
    return _named(method, SHUFFLED, pd.NA, SHUFFLED, compare_maps(maps, shuffled_maps, brain))


def check_testable(method: str) -> None:
    """Refuse ``noise``, whose maps do not come from the network alone.

    Raises
    ------
    InputError
    """
    if method == "noise":
        refuse(
            "noise cannot be tested by randomising layers: its maps come from a noise model that was trained against "
            "the network, and every randomised network would need one of its own.",
            advice="Leave noise out of the randomisation test.",
        )


def _named(method: str, test: str, layers: object, layer: str, compared: pd.DataFrame) -> pd.DataFrame:
    facts = {"method": method, "test": test, "layers": pd.array([layers] * len(compared), "Int64"), "layer": layer}
    return compared.assign(**facts)[[*facts, *compared.columns]]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _layers(network: nn.Module, image: Tensor) -> dict[str, list[str]]:
    """Return the layers in order of execution, each with the modules that are reset with it, itself the first."""
    parts = {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, _BatchNorm) or list(part.parameters(recurse=False))
    }
    clock, last = itertools.count(), {}
    handles = [
        part.register_forward_hook(lambda *_, name=name: last.update({name: next(clock)}))
        for name, part in parts.items()
    ]
    try:
        with torch.no_grad():
            network(image.to(_device(network)))
    finally:
        for handle in handles:
            handle.remove()
    _refuse_layers(network, [name for name in parts if not hasattr(parts[name], "reset_parameters")], "cannot be reset")
    _refuse_layers(network, [name for name in parts if name not in last], "is not called by the network")
    layers: dict[str, list[str]] = {}
    for name in sorted(last, key=last.get):
        if layers and isinstance(parts[name], _BatchNorm):
            layers[next(reversed(layers))].append(name)
        else:
            layers[name] = [name]
    return layers


def _reset(network: nn.Module, names: Sequence[str], seed: int) -> None:
    """Re-initialise modules in place."""
    for name in names:
        part = network.get_submodule(name)
        own = list(part.parameters(recurse=False))
        for parameter in own:  # what is left of this was not re-initialised
            parameter.fill_(torch.nan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "randomization", name))
            part.reset_parameters()
        kept = any(parameter.isnan().any() for parameter in own)
        _refuse_layers(network, [name] * kept, "its reset_parameters leaves parameters as they are")


def _refuse_layers(network: nn.Module, names: Sequence[str], problem: str) -> None:
    offenders = [f"{name or 'network'} ({type(network.get_submodule(name)).__name__}): {problem}" for name in names]
    if offenders:
        refuse("These parts of the network have parameters that cannot be randomised", offenders, ADVICE)


def _renew_statistics(network: nn.Module, name: str, images: Tensor, batch_size: int) -> None:
    """Set the running statistics of a module, if it is a BatchNorm, to those of its input over all images."""
    norm = network.get_submodule(name)
    if getattr(norm, "running_mean", None) is None:
        return
    voxels, total, squares = 0, 0.0, 0.0
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size].to(_device(network))
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            values = read_and_stop(
                network, batch, name,
                lambda stop: norm.register_forward_pre_hook(on_call(0, lambda inputs: stop(inputs[0]))),
            ).double()  # fmt: skip
        axes = [axis for axis in range(values.ndim) if axis != 1]
        voxels += values.numel() // values.shape[1]
        total, squares = total + values.sum(axes), squares + values.square().sum(axes)
    mean = total / voxels
    norm.running_mean.copy_(mean)
    norm.running_var.copy_((squares / voxels - mean.square()).clamp(min=0) * voxels / max(voxels - 1, 1))
