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
    shifts = _shifts(context, settings)
    best = _Best.start(len(images), coarse, settings.initial, images.device)
    state = _Adam.start(len(images), coarse, settings.initial, images.device)
    active = torch.arange(len(images), device=images.device)
    history = torch.zeros((settings.iterations, len(images)), device=images.device)

    for step in range(settings.iterations):
        mask = state.mask.requires_grad_()
        with torch.enable_grad():
            full = along_axes(mask, enlarge)
            moved = _moved(original[active], replacement[active], full, shifts[active.tolist(), step], settings)
            p = answer.tempered(network(moved.flatten(0, 1)[:, None]), active.repeat_interleave(settings.jitters))
            p = (p - settings.hinge).clamp(min=0).unflatten(0, (len(active), -1)).mean(dim=1)
            ramp = min(1.0, step / settings.ramp) if settings.ramp else 1.0
            objective = p + ramp * (
                settings.l1 * (1 - mask).mean(dim=(1, 2, 3)) + settings.tv * _variation(full, settings.beta)
            )
            (gradient,) = torch.autograd.grad(objective.sum(), mask)
        history[step, active] = objective.detach()
        best.note(active, state.mask.detach(), objective.detach(), step, settings.best_after)
        state.descend(gradient, settings, step)
        if _time_to_look(step, settings):
            moving = ~_settled(history[: step + 1, active], settings)
            if not moving.all():
                best.finish(active[~moving], state.mask[~moving], step + 1, settings.best_after)
                active, state = active[moving], state.kept(moving)
            if not len(active):
                break
    best.finish(active, state.mask, settings.iterations, settings.best_after)

    with torch.no_grad():
        final = _mixed(original, replacement, along_axes(best.mask, enlarge))
        after = answer.probability(network(final[:, None]))
    maps = along_axes(1 - best.mask, upsample).clamp(0, 1)
    return Attribution(
        maps, answer.probability(answer.outputs).cpu().numpy(), after.cpu().numpy(), best.iterations.cpu().numpy()
    )


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
        self.first = BETAS[0] * self.first + (1 - BETAS[0]) * gradient
        self.second = BETAS[1] * self.second + (1 - BETAS[1]) * gradient**2
        self.largest = torch.maximum(self.largest, self.second)
        second = self.largest if settings.amsgrad else self.second
        scale = (second / (1 - BETAS[1] ** (step + 1))).sqrt() + EPSILON
        moved = self.mask.detach() - rate * self.first / (1 - BETAS[0] ** (step + 1)) / scale
        self.mask = moved.clamp(0, 1)


@dataclass
class _Best:
    """The mask that each person ends with: the last one, or the one of the lowest objective after some step."""

    mask: Tensor
    objective: Tensor
    iterations: Tensor

    @classmethod
    def start(cls, people: int, shape: Sequence[int], initial: float, device: torch.device) -> "_Best":
        return cls(
            torch.full((people, *shape), float(initial), device=device),
            torch.full((people,), torch.inf, device=device),
            torch.zeros(people, dtype=torch.long, device=device),
        )

    def note(self, people: Tensor, masks: Tensor, objective: Tensor, step: int, best_after: int | None) -> None:
        if best_after is None or step <= best_after:
            return
        better = objective <= self.objective[people]
        self.objective[people[better]] = objective[better]
        self.mask[people[better]] = masks[better]

    def finish(self, people: Tensor, masks: Tensor, iterations: int, best_after: int | None) -> None:
        self.iterations[people] = iterations
        unnoted = self.objective[people].isinf()
        self.mask[people[unnoted]] = masks.detach()[unnoted]


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


def _mixed(original: Tensor, replacement: Tensor, full: Tensor) -> Tensor:
    return replacement + full * (original - replacement)


def _moved(
    original: Tensor, replacement: Tensor, full: Tensor, shifts: np.ndarray, settings: PerturbationSettings
) -> Tensor:
    """Return the mixed images under the network at every shift, [n, jitters, D, H, W].

    By default the mixed image moves, by at most ``jitter // 2`` voxels either way, so that a mask voxel stays where it
    is in the brain. With `paper_jitter` only the image moves (eq. 2), from its place up to ``jitter - 1`` voxels
    towards the origin, and zeros follow: a mask voxel then stands for brain that lies, on average,
    ``(jitter - 1) / 2`` voxels further on.
    """
    windows = [
        [tuple(slice(s, s + n) for s, n in zip(shift, original.shape[1:], strict=True)) for shift in person]
        for person in shifts.tolist()
    ]
    if settings.paper_jitter:
        pad = (0, settings.jitter - 1) * 3
        originals, replacements = nn.functional.pad(original, pad), nn.functional.pad(replacement, pad)
        cut = [
            torch.stack([torch.stack([v[i][w] for w in ws]) for i, ws in enumerate(windows)])
            for v in (originals, replacements)
        ]
        return _mixed(*cut, full[:, None])
    before = settings.jitter // 2
    pad = (before, settings.jitter - 1 - before) * 3
    mixed = nn.functional.pad(_mixed(original, replacement, full)[:, None], pad, mode="replicate")[:, 0]
    return torch.stack([torch.stack([mixed[i][w] for w in ws]) for i, ws in enumerate(windows)])


def _variation(full: Tensor, beta: float) -> Tensor:
    """Total variation of eq. 3 as a mean over voxels and a sum over axes, [n]."""
    return sum(full.diff(dim=axis).abs().pow(beta).mean(dim=(1, 2, 3)) for axis in (1, 2, 3))


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
