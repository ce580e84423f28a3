"""The objective of meaningful perturbations, with its gradient, for the people who are still optimised.

The gradient is put together by hand from the network's: all else is linear in the mask, or a power. That keeps a step
near the cost of the network's own passes:

- Moving an image by whole voxels and repeating the outermost ones commutes with mixing. So the image and what replaces
  it are padded once, the mask is enlarged straight into the padded frame, and a moved mix is one operation on windows
  of the three; so is its gradient.
- Whole powers are products.
- Shifts are known on the host from the start, so that nothing waits for a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.perturbation_answer import Answer
from voxplain.attribution.perturbation_settings import PerturbationSettings
from voxplain.attribution.separable import along_axes


@dataclass(frozen=True)
class Objective:
    """λ1 mean(1 - m) + λ2 Σ_axes mean|∂M|^β + the mean over shifts of max(p - hinge, 0), for each of n people.

    Attributes
    ----------
    network : nn.Module
    answer : Answer
        Of the n people.
    enlarge : three Tensors [D', d], [H', h], [W', w]
        Take a coarse mask to the mask M, in the padded frame unless `paper_jitter` is set.
    replacement, difference : Tensor [n, D', H', W']
        What is mixed in, and the image minus that, padded so that a window at every shift lies inside.
    shape : tuple of 3 int
        D, H, W of the images.
    settings : PerturbationSettings
    """

    network: nn.Module
    answer: Answer
    enlarge: Sequence[Tensor]
    replacement: Tensor
    difference: Tensor
    shape: tuple[int, ...]
    settings: PerturbationSettings

    @classmethod
    def of(
        cls,
        network: nn.Module,
        answer: Answer,
        enlarge: Sequence[Tensor],
        original: Tensor,
        replacement: Tensor,
        settings: PerturbationSettings,
    ) -> "Objective":
        """Prepare what stays the same over all steps.

        Parameters
        ----------
        network : nn.Module
        answer : Answer
        enlarge : three Tensors [D, d], [H, h], [W, w]
            Take a coarse mask to the mask M on the grid of the images.
        original, replacement : Tensor [n, D, H, W]
        settings : PerturbationSettings
        """
        before, after = _margins(settings)
        mode = "constant" if settings.paper_jitter else "replicate"
        if not settings.paper_jitter:
            enlarge = [
                matrix[torch.arange(-before, len(matrix) + after, device=matrix.device).clamp(0, len(matrix) - 1)]
                for matrix in enlarge
            ]
        padded = [
            nn.functional.pad(volumes[:, None], (before, after) * 3, mode=mode)[:, 0]
            for volumes in (replacement, original - replacement)
        ]
        return cls(network, answer, enlarge, *padded, tuple(original.shape[1:]), settings)

    def of_people(self, keep: Tensor) -> "Objective":
        """Return the objective of some of the people, by a boolean or by numbers."""
        return Objective(
            self.network, self.answer.of_people(keep), self.enlarge, self.replacement[keep], self.difference[keep],
            self.shape, self.settings,
        )  # fmt: skip

    def at(self, masks: Tensor, shifts: np.ndarray, ramp: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return the objective, [n], and its gradient, [n, d, h, w], at coarse masks.

        Parameters
        ----------
        masks : Tensor [n, d, h, w]
        shifts : ndarray of int [n, jitters, 3]
            Each in 0 ... jitter - 1.
        ramp : float
            Factor of λ1 and λ2.
        """
        full = along_axes(masks, self.enlarge)
        windows = [[self._window(shift) for shift in person] for person in shifts.tolist()]
        p, pull = self._answered(self.moved(full, windows))

        gradient = torch.zeros_like(full)
        for i, places in enumerate(windows):
            for j, (there, here) in enumerate(places):
                gradient[i][here].addcmul_(pull[i, j], self.difference[i][there])
        l1, tv = ramp * self.settings.l1, ramp * self.settings.tv
        value = p + l1 * (1 - masks).mean(dim=(1, 2, 3))
        if tv:
            grid = (slice(None), *self._centre())
            value += tv * add_variation(full[grid], self.settings.beta, gradient[grid], tv)
        coarse = along_axes(gradient, [matrix.T for matrix in self.enlarge])
        return value, coarse.sub_(l1 / masks[0].numel())

    def moved(self, full: Tensor, windows: Sequence) -> Tensor:
        """Return the mixed images under the network at every shift, [n, jitters, D, H, W].

        By default the mixed image moves, by at most ``jitter // 2`` voxels either way, so that a mask voxel stays where
        it is in the brain. With `paper_jitter` only the image moves (eq. 2), from its place up to ``jitter - 1`` voxels
        towards the origin, and zeros follow: a mask voxel then stands for brain that lies, on average,
        ``(jitter - 1) / 2`` voxels further on.

        Parameters
        ----------
        full : Tensor
            Enlarged masks.
        windows : sequence of sequence
            Of each person, for each shift: where the image is cut, and where the mask is.
        """
        moved = full.new_empty((len(full), len(windows[0]), *self.shape))
        for i, places in enumerate(windows):
            for j, (there, here) in enumerate(places):
                torch.addcmul(self.replacement[i][there], full[i][here], self.difference[i][there], out=moved[i, j])
        return moved

    def _answered(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Return max(p - hinge, 0), [n], averaged over shifts, and its gradient with respect to the moved images."""
        with torch.enable_grad():
            images = moved.flatten(0, 1)[:, None].requires_grad_()
            p = self.answer.tempered(self.network(images).unflatten(0, moved.shape[:2]))
            p = (p - self.settings.hinge).clamp(min=0).mean(dim=1)
            (pull,) = torch.autograd.grad(p.sum(), images)
        return p.detach(), pull[:, 0].unflatten(0, moved.shape[:2])

    def _window(self, shift: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        there = tuple(slice(s, s + n) for s, n in zip(shift, self.shape, strict=True))
        return there, self._centre() if self.settings.paper_jitter else there

    def _centre(self) -> tuple[slice, ...]:
        """Where the enlarged masks have the grid of the images."""
        start = 0 if self.settings.paper_jitter else _margins(self.settings)[0]
        return tuple(slice(start, start + n) for n in self.shape)


def _margins(settings: PerturbationSettings) -> tuple[int, int]:
    before = 0 if settings.paper_jitter else settings.jitter // 2
    return before, settings.jitter - 1 - before


def add_variation(full: Tensor, beta: float, gradient: Tensor, weight: float) -> Tensor:
    """Return the total variation of eq. 3, [n], and add `weight` times its gradient to `gradient`.

    Parameters
    ----------
    full : Tensor [n, D, H, W]
        Masks.
    beta : float
        Exponent.
    gradient : Tensor [n, D, H, W]
        Changed in place.
    weight : float

    Returns
    -------
    Tensor [n]
        A mean over voxels and a sum over axes.
    """
    total = full.new_zeros(len(full))
    for axis in (1, 2, 3):
        shorter = full.shape[axis] - 1
        step = full.narrow(axis, 1, shorter) - full.narrow(axis, 0, shorter)
        slope = _signed_power(step, beta - 1)
        scale = weight * beta / step[0].numel()
        gradient.narrow(axis, 1, shorter).add_(slope, alpha=scale)
        gradient.narrow(axis, 0, shorter).sub_(slope, alpha=scale)
        total += step.mul_(slope).mean(dim=(1, 2, 3))
    return total


def _signed_power(step: Tensor, exponent: float) -> Tensor:
    """Return sgn(∂) |∂|^exponent; by multiplication where the exponent is whole, which is twenty times as fast."""
    if exponent < 0 or exponent != int(exponent):
        return torch.where(step == 0, step, step.abs().pow(exponent).copysign(step))
    if exponent == 0:
        return step.sgn()
    power, square, bits = None, step, int(exponent)
    while bits:
        if bits % 2:
            power = square if power is None else power * square
        bits //= 2
        square = square * square if bits else square
    return power if exponent % 2 else power.copysign_(step)
