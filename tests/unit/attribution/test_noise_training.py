"""Training of noise models: closed forms, and that it depends on nothing but its arguments."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import nn

from voxplain.attribution.noise_model import NoiseSettings
from voxplain.attribution.noise_training import _random_cubes, brain_intensity_sd, task_loss, train_noise
from voxplain.base.errors import InputError

REGRESSION = {"task": "regression", "fold": 0}
CLASSES = {"task": "classification", "fold": 0}


def white(n, shape, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def linear(weights):
    model = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 1))
    with torch.no_grad():
        model[1].weight.copy_(weights.flatten()[None])
    return model


def test_free_voxels_of_a_linear_regression():
    """With λ per voxel B = min(1, √(λ/2)/|w|); λ of the mean over V voxels is V times that."""
    shape, per_voxel = (3, 3, 3), 0.02
    weights = torch.from_numpy(
        np.random.default_rng(1).choice([-1, 1], shape) * np.geomspace(0.02, 1, 27).reshape(shape)
    )
    stack = white(2560, shape)
    stack /= stack.std(axis=(1, 2, 3), keepdims=True)
    settings = NoiseSettings(
        model="voxel", lambda_=27 * per_voxel, epochs=100, people_per_step=256, learning_rate=0.05
    )  # fmt: skip
    trained, history = train_noise(linear(weights.float()), stack, range(2560), REGRESSION, settings, "cpu", 5)
    b = trained.model(torch.zeros(1, 1, *shape)).detach().sigmoid()[0, 0]
    expected = (np.sqrt(per_voxel / 2) / weights.abs()).clamp(max=1)
    assert (expected == 1).sum() > 5
    assert (b / expected - 1).abs().max() < 0.05
    # Each voxel with B below 1 adds λ/2 per voxel to the task loss.
    loss = (weights.square() * expected.square()).sum().item()
    assert history["task_loss"].tail(10).mean() == pytest.approx(loss, rel=0.05)


class LocalContent(nn.Module):
    """f(x) = Σ (blurred x)² / 2: what a voxel weighs depends on the image around it, not on where it is."""

    def __init__(self):
        super().__init__()
        self.blur = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.blur.weight, 1 / 27)

    def forward(self, x):
        return self.blur(x).square().flatten(1).sum(dim=1, keepdim=True) / 2


def test_unet_learns_where_local_content_matters():
    """On people it has not seen, the order of voxels is that of the size of the network's gradient."""
    shape = (8, 8, 8)
    stack = np.stack([gaussian_filter(volume, 1.5) for volume in white(104, shape, 2)])
    stack = (stack / stack.std()).astype(np.float32)
    settings = NoiseSettings(lambda_=0.1, noise_max=0.2, depth=1, channels=8, epochs=40, learning_rate=2e-2, cubes=2)
    network = LocalContent()
    trained, _ = train_noise(network, stack, range(96), REGRESSION, settings, "cpu", 1)
    unseen = torch.from_numpy(stack[96:])[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(network(unseen).sum(), unseen)
    importance = -trained.model(unseen.detach()).detach()
    correlations = [
        spearmanr(a.flatten(), g.abs().flatten()).statistic for a, g in zip(importance, gradient, strict=True)
    ]
    assert np.mean(correlations) > 0.9


class Balanced(nn.Module):
    """f(x) = Σ relu(x) over one half minus the same over the other: drifts of equal noise in both halves cancel."""

    def forward(self, x):
        first, second = (half.flatten(1).sum(dim=1, keepdim=True) for half in x.relu().chunk(2, dim=2))
        return first - second


def test_drifts_that_cancel_are_no_excuse():
    """With the same noise in every voxel of an empty image, relu(σε) has the mean 0.4 σ and the variance 0.34 σ².

    Over 512 voxels the task loss is 0.34 · 512 B² where noise is everywhere. A random half of the cubes adds half of
    Σ (0.4 n B)² over cubes, with n the voxels of a cube in the one half of the volume less those in the other. Of four
    lattices the mean of Σ n² is 17 along the axis that is halved, and 27 along the others. With the reward λ log B the
    least loss is at B = √(λ/2/sum).
    """
    stack = np.zeros((256, 8, 8, 8), np.float32)
    stack[:, 0, 0, :2] = 1, -1  # intensities of a brain with SD 1, the unit of noise
    alone = 0.341 * 512
    for cubes, task in ((None, alone), (4, alone + 0.399**2 / 2 * 17 * 27 * 27)):
        settings = NoiseSettings(
            model="voxel", epochs=60, people_per_step=64, learning_rate=0.1, lambda_=100.0, cubes=cubes
        )
        trained, _ = train_noise(Balanced(), stack, range(256), REGRESSION, settings, "cpu", 1)
        found = trained.model.logits.detach().sigmoid().mean().item()
        assert found == pytest.approx((50 / task) ** 0.5, rel=0.15)


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 5, 3), (1, 2, 17)])
def test_half_of_the_cubes_is_clean_wherever_their_lattice_lies(shape):
    torch.manual_seed(0)
    images = torch.zeros(400, 1, *shape)
    chosen = _random_cubes(images, 4)
    assert chosen.shape == images.shape
    assert set(chosen.unique().tolist()) == {0, 1}
    assert (chosen.mean(dim=0) - 0.5).abs().max() < 0.12
    # Neighbours lie in one cube three times out of four, or agree by chance.
    longest = int(np.argmax(shape)) + 2
    agree = (chosen.diff(dim=longest) == 0).float().mean()
    assert agree == pytest.approx(1 - 0.5 / 4, abs=0.1)


