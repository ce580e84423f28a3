"""Feature visualisation: inputs synthesised so that a class, a regression's output or a channel is as high as it gets.

Erhan et al. 2009; Olah, Mordvintsev and Schubert 2017 (doi 10.23915/distill.00007); for brain MRI Eitel et al. 2021
(arXiv 2203.13120). With the start b, the synthesised volume p, the intensity's SD u and random transforms T, Adam
lowers

    - J(T(b + u p)) / ‖∂J/∂p‖₁ + l2 Σ p² / n + tv Σ |∂p| / n,        n = ‖∂J/∂p‖₁² / ‖∂J/∂p‖₂²,

both norms at the start. n counts the voxels that the gradient is spread over: 27 for a first layer's unit, most of the
brain for a class. So scaled, the weights do not depend on the network, and what comes out for a linear J has the
amplitude 0.5 / l2.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.base.errors import InputError, refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.features.fourier import coefficients_of, falling_off, volumes_of
from voxplain.features.objectives import Objective
from voxplain.features.regularisers import Transforms, blurred, sum_of_squares, total_variation, transformed
from voxplain.features.synthesised import Visualisation
from voxplain.features.views import View, view_of
from voxplain.features.visualisation_settings import VisualisationSettings

TOGETHER = 16  # volumes of the whole brain that are optimised at once hold memory


def visualise(
    network: nn.Module,
    objectives: Sequence[Objective],
    shape: Sequence[int],
    settings: VisualisationSettings | None = None,
    *,
    seed: int = 0,
    mean_image: np.ndarray | None = None,
    brain: np.ndarray | None = None,
    intensity_sd: float = 1.0,
    resume_folder: str | Path | None = None,
) -> list[Visualisation]:
    """Synthesise one input per objective.

    Objectives do not influence each other: each has an own random stream, from the seed and its name. A unit in the
    centre is optimised within a box around all that it sees under the transforms, wherever that gives the same
    pre-activation: the result is that of the whole volume, but for a total variation, a blur or a spectrum, which end
    at the box.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, frozen and preferably with BatchNorm folded (`voxplain.models.folding.fold_batchnorm`);
        its device is used.
    objectives : sequence of Objective
    shape : (D, H, W)
        Voxels of the network's input.
    settings : VisualisationSettings, optional
    seed : int
    mean_image : ndarray [D, H, W], optional
        Needed to start from the mean.
    brain : ndarray of bool [D, H, W], optional
        Needed to stay within the brain.
    intensity_sd : float
        SD of the images' intensity within the brain.
    resume_folder : path-like, optional
        Keeps finished visualisations; a call that starts again there goes on with the others. The folder must be of
        the same network, settings and seed.

    Returns
    -------
    list of Visualisation
        In the order of the objectives. An objective whose gradient is 0 at the start stays there.

    Raises
    ------
    InputError
        For a missing mean or brain, layers and channels that the network does not have, names that occur twice, and
        gradients that are not finite.
    """
    settings = settings or VisualisationSettings()
    shape = tuple(int(n) for n in shape)
    _check(objectives, settings, mean_image, brain, intensity_sd, shape)
    device = next(network.parameters()).device
    start = torch.zeros(shape) if settings.start == "zero" else torch.as_tensor(np.asarray(mean_image)).float()
    free = torch.ones(shape) if not settings.within_brain else torch.as_tensor(np.asarray(brain)).float()
    layers = list(dict.fromkeys(objective.layer for objective in objectives))
    made: dict[str, Visualisation] = {}
    if resume_folder is not None:
        read = (Visualisation.kept(resume_folder, objective) for objective in objectives)
        made = {one.objective.name: one for one in read if one is not None}
    progress = Progress("visualisations", len(objectives), len(made))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for layer in layers:
            group = [objective for objective in objectives if objective.layer == layer]
            parts = [group[first : first + TOGETHER] for first in range(0, len(group), TOGETHER)]
            # Whole parts even where some of one are there: rounding depends on what is optimised together.
            parts = [part for part in parts if any(objective.name not in made for objective in part)]
            if not parts:
                continue
            view = view_of(network, layer, group, shape, settings, device)
            for part in parts:
                waiting = sum(objective.name not in made for objective in part)
                for one in _optimised(view, part, start, free, settings, seed, intensity_sd, device):
                    made[one.objective.name] = one
                    if resume_folder is not None:
                        one.keep(resume_folder)
                progress.step(waiting)
    return [made[objective.name] for objective in objectives]


def _optimised(
    view: View,
    objectives: Sequence[Objective],
    start: Tensor,
    free: Tensor,
    settings: VisualisationSettings,
    seed: int,
    intensity_sd: float,
    device: torch.device,
) -> list[Visualisation]:
    """Synthesise inputs for objectives of one layer, at once; `start` and `free` [D, H, W] are of the whole volume."""
    begin, allowed = (volume[view.box][None].to(device) for volume in (start, free))
    shape = tuple(begin.shape[1:])
    signs = torch.tensor([float(objective.sign) for objective in objectives], device=device)
    # Noise of the whole volume and transforms from an own stream: neither depends on the box.
    noise = np.stack([_noise(seed, objective, start.shape)[view.box] for objective in objectives])
    noise *= settings.start_noise
    moves = [
        Transforms.draw(
            stream(seed, "visualisation", objective.name, "transforms"), settings.steps, view.jitter, settings.scale,
            settings.rotation,
        )
        for objective in objectives
    ]  # fmt: skip
    still = all(move.none() for move in moves)
    matrices, shifts = (torch.stack([getattr(move, name) for move in moves]) for name in ("matrices", "shifts"))
    matrices, shifts = matrices.to(device), shifts.to(device)

    fourier = settings.parametrisation == "fourier"
    parameters = torch.from_numpy(noise).to(device)
    if fourier:
        factor = falling_off(shape, settings.fourier_decay).to(device)
        # White coefficients: noise of the same spectrum as what is moved.
        parameters = coefficients_of(parameters, torch.ones_like(factor))
    parameters = parameters.requires_grad_()

    def synthesised() -> Tensor:
        volumes = volumes_of(parameters, factor, shape) if fourier else parameters
        if settings.blur_of == "image":
            volumes = blurred(volumes, settings.blur)
        return volumes * allowed

    def value_of(images: Tensor) -> Tensor:
        return view.values(images[:, None], objectives)

    with torch.enable_grad():
        first = (begin + intensity_sd * synthesised()).detach().requires_grad_()
        value = value_of(first)
        (gradient,) = torch.autograd.grad((signs * value).sum(), first)
    gradient = (gradient * allowed * intensity_sd).flatten(1)
    bad = [o.name for o, fine in zip(objectives, gradient.isfinite().all(dim=1).tolist(), strict=True) if not fine]
    if bad:
        refuse("visualisations whose gradient is not finite", bad, "Check the network's weights for NaN.")
    total, spread = _norm_and_spread(gradient)
    before = value.detach()
    optimiser = torch.optim.Adam([parameters], lr=settings.learning_rate)
    for step in range(settings.steps):
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad():
            made = synthesised()
            if settings.blur_of == "gradient" and settings.blur > 0:
                made.register_hook(lambda received: blurred(received, settings.blur))
            seen = begin + intensity_sd * made
            if not still:
                seen = transformed(seen, matrices[:, step], shifts[:, step], view.focus)
            lowered = -signs * value_of(seen) / total
            if settings.l2:
                lowered = lowered + settings.l2 * sum_of_squares(made) / spread
            if settings.tv:
                lowered = lowered + settings.tv * total_variation(made) / spread
            lowered.sum().backward()
        optimiser.step()
    with torch.no_grad():
        images = begin + intensity_sd * synthesised()
        images = torch.where((gradient == 0).all(dim=1)[:, None, None, None], begin, images)
        reached = value_of(images)
        per_norm = torch.full_like(reached, float("nan"))
        if view.seen is not None:
            change = signs * (reached - value_of(begin.expand_as(images)))
            norm = (images - begin)[(slice(None), *view.seen)].double().flatten(1).norm(dim=1)
            per_norm = torch.where(norm > 0, change / norm, torch.nan)
    numbers = zip(before.tolist(), reached.tolist(), per_norm.tolist(), strict=True)
    made = []
    for objective, image, its in zip(objectives, images.cpu(), numbers, strict=True):
        whole = start.clone()
        whole[view.box] = image
        made.append(Visualisation(objective, whole.numpy(), (whole - start).numpy(), *its, view.box))
    return made


def _noise(seed: int, objective: Objective, shape: Sequence[int]) -> np.ndarray:
    return stream(seed, "visualisation", objective.name).standard_normal(tuple(shape), dtype=np.float32)


def _norm_and_spread(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return ‖g‖₁ and ‖g‖₁² / ‖g‖₂² of gradients [n, voxels]; 1 where they are 0."""
    absolute, squares = gradient.abs().sum(dim=1), gradient.square().sum(dim=1)
    some = (absolute > 0) & (squares > 0)
    one = torch.ones_like(absolute)
    return torch.where(some, absolute, one), torch.where(some, absolute**2 / torch.where(some, squares, one), one)


def _check(objectives, settings, mean_image, brain, intensity_sd, shape) -> None:
    names = [objective.name for objective in objectives]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        refuse("visualisations of one name", twice)
    if not intensity_sd > 0:
        raise InputError(f"intensity_sd: {intensity_sd!r} must be above 0")
    needed = {}
    if settings.start == "mean":
        needed["start: mean needs the population's mean image"] = mean_image
    if settings.within_brain:
        needed["within_brain: true needs the cohort's brain mask"] = brain
    problems = [f"{text} of {list(shape)}" for text, v in needed.items() if v is None or np.shape(v) != shape]
    if problems:
        refuse("feature visualisation lacks volumes", problems)
