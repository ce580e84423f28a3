"""Integrated Gradients: gradients along the way from a baseline to the image, times the way.

Sundararajan et al. 2017 (arXiv 1703.01365), eq. 1: (x − x′) ∫ ∂f(x′ + α(x − x′))/∂x dα over α from 0 to 1, through
captum's `IntegratedGradients` with Gauss-Legendre quadrature. Completeness (their proposition 1): a map sums to
f(x) − f(x′), so that the choice of the baseline x′ decides what the map is about.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.attribution.separable import along_axes, blurring_matrix, gaussian_taps
from voxplain.base.errors import InputError, refuse

BASELINES = ("mean", "zero", "blur")
CPU_IMAGES = 4  # activations of more images fall out of the caches


@dataclass(frozen=True)
class IntegratedGradientsSettings:
    """Settings of `integrated_gradients`.

    Attributes
    ----------
    steps : int
        Points of the quadrature between baseline and image; each costs a forward and a backward pass.
    baseline : {'mean', 'zero', 'blur'}
        x′: the population's mean image, an image of zeros (for z-scored images the mean intensity of the brain, which
        is also the background), or the person's own image, blurred.
    blur_sigma : float
        Standard deviation of the blur, voxels.
    memory_mb : float
        MiB that activations and gradients of one pass may take, about; at least one image is always passed.
    """

    steps: int = 64
    baseline: str = "mean"
    blur_sigma: float = 3.0
    memory_mb: float = 4096.0

    def __post_init__(self):
        problems = baseline_problems(self.baseline, BASELINES, self.blur_sigma) + number_problems(self, {"steps": 1})
        if not self.memory_mb > 0:
            problems.append(f"memory_mb: {self.memory_mb!r} must be above 0")
        if problems:
            refuse("settings of integrated_gradients that cannot work", problems)


def integrated_gradients(
    network: nn.Module, images: Tensor, targets: Tensor, settings: IntegratedGradientsSettings, context: Context
) -> Attribution:
    """Return integrated gradients of one batch; arguments as in `voxplain.attribution.method.Method`.

    Returns
    -------
    Attribution
        ``score_after`` is f(x′), and ``conservation`` the sum of the map divided by f(x) − f(x′): 1 for an exact
        integral, NaN where image and baseline score the same.

    Raises
    ------
    InputError
        For the baseline ``mean`` without a mean image of the images' shape.
    """
    from captum.attr import IntegratedGradients  # here, because the other methods need not wait for it

    images = images.detach()
    baselines = baseline_images(images, settings.baseline, settings.blur_sigma, context)
    with torch.no_grad():
        before = weighted_score(network(images), targets)
        after = weighted_score(network(baselines), targets)
    at_once = images_at_once(network, images[:1], settings.memory_mb)
    method = IntegratedGradients(lambda volumes, weights: weighted_score(network(volumes), weights))
    people = min(at_once, len(images))
    maps = [
        method.attribute(
            images[rows],
            baselines[rows],
            additional_forward_args=targets[rows],
            n_steps=settings.steps,
            internal_batch_size=at_once,
        )
        for rows in (slice(start, start + people) for start in range(0, len(images), people))
    ]
    maps = torch.cat(maps)[:, 0].detach()
    explained = (before - after).double()
    total = maps.sum(dim=(1, 2, 3), dtype=torch.float64)
    conservation = torch.where(explained == 0, torch.nan, total / explained)
    return Attribution(
        maps, before.cpu().numpy(), after.cpu().numpy(), conservation=conservation.cpu().numpy().astype(np.float32)
    )


def baseline_images(images: Tensor, baseline: str, blur_sigma: float, context: Context) -> Tensor:
    """Return what stands for "nothing there", shaped like images [n, 1, D, H, W].

    Raises
    ------
    InputError
        For ``mean`` without a mean image of the images' shape.
    """
    if baseline == "zero":
        return torch.zeros_like(images)
    if baseline == "blur":
        taps = gaussian_taps(blur_sigma)
        matrices = [blurring_matrix(n, taps, "replicate").to(images) for n in images.shape[2:]]
        return along_axes(images[:, 0], matrices)[:, None]
    if context.mean_image is None or context.mean_image.shape != images.shape[2:]:
        raise InputError(
            "baseline: mean needs the population's mean image (mean_image=), of the shape of the images. "
            "Without one set baseline: zero."
        )
    return context.mean_image.to(images).expand_as(images)


def baseline_problems(baseline: str, words: tuple[str, ...], blur_sigma: float = 0.0) -> list[str]:
    """Say what is wrong with settings of a baseline."""
    problems = [] if baseline in words else [f"baseline: {baseline!r} is not one of {', '.join(words)}"]
    if not 0 <= blur_sigma < np.inf:
        problems.append(f"blur_sigma: {blur_sigma!r} must be at least 0")
    return problems


def number_problems(settings: object, least: dict[str, int]) -> list[str]:
    """Say which settings are not whole numbers or are too small."""
    values = {name: getattr(settings, name) for name in least}
    return [
        f"{name}: {value!r} must be a whole number of at least {least[name]}"
        for name, value in values.items()
        if not isinstance(value, int) or value < least[name]
    ]


def images_at_once(network: nn.Module, image: Tensor, memory_mb: float, gradients: bool = True) -> int:
    """Return how many images fit into a memory budget, at least 1; on a CPU at most 4, as more are slower.

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
        if isinstance(output, Tensor) and output.data_ptr() != inputs[0].data_ptr():
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