def quick(**more):
    return NoiseSettings(**{"depth": 1, "channels": 2, "epochs": 3, "people_per_step": 4, "lambda_": 0.05, **more})


@pytest.fixture
def network(small_cnn):
    return small_cnn


@pytest.fixture
def stack(images):
    return np.concatenate([images[:, 0].numpy(), white(4, (22, 24, 22), 8)])


def weights_of(trained):
    return {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_order_of_rows_plays_no_part_and_seeds_do(network, stack):
    first, history = train_noise(network, stack, [1, 3, 5, 7], CLASSES, quick(), "cpu", 1)
    again, repeated = train_noise(network, stack, [7, 1, 5, 3], CLASSES, quick(), "cpu", 1)
    assert equal(weights_of(first), weights_of(again))
    assert history.drop(columns="seconds").equals(repeated.drop(columns="seconds"))
    other, _ = train_noise(network, stack, [1, 3, 5, 7], CLASSES, quick(), "cpu", 2)
    assert not equal(weights_of(first), weights_of(other))


def test_a_stopped_training_goes_on_where_it_was(network, stack, tmp_path, monkeypatch):
    whole, history = train_noise(network, stack, range(6), CLASSES, quick(), "cpu", 1)
    from voxplain.attribution import noise_training

    kept = noise_training.save_state

    def stop(folder, key, progress, *rest):
        kept(folder, key, progress, *rest)
        if len(progress["history"]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(noise_training, "save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        train_noise(network, stack, range(6), CLASSES, quick(), "cpu", 1, tmp_path)
    monkeypatch.setattr(noise_training, "save_state", kept)
    resumed, rows = train_noise(network, stack, range(6), CLASSES, quick(), "cpu", 1, tmp_path)
    assert equal(weights_of(whole), weights_of(resumed))
    assert rows.drop(columns="seconds").equals(history.drop(columns="seconds"))


def test_a_state_of_another_network_is_not_used(network, stack, tmp_path, capsys):
    train_noise(network, stack, range(6), CLASSES, quick(), "cpu", 1, tmp_path)
    with torch.no_grad():
        network.features[0].conv.weight.mul_(2)
    train_noise(network, stack, range(6), CLASSES, quick(), "cpu", 1, tmp_path)
    assert "belongs to another training" in capsys.readouterr().err


def test_the_network_and_the_random_generator_are_left_as_they_were(network, stack):
    network.train()
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    train_noise(network, stack, range(5), CLASSES, quick(epochs=1), "cpu", 1)
    assert torch.equal(torch.rand(3), expected)
    assert equal(before, network.state_dict())
    assert network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())


def test_history_and_facts(network, stack):
    trained, history = train_noise(network, stack * 3, range(5), CLASSES, quick(), "cpu", 1)
    assert list(history) == ["epoch", "loss", "task_loss", "mean_log_b", "mean_b", "learning_rate", "seconds"]
    assert history["epoch"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(history["loss"], history["task_loss"] - 0.05 * history["mean_log_b"], rtol=1e-4)
    assert history["learning_rate"].is_monotonic_decreasing
    assert not trained.model.training
    assert trained.fold == 0
    assert trained.shape == (22, 24, 22)
    assert trained.intensity_sd == pytest.approx(3, rel=0.05)


def test_intensities_in_other_units_give_the_same_noise():
    """Noise is counted in standard deviations of intensity: images of another unit and a network that divides by it."""
    shape = (3, 3, 3)
    weights = torch.linspace(0.1, 1, 27)
    settings = NoiseSettings(model="voxel", epochs=50, people_per_step=8, learning_rate=0.05, lambda_=0.5)
    stack = white(16, shape)
    one, _ = train_noise(linear(weights), stack, range(16), REGRESSION, settings, "cpu", 1)
    other, _ = train_noise(linear(weights / 100), stack * 100, range(16), REGRESSION, settings, "cpu", 1)
    torch.testing.assert_close(one.model.logits, other.model.logits, rtol=1e-3, atol=1e-4)


def test_the_background_is_not_brain():
    stack = np.zeros((3, 20, 20, 20), np.float32)
    stack[:, 5:15, 5:15, 5:15] = 2 * white(3, (10, 10, 10)) + 7
    assert brain_intensity_sd(stack, [0, 1, 2]) == pytest.approx(2, rel=0.05)
    with pytest.raises(InputError, match=r"a standard deviation of 0\.0"):
        brain_intensity_sd(np.zeros((2, 3, 3, 3), np.float32), [0, 1])


def test_task_losses():
    clean, noisy = torch.tensor([[0.3], [-1.0]]), torch.tensor([[0.5], [-2.0]])
    assert task_loss(noisy, clean, "regression").item() == pytest.approx((0.04 + 1) / 2)
    clean, noisy = torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.2, 0.4]]), torch.tensor([[0.1, 0.3, 0.0], [1.0, 0.0, -1.0]])
    p, q = clean.softmax(dim=1), noisy.softmax(dim=1)
    expected = (p * (p / q).log()).sum(dim=1).mean()
    torch.testing.assert_close(task_loss(noisy, clean, "classification"), expected)
    assert task_loss(clean, clean, "classification", 0.9).item() == pytest.approx(0, abs=1e-6)


def test_surer_networks_bear_no_more_noise():
    """Logits times 10 leave the tempered divergence as it is once both are above the confidence."""
    clean, noisy = torch.tensor([[3.0, -1.0]]), torch.tensor([[1.0, 0.0]])
    tempered = task_loss(noisy, clean, "classification", 0.9)
    torch.testing.assert_close(task_loss(10 * noisy, 10 * clean, "classification", 0.9), tempered, rtol=1e-3, atol=1e-5)
    assert task_loss(10 * noisy, 10 * clean, "classification") < 1e-3 < tempered


def test_refusals(network, stack):
    with pytest.raises(InputError, match="nobody to train a noise model on"):
        train_noise(network, stack, [], CLASSES, quick(), "cpu", 1)
    with pytest.raises(InputError, match="Rows that the stack of 9 images does not have"):
        train_noise(network, stack, [1, 99], CLASSES, quick(), "cpu", 1)
    with torch.no_grad():
        network.features[0].conv.weight.fill_(torch.nan)
    with pytest.warns(match="Folding"), pytest.raises(InputError, match=r"diverged: the loss of epoch 1 is not finite"):
        train_noise(network, stack, range(5), CLASSES, replace(quick(), epochs=1), "cpu", 1)
