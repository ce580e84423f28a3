"""Baselines: the images that stand for "nothing there"."""

import numpy as np
import torch
from torch import Tensor

from voxplain.attribution.method import Context
from voxplain.attribution.separable import along_axes, blurring_matrix, gaussian_taps
from voxplain.base.errors import InputError


def baseline_images(images: Tensor, baseline: str, blur_sigma: float, context: Context) -> Tensor:
    """Return what stands for "nothing there" in each image.

    Parameters
    ----------
    images : Tensor [n, 1, D, H, W]
    baseline : {'mean', 'zero', 'blur'}
        The population's mean image, zeros, or each image blurred (replicated borders).
    blur_sigma : float
        Standard deviation of the blur, voxels.
    context : Context
        Has the mean image.

    Returns
    -------
    Tensor [n, 1, D, H, W]

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
    """Say what is wrong with settings of a baseline; `words` are those that the method knows."""
    problems = [] if baseline in words else [f"baseline: {baseline!r} is not one of {', '.join(words)}"]
    if not 0 <= blur_sigma < np.inf:
        problems.append(f"blur_sigma: {blur_sigma!r} must be at least 0")
    return problems
