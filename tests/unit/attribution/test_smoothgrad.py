import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution import memory_budget
from voxplain.attribution.registry import attribute, explain
from voxplain.base.errors import InputError
from voxplain.base.seeds import stream
from voxplain.models.quickening import quickened

IDS = ["p1", "p2", "p3", "p4", "p5"]


def plain_gradient(model, images, targets):
    images = images.clone().requires_grad_()
    return torch.autograd.grad((model(images) * targets).sum(), images)[0][:, 0]


class Cubic(nn.Module):
    """f = Σ w x³."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, -2.0, 3.0, -0.5]).reshape(1, 1, 1, 2, 2))

    def forward(self, images):
        return (self.weights * images**3).sum(dim=(1, 2, 3, 4))[:, None]


IMAGE = torch.tensor([1.0, 3.0, 0.0, -2.0]).reshape(1, 1, 1, 2, 2)


def test_without_noise_it_is_the_gradient(images, mixed_targets):
    """In one pass the results are equal to the last bit."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(4), nn.Flatten(), nn.Linear(250, 2)).eval()
    images, targets = images[:4], mixed_targets[:4]
    expected = plain_gradient(quickened(model, images), images, targets)
    assert torch.equal(explain("smoothgrad", model, images, targets, sigma=0.0), expected)


def test_closed_form_with_the_person_s_own_draws():
    """The gradient of w x³ at noisy x, averaged; the noise is in units of the SD over voxels that are not 0."""
    unit = np.std([1.0, 3.0, -2.0])
    draws = stream(7, "smoothgrad", "anna").standard_normal((6, 1, 1, 2, 2), dtype=np.float32)
    noisy = IMAGE.numpy() + 0.5 * unit * draws
    expected = (3 * Cubic().weights.detach().numpy() * noisy**2).mean(axis=0)[0]
    found = explain(
        "smoothgrad", Cubic(), IMAGE, torch.ones(1, 1), participant_ids=["anna"], seed=7, samples=6, sigma=0.5
    )
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_expectation():
    """E[3 w (x + σ ε)²] = 3 w (x² + σ²)."""
    unit = np.std([1.0, 3.0, -2.0])
    found = explain("smoothgrad", Cubic(), IMAGE, torch.ones(1, 1), samples=3_000, sigma=0.5)
    expected = 3 * Cubic().weights.detach() * (IMAGE**2 + (0.5 * unit) ** 2)
    torch.testing.assert_close(found[0], expected[0, 0], rtol=0.1, atol=0)


def test_sigma_follows_the_unit_of_the_image():
    """Images in other units (a network that divides them again) give the same map in those units."""

    class Divided(Cubic):
        def forward(self, images):
            return super().forward(images / 100)

    options = {"samples": 4, "sigma": 0.5}
    z_scored = explain("smoothgrad", Cubic(), IMAGE, torch.ones(1, 1), **options)
    raw = explain("smoothgrad", Divided(), 100 * IMAGE, torch.ones(1, 1), **options)
    torch.testing.assert_close(100 * raw, z_scored)


def test_an_image_of_zeros_is_not_noised(small_cnn, mixed_targets):
    zeros = torch.zeros(1, 1, 22, 24, 22)
    maps = explain("smoothgrad", small_cnn, zeros, mixed_targets[:1], samples=2)
    expected = plain_gradient(small_cnn.eval(), zeros, mixed_targets[:1])
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_memory_and_batches_play_no_part(small_cnn, images, mixed_targets, monkeypatch):
    """Also where a pass ends in the middle of a person."""
    options = {"participant_ids": IDS, "seed": 3, "samples": 3, "batch_size": 5}
    expected = explain("smoothgrad", small_cnn, images, mixed_targets, **options)
    passes = []
    small_cnn.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    one_by_one = explain("smoothgrad", small_cnn, images, mixed_targets, memory_mb=0.001, **options)
    assert set(passes) == {1}
    monkeypatch.setattr(memory_budget, "CPU_IMAGES", 7)
    passes.clear()
    sevens = explain("smoothgrad", small_cnn, images, mixed_targets, **options)
    assert passes[-3:] == [7, 7, 1]
    reverse = explain(
        "smoothgrad", small_cnn, images.flip(0), mixed_targets.flip(0), **{**options, "participant_ids": IDS[::-1]}
    ).flip(0)
    for found in (one_by_one, sevens, reverse):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


def test_people_and_seeds_draw_differently(small_cnn, images, mixed_targets):
    image, target = images[:1], mixed_targets[:1]
    maps = [
        explain("smoothgrad", small_cnn, image, target, participant_ids=[person], seed=seed, samples=2)
        for person, seed in (("p1", 1), ("p1", 2), ("p2", 1))
    ]
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])


def test_the_global_generator_is_left_alone(small_cnn, images, mixed_targets):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    explain("smoothgrad", small_cnn, images[:1], mixed_targets[:1], samples=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_score_is_that_of_the_image_without_noise(small_cnn, images, mixed_targets):
    result = attribute("smoothgrad", small_cnn, images, mixed_targets, samples=2, sigma=3.0)
    expected = (small_cnn.eval()(images) * mixed_targets).sum(dim=1).detach().numpy()
    np.testing.assert_allclose(result.score_before, expected, rtol=1e-4, atol=1e-5)


def test_settings_are_refused_all_at_once(small_cnn, images, mixed_targets):
    with pytest.raises(
        InputError, match=r"(?s)settings of smoothgrad.*samples: 0 must be.*sigma: -1 must be.*memory_mb: 0 must"
    ):
        explain("smoothgrad", small_cnn, images, mixed_targets, samples=0, sigma=-1, memory_mb=0)
    with pytest.raises(InputError, match=r"samples: 2\.5 must be a whole number"):
        explain("smoothgrad", small_cnn, images, mixed_targets, samples=2.5)
