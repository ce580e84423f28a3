"""SmoothGrad: the gradient of the input, averaged over noisy copies of the image.

Smilkov et al. 2017 (arXiv 1706.03825). Gradients come from captum's `Saliency`. The noise does not come from captum's
`NoiseTunnel`: that one draws from the global generator of the device, for a whole batch at a time, so that a person's
map would depend on the batch, on the device and on the memory budget.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.memory_budget import images_at_once, scores_of
from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.attribution.setting_checks import memory_problems, number_problems
from voxplain.base.errors import refuse
from voxplain.base.seeds import stream


@dataclass(frozen=True)
class SmoothGradSettings:
    """Settings of `smoothgrad`.

    Attributes
    ----------
    samples : int
        Noisy copies of an image.
    sigma : float
        Standard deviation of the noise in units of the image's own standard deviation over its voxels that are not 0;
        for z-scored images, whose background is 0, that is the intensity inside the brain. 0 = the plain gradient.
    memory_mb : float
        MiB that activations and gradients of one pass may take, about; at least one image is always passed.
    """

    samples: int = 8
    sigma: float = 0.3
    memory_mb: float = 4096.0

    def __post_init__(self):
        problems = number_problems(self, {"samples": 1})
        if not 0 <= self.sigma < np.inf:
            problems.append(f"sigma: {self.sigma!r} must be at least 0")
        problems += memory_problems(self.memory_mb)
        if problems:
            refuse("settings of smoothgrad that cannot work", problems)


def smoothgrad(
    network: nn.Module, images: Tensor, targets: Tensor, settings: SmoothGradSettings, context: Context
) -> Attribution:
    """Return signed mean gradients of one batch; arguments as in `voxplain.attribution.method.Method`.

    Noise falls on every voxel, inside and outside of the brain. The draws of a person depend on the seed and the id
    only, and the first draws are the same whatever `samples` is.
    """
    from captum.attr import Saliency  # here, because the other methods need not wait for it

    images = images.detach()
    at_once = context.prepared or images_at_once(network, images[:1], settings.memory_mb)
    score = scores_of(network, images, targets, at_once)
    saliency = Saliency(lambda volumes, weights: weighted_score(network(volumes), weights))
    # The mean of equal gradients would differ from the gradient by rounding.
    samples = settings.samples if settings.sigma > 0 else 1
    maps = torch.zeros_like(images)
    noisy = _noisy_images(images, samples, settings.sigma, context)
    for start in range(0, len(images) * samples, at_once):
        count = min(at_once, len(images) * samples - start)
        people = torch.arange(start, start + count, device=images.device) // samples
        volumes = torch.stack([next(noisy) for _ in range(count)]).requires_grad_()
        gradients = saliency.attribute(volumes, abs=False, additional_forward_args=targets[people])
        # Not index_add_, whose order of summation, and with it the rounding, may vary on a GPU.
        for person, gradient in zip(people.tolist(), gradients.detach(), strict=True):
            maps[person] += gradient / samples
    return Attribution(maps[:, 0], score.cpu().numpy())


def _noisy_images(images: Tensor, samples: int, sigma: float, context: Context) -> Iterator[Tensor]:
    """Give the noisy copies [1, D, H, W] of one person after the other."""
    for image, person in zip(images, context.participant_ids, strict=True):
        inside = image[image != 0]
        unit = inside.std(correction=0).item() if len(inside) else 0.0
        draws = stream(context.seed, "smoothgrad", person)
        for _ in range(samples):
            if sigma == 0:
                yield image
                continue
            noise = torch.from_numpy(draws.standard_normal(tuple(image.shape), dtype=np.float32))
            yield image + sigma * unit * noise.to(image.device)
