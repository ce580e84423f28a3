import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from voxplain.attribution.registry import attribute, explain
from voxplain.base.errors import InputError

IMAGE = torch.tensor([1.0, 3.0, 0.5, -2.0]).reshape(1, 1, 1, 2, 2)
MEAN = torch.tensor([0.5, 1.0, 0.5, 2.0]).reshape(1, 2, 2)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * b.abs().max().item())


class Cubic(nn.Module):
    """f = Σ w x³, for which two points of Gauss-Legendre are exact."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, -2.0, 3.0, -0.5]).reshape(1, 1, 1, 2, 2))

    def forward(self, images):
        return (self.weights * images**3).sum(dim=(1, 2, 3, 4))[:, None]


@pytest.mark.parametrize(("baseline", "start"), [("mean", MEAN), ("zero", torch.zeros(1, 2, 2))])
def test_closed_form(baseline, start):
    """A sum over voxels gives each voxel w (x³ − x′³)."""
    result = attribute(
        "integrated_gradients", Cubic(), IMAGE, torch.ones(1, 1), steps=2, baseline=baseline, mean_image=MEAN
    )
    weights = Cubic().weights.detach()[0, 0]
    torch.testing.assert_close(result.maps[0], weights * (IMAGE[0, 0] ** 3 - start**3))
    np.testing.assert_allclose(result.score_before, (weights * IMAGE[0, 0] ** 3).sum(), rtol=1e-6)
    np.testing.assert_allclose(result.score_after, (weights * start**3).sum(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(result.conservation, 1, rtol=1e-5)


def test_a_linear_network_gives_weight_times_difference(images, mixed_targets):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(22 * 24 * 22, 2))
    mean = torch.randn(22, 24, 22)
    maps = explain("integrated_gradients", model, images, mixed_targets, steps=1, mean_image=mean)
    expected = (mixed_targets @ model[1].weight.detach()).reshape(5, 22, 24, 22) * (images[:, 0] - mean)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_blur_is_the_image_smoothed(small_cnn, images, mixed_targets):
    """score_after is the score of the smoothed image, and an image without detail has a map of zeros."""
    result = attribute(
        "integrated_gradients", small_cnn, images, mixed_targets, steps=1, baseline="blur", blur_sigma=2.0
    )
    blurred = np.stack([gaussian_filter(image[0].numpy(), 2.0, mode="nearest") for image in images])[:, None]
    expected = (small_cnn.eval()(torch.from_numpy(blurred)) * mixed_targets).sum(dim=1).detach().numpy()
    np.testing.assert_allclose(result.score_after, expected, rtol=1e-3, atol=1e-4)
    flat = torch.full((1, 1, 22, 24, 22), 3.0)
    assert explain("integrated_gradients", small_cnn, flat, mixed_targets[:1], baseline="blur").abs().max() < 1e-5


def test_completeness(small_cnn, images, mixed_targets):
    """The map sums to f(x) − f(x′), to 2 % of the larger of that difference and the SD of f over people."""
    mean = 0.2 * torch.randn(22, 24, 22, generator=torch.Generator().manual_seed(1))
    result = attribute("integrated_gradients", small_cnn, images, mixed_targets, mean_image=mean)
    difference = result.score_before - result.score_after
    error = np.abs(result.maps.sum(dim=(1, 2, 3)).numpy() - difference)
    assert (error <= 0.02 * np.maximum(np.abs(difference), result.score_before.std())).all()
    np.testing.assert_allclose(result.conservation, result.maps.sum(dim=(1, 2, 3)).numpy() / difference, rtol=1e-3)


def test_few_steps_show_in_the_conservation():
    """One point of the quadrature misses a cubic: 3 (x/2)² x = ¾ x³."""
    result = attribute("integrated_gradients", Cubic(), IMAGE, torch.ones(1, 1), steps=1, baseline="zero")
    np.testing.assert_allclose(result.conservation, 0.75, rtol=1e-5)


def test_nothing_to_explain_is_not_divided_by(small_cnn, images, mixed_targets):
    mean = images[0, 0]
    result = attribute("integrated_gradients", small_cnn, images[:1], mixed_targets[:1], steps=2, mean_image=mean)
    assert not result.maps.any()
    assert np.isnan(result.conservation).all()


def test_memory_and_batches_play_no_part(small_cnn, images, mixed_targets):
    options = {"steps": 5, "baseline": "zero"}
    expected = explain("integrated_gradients", small_cnn, images, mixed_targets, batch_size=5, **options)
    for more in ({"memory_mb": 0.001}, {"memory_mb": 2.0}, {"batch_size": 1}, {"batch_size": 3}):
        close(explain("integrated_gradients", small_cnn, images, mixed_targets, **options, **more), expected)
    close(
        explain("integrated_gradients", small_cnn, images.flip(0), mixed_targets.flip(0), **options).flip(0), expected
    )


def test_no_pass_holds_more_images_than_fit(small_cnn, images, mixed_targets):
    passes = []
    small_cnn.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    options = {"steps": 2, "baseline": "zero", "batch_size": 5}
    explain("integrated_gradients", small_cnn, images, mixed_targets, memory_mb=0.001, **options)
    assert set(passes) == {1}


@pytest.mark.filterwarnings("error")
def test_batches_are_cut_without_warnings(small_cnn, images, mixed_targets):
    explain(
        "integrated_gradients",
        small_cnn,
        images,
        mixed_targets,
        batch_size=5,
        steps=2,
        baseline="zero",
        memory_mb=0.001,
    )


def test_refusals(small_cnn, images, mixed_targets):
    for mean in (None, torch.zeros(3, 3, 3)):
        with pytest.raises(InputError, match=r"baseline: mean needs .* set baseline: zero"):
            explain("integrated_gradients", small_cnn, images, mixed_targets, mean_image=mean)
    wrong = {"steps": 0, "baseline": "noise", "blur_sigma": -1, "memory_mb": 0}
    with pytest.raises(InputError) as error:
        explain("integrated_gradients", small_cnn, images, mixed_targets, **wrong)
    assert all(name in str(error.value) for name in wrong)
