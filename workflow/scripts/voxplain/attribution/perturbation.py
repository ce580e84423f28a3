"""Meaningful perturbations: the smallest region whose removal takes the network's answer away.

Fong and Vedaldi 2017 (arXiv 1704.03296); eqs. 1-3 of Kan et al. 2020 (arXiv 2006.15969). For each person a coarse mask
m in [0, 1] is optimised. Upsampled and smoothed it is M, which mixes the image x with a version b that lacks detail:
Φ(x; m) = M x + (1 - M) b, and the objective is

    λ1 mean(1 - m) + λ2 Σ_axes mean|∂M|^β + E_τ p(Φ(x; m) shifted by τ).

Means instead of the equations' sums are what the public code of the paper computes, and what makes λ1 = 3 a sensible
weight. As m stays within [0, 1], 1 - m is its own absolute value and has a gradient at m = 1 too; |1 - m| would let any
voxel that helps ever so little leave 1, and with it rounding decide. p is the probability of the explained class or,
for regression, exp(-(Δ/SD)²) of the output's change Δ; see `voxplain.attribution.perturbation_answer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import Attribution, Context
from voxplain.attribution.perturbation_answer import Answer
from voxplain.attribution.perturbation_objective import Objective
from voxplain.attribution.perturbation_settings import PerturbationSettings
from voxplain.attribution.separable import along_axes, blurring_matrix, box_taps, gaussian_taps, upsampling_matrix
from voxplain.base.errors import InputError
from voxplain.base.seeds import stream

BETAS, EPSILON = (0.9, 0.99), 1e-8


def perturbation(
    network: nn.Module, images: Tensor, targets: Tensor, settings: PerturbationSettings, context: Context
) -> Attribution:
    """Return 1 - m upsampled to the image, in [0, 1], of one batch.

    Arguments as in `voxplain.attribution.method.Method`.
    Where `targets` is not one class (a contrast), the probability of the predicted class is lowered.

    Raises
    ------
    InputError
        For replacement by the mean without a mean image, and for images smaller than a mask voxel.
    """
    shape = tuple(images.shape[2:])
    coarse = tuple(n // settings.mask_scale for n in shape)
    if min(coarse) < 2:
        raise InputError(
            f"mask_scale: {settings.mask_scale} leaves a mask of {list(coarse)} for images of {list(shape)}"
        )
    upsample = [upsampling_matrix(n, c).to(images) for n, c in zip(shape, coarse, strict=True)]
    smooth = _blur(shape, settings, settings.mask_sigma, images)
    enlarge = [s @ u for s, u in zip(smooth, upsample, strict=True)]

    answer = Answer.of(network, images, targets, settings)
    original = images[:, 0]
    replacement = _replacement(original, settings, context)
    masks, iterations = _optimised(
        Objective.of(network, answer, enlarge, original, replacement, settings),
        _Adam.start(len(images), coarse, settings.initial, images.device),
        _shifts(context, settings),
        settings,
    )

    with torch.no_grad():
        final = replacement + along_axes(masks, enlarge) * (original - replacement)
        after = answer.probability(network(final[:, None]))
    maps = along_axes(1 - masks, upsample).clamp(0, 1)
    return Attribution(maps, answer.probability(answer.outputs).cpu().numpy(), after.cpu().numpy(), iterations)


def _optimised(
    objective: Objective, state: "_Adam", shifts: np.ndarray, settings: PerturbationSettings
) -> tuple[Tensor, np.ndarray]:
    """Return every person's final mask and number of steps; people who have converged leave the batch."""
    masks, iterations = torch.empty_like(state.mask), np.full(len(shifts), settings.iterations)
    people = np.arange(len(shifts))  # who is still optimised
    lowest = _Lowest.of(state.mask)
    history: list[Tensor] = []

    for step in range(settings.iterations):
        ramp = min(1.0, step / settings.ramp) if settings.ramp else 1.0
        value, gradient = objective.at(state.mask, shifts[people, step], ramp)
        history.append(value)
        if settings.best_after is not None and step > settings.best_after:
            lowest = lowest.or_rather(state.mask, value)
        state.descend(gradient, settings, step)
        if not _time_to_look(step, settings):
            continue
        moving = ~_settled(torch.stack(history), settings)
        stay = moving.cpu().numpy()
        if not stay.all():
            masks[people[~stay]] = lowest.else_(state.mask)[~moving]
            iterations[people[~stay]] = step + 1
            people, state, lowest, objective = (
                people[stay],
                state.kept(moving),
                lowest.kept(moving),
                objective.of_people(moving),
            )
            history = [values[moving] for values in history]
        if not len(people):
            return masks, iterations
    masks[people] = lowest.else_(state.mask)
    return masks, iterations


