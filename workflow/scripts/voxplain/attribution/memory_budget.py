"""How many images one pass through a network may hold, and scores in passes of that many."""

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import weighted_score
from voxplain.models.quickening import quickened

CPU_IMAGES = 8  # with more there is no gain


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
