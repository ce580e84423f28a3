"""How many images one pass through a network may hold, scores in passes of that many, and what is too much."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import weighted_score
from voxplain.base.errors import InputError
from voxplain.base.plain_words import is_out_of_memory
from voxplain.models.quickening import quickened

CPU_IMAGES = 8  # with more there is no gain
Answer = TypeVar("Answer")


def prepare_passes(model: nn.Module, image: Tensor, settings: object, gradients: bool = True) -> tuple[nn.Module, int]:
    """Prepare methods that pass many versions of an image: a quicker network, and how many images it passes at once."""
    network = quickened(model, image)
    return network, images_at_once(network, image, settings.memory_mb, gradients)


def images_at_once(network: nn.Module, image: Tensor, memory_mb: float, gradients: bool = True) -> int:
    """Return how many images fit into a memory budget, at least 1; on a CPU at most 8, as more gain nothing.

    Parameters
    ----------
    network : nn.Module
    image : Tensor [1, 1, D, H, W]
        Passed through the network once, to see how large its activations are.
    memory_mb : float
        MiB.
    gradients : bool
        Whether there is a backward pass, for which all activations are kept; otherwise each layer's input and output.
    """
    sizes = [image.numel() * image.element_size()]

    def note(module, inputs, output):
        # Flatten, dropout in evaluation mode and folded BatchNorm hand on what they were given.
        given = inputs[0] if inputs else None  # nothing for a module that is called by keyword
        handed_on = isinstance(given, Tensor) and isinstance(output, Tensor) and output.data_ptr() == given.data_ptr()
        if isinstance(output, Tensor) and not handed_on:
            sizes.append(output.numel() * output.element_size())

    leaves = [module for module in network.modules() if not any(module.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    # Beside what is kept: two volumes of the largest layer (its input and output, or their gradients), and the copies
    # of the image that captum makes.
    needed = (sum(sizes) if gradients else 0) + 2 * max(sizes) + 6 * sizes[0]
    most = CPU_IMAGES if image.device.type == "cpu" else np.inf
    return int(max(1, min(most, memory_mb * 2**20 // needed)))


def scores_of(network: nn.Module, images: Tensor, targets: Tensor, at_once: int) -> Tensor:
    """Return the weighted score of each image, [n], from passes of at most `at_once` images.

    Parameters
    ----------
    network : nn.Module
    images : Tensor [n, 1, D, H, W]
    targets : Tensor [n, outputs]
        Weights over the outputs.
    at_once : int
        From `images_at_once`.

    Raises
    ------
    InputError
        When the network does not give one row of outputs per image, as many as there are weights.
    """
    with torch.no_grad():
        outputs = [network(part) for part in images.split(at_once)]
    for output, weights in zip(outputs, targets.split(at_once), strict=True):
        if output.ndim != 2:  # such parts may not fit together; the error is that of one of them
            weighted_score(output, weights)
    return weighted_score(torch.cat(outputs), targets)


def within_memory(function: Callable[..., Answer], *arguments) -> Answer | None:
    """Call a function; return None, with what it took given back, when it runs out of memory."""
    try:
        return function(*arguments)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Behind the block above, because the error holds on to all that the function had.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None


def halved(explainer, people: int) -> int:
    """Return half as many people, and let methods of many passes take half as many images in each; say so.

    Parameters
    ----------
    explainer : voxplain.attribution.registry.Explainer
        Whose device ran out of memory.
    people : int
        That were explained at once.

    Raises
    ------
    InputError
        When one person, and one image in a pass, was too much.
    """
    name, passed = explainer.method.name, explainer.prepared if isinstance(explainer.prepared, int) else 1
    if people == passed == 1:
        raise too_small(name, explainer.device)
    fewer = max(1, people // 2)
    text = f"{name}: out of memory with {people} people at once"
    if passed > 1:
        explainer.prepared = passed // 2
        text += f", {passed} images a pass; goes on with {fewer} and {passed // 2}"
    else:
        text += f"; goes on with {fewer}"
    print(text, file=sys.stderr, flush=True)
    return fewer


def too_small(method: str, device: torch.device | str) -> InputError:
    """Return the error of a device whose memory does not hold one person."""
    device, room = torch.device(device), ""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        room = f" ({free / 2**30:.1f} of {total / 2**30:.1f} GiB are free)"
    return InputError(
        f"{method}: not even one person fits into the memory of {device}{room}. End what else uses it, let fewer jobs "
        "share a GPU (VOXPLAIN_JOBS_PER_GPU), or set device: cpu. A network with fewer model.arguments.channels needs "
        "less."
    )
