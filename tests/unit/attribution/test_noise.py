"""The map of a trained noise model: what it shows, and that people do not depend on each other."""

import numpy as np
import pytest
import torch

from voxplain.attribution.method import Context
from voxplain.attribution.noise import draw, noise
from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise, VoxelNoise, build_noise_model
from voxplain.base.errors import InputError
from voxplain.models.folding import fold_batchnorm

SHAPE = (22, 24, 22)
SETTINGS = NoiseSettings(depth=2, channels=2)
IDS = ["p1", "p2", "p3", "p4", "p5"]


@pytest.fixture
def trained():
    torch.manual_seed(3)
    model = build_noise_model(SETTINGS, SHAPE)
    example = torch.randn(3, 1, *SHAPE)
    with torch.no_grad():
        model(example)  # BatchNorm statistics
        model.eval().head.bias -= model(example).mean()
    return TrainedNoise(model, SETTINGS, SHAPE, 1.0, fold=0)


def run(network, images, targets, trained, ids=IDS, settings=SETTINGS):
    return noise(fold_batchnorm(network), images, targets, settings, Context(ids, 7, None, trained))


def test_closed_form(small_cnn, images, mixed_targets):
    """relu(-logit B): log((1 - B)/B) where B is below a half, and 0 elsewhere."""
    model = VoxelNoise(SHAPE)
    b = torch.from_numpy(np.random.default_rng(0).uniform(0.05, 0.95, size=SHAPE).astype(np.float32))
    with torch.no_grad():
        model.logits.copy_(torch.logit(b))
    settings = NoiseSettings(model="voxel")
    free = TrainedNoise(model, settings, SHAPE, 1.0)
    maps = run(small_cnn, images, mixed_targets, free, settings=settings).maps
    assert maps.shape == (5, *SHAPE)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps[3], torch.log((1 - b) / b).clamp(min=0), rtol=1e-4, atol=1e-5)


def test_the_map_is_that_of_the_noise_model(small_cnn, images, mixed_targets, trained):
    result = run(small_cnn, images, mixed_targets, trained)
    with torch.no_grad():
        expected = torch.relu(-trained.model(images)[:, 0])
    assert torch.equal(result.maps, expected)
    assert 0 < (result.maps > 0).float().mean() < 1
    logits = small_cnn.eval()(images).detach()
    np.testing.assert_allclose(result.score_before, (logits * mixed_targets).sum(dim=1), rtol=1e-4, atol=1e-5)


def test_a_person_does_not_depend_on_the_batch(small_cnn, images, mixed_targets, trained):
    together = run(small_cnn, images, mixed_targets, trained)
    order = [3, 0, 4, 2, 1]
    shuffled = run(small_cnn, images[order], mixed_targets[order], trained, [IDS[i] for i in order])
    torch.testing.assert_close(shuffled.maps, together.maps[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(shuffled.score_after, together.score_after[order], rtol=1e-4, atol=1e-5)
    for i in range(5):
        one = run(small_cnn, images[i : i + 1], mixed_targets[i : i + 1], trained, IDS[i : i + 1])
        torch.testing.assert_close(one.maps[0], together.maps[i], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.score_after[0], together.score_after[i], rtol=1e-4, atol=1e-5)


def test_the_score_after_is_that_of_the_noisy_image(small_cnn, images, mixed_targets):
    """B is nearly 1 everywhere here: noise of 2.5 standard deviations of intensity, of which the images have 2."""
    settings = NoiseSettings(model="voxel", noise_max=2.5)
    model = VoxelNoise(SHAPE)
    with torch.no_grad():
        model.logits.fill_(30)
    result = run(small_cnn, images, mixed_targets, TrainedNoise(model, settings, SHAPE, 2.0), settings=settings)
    noisy = images + 5 * draw(images, IDS, 7, "noise")
    expected = (small_cnn.eval()(noisy).detach() * mixed_targets).sum(dim=1)
    np.testing.assert_allclose(result.score_after, expected, rtol=1e-3, atol=1e-4)
    assert not np.allclose(result.score_after, result.score_before, atol=0.01)
    assert not result.maps.any()


def test_draws_are_standard_normal_and_a_person_s_own():
    images = torch.zeros(2, 1, 30, 30, 30)
    drawn = draw(images, ["a", "b"], 1, "x")
    assert drawn.mean().abs() < 0.02
    assert drawn.std() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(drawn.flatten(1).numpy())[0, 1]) < 0.03
    assert torch.equal(draw(images, ["b", "a"], 1, "x"), drawn.flip(0))
    assert not torch.equal(draw(images, ["a", "b"], 2, "x"), drawn)
    assert not torch.equal(draw(images, ["a", "b"], 1, "y"), drawn)


def test_refusals(small_cnn, images, mixed_targets, trained):
    with pytest.raises(InputError, match="noise needs a trained noise model: train one with"):
        run(small_cnn, images, mixed_targets, None)
    with pytest.raises(InputError, match=r"(?s)trained with other settings.*lambda_=0.001.*not.*lambda_=0.5"):
        run(small_cnn, images, mixed_targets, trained, settings=NoiseSettings(depth=2, channels=2, lambda_=0.5))
    with pytest.raises(InputError, match=r"images of \[22, 24, 22\] voxels, not \[20, 24, 22\]"):
        run(small_cnn, images[:, :, :20], mixed_targets, trained)
    with pytest.raises(InputError, match=r"returned \[5, 2\] for targets of \[5, 3\]"):
        run(small_cnn, images, torch.ones(5, 3), trained)
