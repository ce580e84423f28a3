"""SmoothGrad, Integrated Gradients and occlusion against captum, given a plain network and the index of a class."""

import numpy as np
import pytest
import torch

from three_classes import CLASSES, IMAGES, TARGETS, close, small_network
from voxplain.attribution.registry import explain
from voxplain.base.seeds import stream

captum = pytest.importorskip("captum.attr")

IDS = ["a", "b", "c"]
MEAN = torch.from_numpy(np.random.default_rng(3).normal(size=(22, 24, 22)).astype(np.float32))


@pytest.fixture
def model():
    return small_network()


def test_smoothgrad(model, monkeypatch):
    """captum's NoiseTunnel, whose global draws are replaced by those of each person."""
    unit = IMAGES.std(dim=(1, 2, 3, 4), correction=0, keepdim=True)
    draws = np.stack([stream(5, "smoothgrad", i).standard_normal((4, 1, 22, 24, 22), dtype=np.float32) for i in IDS])
    noise = 0.4 * unit.repeat_interleave(4, dim=0) * torch.from_numpy(draws).flatten(0, 1)

    def with_our_noise(image, stdev, samples):
        return image.repeat_interleave(samples, dim=0) + noise

    monkeypatch.setattr(captum.NoiseTunnel, "_add_noise_to_input", staticmethod(with_our_noise))
    tunnel = captum.NoiseTunnel(captum.Saliency(model))
    theirs = tunnel.attribute(IMAGES.clone(), nt_samples=4, target=CLASSES, abs=False)[:, 0]
    close(explain("smoothgrad", model, IMAGES, TARGETS, participant_ids=IDS, seed=5, samples=4, sigma=0.4), theirs)


def test_smoothgrad_without_noise(model):
    theirs = captum.Saliency(model).attribute(IMAGES.clone().requires_grad_(), target=CLASSES, abs=False)[:, 0]
    close(explain("smoothgrad", model, IMAGES, TARGETS, sigma=0.0), theirs.detach())


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_integrated_gradients(model, baseline):
    start = MEAN.expand_as(IMAGES) if baseline == "mean" else 0
    theirs = captum.IntegratedGradients(model).attribute(IMAGES, start, target=CLASSES, n_steps=7)[:, 0]
    ours = explain("integrated_gradients", model, IMAGES, TARGETS, steps=7, baseline=baseline, mean_image=MEAN)
    close(ours, theirs.detach().float())


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_occlusion(model, baseline):
    """Where the strides divide 22 - 8 and 24 - 8 captum's lattice, which starts at one face, is the symmetric one."""
    start = MEAN.expand_as(IMAGES) if baseline == "mean" else 0
    theirs = captum.Occlusion(model).attribute(
        IMAGES, (1, 8, 8, 8), strides=(1, 7, 8, 7), baselines=start, target=CLASSES
    )[:, 0]
    ours = explain("occlusion", model, IMAGES, TARGETS, window=8, stride=8, baseline=baseline, mean_image=MEAN)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.abs().max().item())
