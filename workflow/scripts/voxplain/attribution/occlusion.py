"""Occlusion: how much the score falls when a cube of the image is replaced.

Zeiler & Fergus 2014 (arXiv 1311.2901), through captum's `FeatureAblation`: the cube slides over the image, and a voxel
gets the mean of score(image) − score(occluded image) over the cubes that cover it. Positive: the voxels speak for what
is explained. What captum takes away are the positions of the cube, not voxels: its own `Occlusion` starts at one face
and cuts the last cubes off at the other, which makes left and right different.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxplain.attribution.baselines import baseline_images, baseline_problems
from voxplain.attribution.memory_budget import images_at_once, scores_of
from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.attribution.separable import along_axes
from voxplain.attribution.setting_checks import memory_problems, number_problems
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
        Most voxels from one position of the cube to the next, at most `window`; halving it costs eight times as long.
        Along each axis the positions go from face to face, every cube is whole, and they are the same from either
        face: where they do not fit the image they lie closer. Voxels near the faces are covered by fewer cubes.
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
        problems = number_problems(self, {"window": 1, "stride": 1})
        if not problems and self.stride > self.window:
            problems.append(f"stride: {self.stride} is larger than the window of {self.window}, which leaves gaps")
        problems += baseline_problems(self.baseline, BASELINES) + memory_problems(self.memory_mb)
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
    from captum.attr import FeatureAblation  # here, because the other methods need not wait for it

    images = images.detach()
    shape = tuple(images.shape[2:])
    if settings.window > min(shape):
        raise InputError(f"window: a cube of {settings.window} voxels does not fit into an image of {shape}")
    baselines = baseline_images(images, settings.baseline, 0.0, context)
    at_once = context.prepared or images_at_once(network, images[:1], settings.memory_mb, gradients=False)
    score = scores_of(network, images, targets, at_once)
    covers = [covering_matrix(size, settings.window, settings.stride).to(images) for size in shape]
    positions = [matrix.shape[1] for matrix in covers]
    # One person at a time: many positions of the cube fill a pass as well as many people do.
    falls = [
        FeatureAblation(_score_of_occluded(network, image, baseline, covers)).attribute(
            torch.zeros(1, *positions, device=images.device),
            baselines=1,
            additional_forward_args=target[None],
            perturbations_per_eval=at_once,
        )
        for image, baseline, target in zip(images, baselines, targets, strict=True)
    ]
    cubes = along_axes(images.new_ones(1, *positions), covers)
    maps = along_axes(torch.cat(falls).to(images), covers) / cubes
    return Attribution(maps, score.cpu().numpy())


def covering_matrix(size: int, window: int, stride: int) -> Tensor:
    """Return which voxels of an axis each position of a window covers: 1 or 0, [size, positions].

    Parameters
    ----------
    size : int
        Voxels of the axis, at least `window`.
    window : int
        Voxels.
    stride : int
        Most voxels between two positions, at most `window`.

    Returns
    -------
    Tensor
        float32. Every column holds a whole window, the first and the last end at the faces, and the matrix is the same
        when both of its axes are flipped.
    """
    room = size - window
    positions = -(-room // stride) + 1
    # Of an odd number of positions the middle one lies in the middle of the axis, which takes an even `room`.
    positions += positions % 2 and room % 2
    starts = torch.zeros(positions, dtype=torch.int64)
    for i in range(positions // 2):
        starts[i] = (2 * i * room + positions - 1) // (2 * (positions - 1))  # evenly spread, to the nearest voxel
        starts[-1 - i] = room - starts[i]
    if positions % 2:
        starts[positions // 2] = room // 2
    voxels = torch.arange(size)[:, None]
    return ((voxels >= starts) & (voxels < starts + window)).float()


def _score_of_occluded(
    network: nn.Module, image: Tensor, baseline: Tensor, covers: Sequence[Tensor]
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the score as a function of which cubes [n, positions along each axis] lie on the image (1) or not (0)."""

    def score(cubes: Tensor, weights: Tensor) -> Tensor:
        inside = along_axes(cubes.to(image), covers)[:, None] > 0.5
        return weighted_score(network(torch.where(inside, baseline, image)), weights)

    return score
