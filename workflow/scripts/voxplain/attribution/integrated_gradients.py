"""Integrated Gradients: gradients along the way from a baseline to the image, times the way.

Sundararajan et al. 2017 (arXiv 1703.01365), eq. 1: (x − x′) ∫ ∂f(x′ + α(x − x′))/∂x dα over α from 0 to 1, through
captum's `IntegratedGradients` with Gauss-Legendre quadrature. Completeness (their proposition 1): a map sums to
f(x) − f(x′), so that the choice of the baseline x′ decides what the map is about.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.baselines import baseline_images, baseline_problems
from voxplain.attribution.memory_budget import images_at_once, scores_of
from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.attribution.setting_checks import memory_problems, number_problems
from voxplain.base.errors import refuse

BASELINES = ("mean", "zero", "blur")


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
        problems = [
            *baseline_problems(self.baseline, BASELINES, self.blur_sigma),
            *number_problems(self, {"steps": 1}),
            *memory_problems(self.memory_mb),
        ]
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
    at_once = context.prepared or images_at_once(network, images[:1], settings.memory_mb)
    before, after = (scores_of(network, volumes, targets, at_once) for volumes in (images, baselines))
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
