"""The objective and its gradient beside the plain formula, differentiated by torch."""

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.perturbation_answer import Answer
from voxplain.attribution.perturbation_objective import Objective, add_variation
from voxplain.attribution.perturbation_settings import PerturbationSettings
from voxplain.attribution.separable import along_axes, upsampling_matrix

SHAPE, COARSE = (11, 14, 9), (3, 4, 2)
GENERATOR = np.random.default_rng(0)


class Curved(nn.Module):
    """Two logits that are no linear function of the image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(GENERATOR.normal(size=(2, *SHAPE))))

    def forward(self, x):
        return torch.stack([(torch.tanh(x[:, 0]) * w).sum(dim=(1, 2, 3)) for w in self.weight], dim=1) / 10


def objective(people=3, **settings):
    """In double precision, so that comparisons are sharp."""
    settings = PerturbationSettings(**settings)
    network = Curved().double().requires_grad_(False)
    original, replacement = (torch.from_numpy(GENERATOR.normal(size=(people, *SHAPE))) for _ in range(2))
    targets = torch.tensor([[0.0, 1.0]]).repeat(people, 1)
    answer = Answer.of(network, original[:, None], targets, settings)
    enlarge = [upsampling_matrix(n, c).double() for n, c in zip(SHAPE, COARSE, strict=True)]
    return Objective.of(network, answer, enlarge, original, replacement, settings), original, replacement, enlarge


def plain(o, original, replacement, enlarge, masks, shifts, ramp):
    """The formula as it stands, one person and one shift at a time."""
    settings, values = o.settings, []
    for i, mask in enumerate(masks):
        full = along_axes(mask[None], enlarge)[0]
        answers = []
        for shift in shifts[i].tolist():
            if settings.paper_jitter:
                padded = [nn.functional.pad(v[i], (0, settings.jitter - 1) * 3) for v in (original, replacement)]
                x, b = (v[tuple(slice(s, s + n) for s, n in zip(shift, SHAPE, strict=True))] for v in padded)
                image = full * x + (1 - full) * b
            else:
                image = full * original[i] + (1 - full) * replacement[i]
                for axis, (by, n) in enumerate(zip(shift, SHAPE, strict=True)):
                    image = image.index_select(axis, (torch.arange(n) + by - settings.jitter // 2).clamp(0, n - 1))
            logits = o.network(image[None, None])[0] / o.answer.temperature[i]
            answers.append((logits.softmax(dim=0)[o.answer.classes[i]] - settings.hinge).clamp(min=0))
        variation = sum(full.diff(dim=axis).abs().pow(settings.beta).mean() for axis in range(3))
        regularisers = settings.l1 * (1 - mask).mean() + settings.tv * variation
        values.append(torch.stack(answers).mean() + ramp * regularisers)
    return torch.stack(values)


@pytest.mark.parametrize("paper_jitter", [False, True])
@pytest.mark.parametrize(("beta", "jitter"), [(7.0, 5), (1.0, 4), (2.0, 1), (2.5, 3)])
def test_objective_and_gradient_are_those_of_the_formula(paper_jitter, beta, jitter):
    o, *rest = objective(paper_jitter=paper_jitter, beta=beta, jitter=jitter, jitters=3, hinge=0.1, tv=5.0)
    masks = torch.from_numpy(GENERATOR.uniform(size=(3, *COARSE))).requires_grad_()
    shifts = GENERATOR.integers(jitter, size=(3, 3, 3))
    expected = plain(o, *rest, masks, shifts, ramp=0.7)
    (slope,) = torch.autograd.grad(expected.sum(), masks)
    value, gradient = o.at(masks.detach(), shifts, ramp=0.7)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


def test_people_do_not_touch_each_other():
    o, *_ = objective(jitters=2)
    masks = torch.from_numpy(GENERATOR.uniform(size=(3, *COARSE)))
    shifts = GENERATOR.integers(5, size=(3, 2, 3))
    value, gradient = o.at(masks, shifts)
    some = o.of_people(torch.tensor([True, False, True])).at(masks[[0, 2]], shifts[[0, 2]])
    torch.testing.assert_close(some, (value[[0, 2]], gradient[[0, 2]]))


def moved(o, masks, shifts):
    return o.moved(along_axes(masks, o.enlarge), [[o._window(shift) for shift in person] for person in shifts])


@pytest.mark.parametrize("paper", [False, True])
def test_moved_images_by_hand(paper):
    image, mask = torch.arange(6.0).repeat(1, 6, 6, 1) + 1, torch.linspace(0, 1, 6).repeat(1, 6, 6, 1)
    settings = PerturbationSettings(jitter=5, paper_jitter=paper)
    o = Objective.of(nn.Identity(), None, [torch.eye(6)] * 3, image, torch.zeros_like(image), settings)
    if paper:  # voxel v of the network's input is image voxel v + s under mask voxel v; beyond the faces the image is 0
        result = moved(o, mask, [[[0, 0, 0], [0, 0, 2]]])
        torch.testing.assert_close(result[0, 0], (mask * image)[0])
        torch.testing.assert_close(result[0, 1, 0, 0], mask[0, 0, 0] * torch.tensor([3.0, 4, 5, 6, 0, 0]))
        return
    # Image and mask move together, either way, and borders are repeated.
    mixed = (mask * image)[0, 0, 0]
    result = moved(o, mask, [[[2, 2, 0], [2, 2, 2], [4, 0, 4]]])
    for place, by in enumerate((-2, 0, 2)):
        torch.testing.assert_close(result[0, place, 0, 0], mixed[(torch.arange(6) + by).clamp(0, 5)])


def test_variation_by_hand():
    volume, none = torch.zeros(1, 2, 3, 2), torch.zeros(1, 2, 3, 2)
    volume[0, 1] = 0.5  # one step of 0.5 between the two slices, at all 6 places
    gradient = none.clone()
    assert add_variation(volume, 7.0, gradient, 2.0).item() == pytest.approx(0.5**7)
    slope = 2 * 7 * 0.5**6 / 6
    torch.testing.assert_close(gradient, torch.tensor([-slope, slope])[None, :, None, None].expand(1, 2, 3, 2))
    volume[0, :, 2] += 0.25
    # Axis 1: 0.5 everywhere; axis 2: 0.25 at half of the places.
    for beta in (1.0, 1.5, 2.0, 3.0):
        expected = 0.5**beta + 0.25**beta / 2
        assert add_variation(volume, beta, none.clone(), 1.0).item() == pytest.approx(expected)
    for beta in (0.5, 1.0, 2.5, 7.0):  # nothing where nothing varies
        gradient = none.clone()
        assert add_variation(torch.ones(1, 2, 3, 2), beta, gradient, 1.0).item() == 0
        assert gradient.abs().max() == 0
