"""Occlusion: how much the score falls when a cube of the image is replaced.

Zeiler & Fergus 2014 (arXiv 1311.2901), through captum's `Occlusion`: the cube slides over the image, and a voxel gets
the mean of score(image) − score(occluded image) over the cubes that cover it. Positive: the voxels speak for what is
explained.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxplain.attribution.integrated_gradients import (
    baseline_images,
    baseline_problems,
    images_at_once,
    number_problems,
)
from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.base.errors import InputError, refuse

BASELINES = ("mean", "zero")


@dataclass(frozen=True)
class OcclusionSettings:
    """Settings of `occlusion`.

    Attributes
    ----------
    window : int
        Edge of the cube, voxels.
    stride : int
        Voxels from one position of the cube to the next, at most `window`; halving it costs eight times as long. At
        the far faces the cube is cut off.
    baseline : {'mean', 'zero'}
        What stands inside the cube: the population's mean image, which takes away what is special about a person, or
        0 (for z-scored images the mean intensity of the brain, which is also the background).
    memory_mb : float
        MiB that the activations of one pass may take, about; at least one image is always passed.
    """

    window: int = 8
    stride: int = 4
    baseline: str = "mean"
    memory_mb: float = 4096.0

    def __post_init__(self):
        problems = number_problems(self, {"window": 1, "stride": 1}) + baseline_problems(self.baseline, BASELINES)
        if not problems and self.stride > self.window:
            problems.append(f"stride: {self.stride} is larger than the window of {self.window}, which leaves gaps")
        if not self.memory_mb > 0:
            problems.append(f"memory_mb: {self.memory_mb!r} must be above 0")
        if problems:
            refuse("settings of occlusion that cannot work", problems)


def occlusion(
    network: nn.Module, images: Tensor, targets: Tensor, settings: OcclusionSettings, context: Context
) -> Attribution:
    """Return occlusion maps of one batch; arguments as in `voxplain.attribution.method.Method`.

    Raises
    ------
    InputError
        For a window that the image cannot hold, and for the baseline ``mean`` without a mean image of the images'
        shape.
    """
    from captum.attr import Occlusion  # here, because the other methods need not wait for it

    images = images.detach()
    shape = tuple(images.shape[2:])
    if settings.window > min(shape):
        raise InputError(f"window: a cube of {settings.window} voxels does not fit into an image of {shape}")
    baselines = baseline_images(images, settings.baseline, 0.0, context)
    with torch.no_grad():
        score = weighted_score(network(images), targets)
    at_once = images_at_once(network, images[:1], settings.memory_mb, gradients=False)
    method = Occlusion(lambda volumes, weights: weighted_score(network(volumes), weights))
    # One person at a time: many positions of the cube fill a pass as well as many people do.
    maps = [
        method.attribute(
            images[row],
            sliding_window_shapes=(1, *[settings.window] * 3),
            strides=(1, *[settings.stride] * 3),
            baselines=baselines[row],
            additional_forward_args=targets[row],
            perturbations_per_eval=at_once,
        )
        for row in (slice(i, i + 1) for i in range(len(images)))
    ]
    return Attribution(torch.cat(maps)[:, 0].float(), score.cpu().numpy())