@dataclass
class _Adam:
    """Masks of the people who are still optimised, and Adam's moments; written out so that people can leave."""

    mask: Tensor
    first: Tensor
    second: Tensor
    largest: Tensor

    @classmethod
    def start(cls, people: int, shape: Sequence[int], initial: float, device: torch.device) -> "_Adam":
        zeros = [torch.zeros((people, *shape), device=device) for _ in range(3)]
        return cls(torch.full((people, *shape), float(initial), device=device), *zeros)

    def kept(self, keep: Tensor) -> "_Adam":
        return _Adam(self.mask[keep], self.first[keep], self.second[keep], self.largest[keep])

    def descend(self, gradient: Tensor, settings: PerturbationSettings, step: int) -> None:
        """One step of Adam (Kingma and Ba 2015) or AMSGrad (Reddi et al. 2018), then back into [0, 1]."""
        rate = settings.learning_rate
        if settings.lr_step:
            rate *= settings.lr_gamma ** (step // settings.lr_step)
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        second = self.second
        if settings.amsgrad:
            second = torch.maximum(self.largest, self.second, out=self.largest)
        scale = (second / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(EPSILON)
        self.mask = self.mask.addcdiv(self.first, scale, value=-rate / (1 - BETAS[0] ** (step + 1))).clamp_(0, 1)


@dataclass
class _Lowest:
    """The masks of the lowest objective so far."""

    mask: Tensor
    objective: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> "_Lowest":
        return cls(mask, torch.full((len(mask),), torch.inf, device=mask.device))

    def kept(self, keep: Tensor) -> "_Lowest":
        return _Lowest(self.mask[keep], self.objective[keep])

    def or_rather(self, mask: Tensor, objective: Tensor) -> "_Lowest":
        better = objective <= self.objective
        return _Lowest(
            torch.where(better[:, None, None, None], mask, self.mask), torch.where(better, objective, self.objective)
        )

    def else_(self, mask: Tensor) -> Tensor:
        """Return the masks, and `mask` where none has been noted."""
        return torch.where(self.objective.isinf()[:, None, None, None], mask, self.mask)


def _blur(shape: Sequence[int], settings: PerturbationSettings, sigma: float, like: Tensor) -> list[Tensor]:
    taps = box_taps(settings.box_size) if settings.kernel == "box" else gaussian_taps(sigma)
    return [blurring_matrix(n, taps, settings.borders).to(like) for n in shape]


def _replacement(original: Tensor, settings: PerturbationSettings, context: Context) -> Tensor:
    """Return what is mixed in, [n, D, H, W]; computed once a person."""
    if settings.replacement == "blur":
        return along_axes(original, _blur(original.shape[1:], settings, settings.blur_sigma, original))
    if context.mean_image is None or context.mean_image.shape != original.shape[1:]:
        raise InputError(
            "replacement: mean needs the population's mean image (mean_image=), of the shape of the images. "
            "Without one set replacement: blur."
        )
    return context.mean_image.to(original).expand_as(original)


def _shifts(context: Context, settings: PerturbationSettings) -> np.ndarray:
    """Draw every person's shifts before the first step, [n, iterations, jitters, 3], each in 0 ... jitter - 1."""
    size = (settings.iterations, settings.jitters, 3)
    draws = [
        stream(context.seed, "perturbation", p).integers(settings.jitter, size=size) for p in context.participant_ids
    ]
    return np.stack(draws)


def _time_to_look(step: int, settings: PerturbationSettings) -> bool:
    """Tell whether to look for people who have converged: every `patience` steps, with two full windows to compare."""
    if settings.tolerance is None:
        return False
    return (step + 1) % settings.patience == 0 and step + 1 >= max(
        2 * settings.patience, settings.ramp + 2 * settings.patience
    )


def _settled(history: Tensor, settings: PerturbationSettings) -> Tensor:
    """Tell for each person whether the mean objective of the last window fell by less than the tolerance."""
    now = history[-settings.patience :].mean(dim=0)
    before = history[-2 * settings.patience : -settings.patience].mean(dim=0)
    return before - now < settings.tolerance
