import copy

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.lrp import COMPOSITES, LrpSettings, lrp
from voxplain.attribution.method import Context
from voxplain.base.errors import InputError
from voxplain.models.folding import fold_batchnorm, frozen_copy

IDS = ["p1", "p2", "p3", "p4", "p5"]
every_composite = pytest.mark.parametrize("composite", COMPOSITES)


def run(model, images, targets, ids=None, **settings):
    network = fold_batchnorm(model, images[:1])
    ids = [str(i) for i in range(len(images))] if ids is None else ids
    result = lrp(network, images, targets, LrpSettings(**settings), Context(ids))
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in network.modules())
    return result


def close(a, b, tolerance=1e-4):
    torch.testing.assert_close(a, b, rtol=1e-3, atol=tolerance * b.abs().max().item())


def sequential(*middle, bias=True, outputs=2):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv3d(1, 3, 3, bias=bias), nn.ReLU(), nn.MaxPool3d(2), *middle, nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(3 * 27, outputs, bias=bias),
    )  # fmt: skip


CUBES = torch.from_numpy(np.random.default_rng(4).normal(size=(3, 1, 8, 8, 8)).astype(np.float32))
ONE_HOT = torch.eye(2)[[0, 1, 0]]


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_gamma_box", "alpha2_beta1"])
def test_linear_layer_gives_weight_times_input(composite):
    model = nn.Sequential(nn.Flatten(), nn.Linear(512, 1))
    maps = run(model, CUBES, torch.ones(3, 1), composite=composite, epsilon=1e-9).maps
    z = model(CUBES).detach()
    close(maps, (CUBES.flatten(1) * model[1].weight.detach()).reshape(maps.shape))
    np.testing.assert_allclose(maps.flatten(1).sum(dim=1), (z - model[1].bias.detach())[:, 0], rtol=1e-4)


def test_deep_linear_network_gives_weight_times_input():
    """ε without biases through any number of linear layers: x times the gradient."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv3d(1, 3, 3, bias=False), nn.AvgPool3d(2), nn.Conv3d(3, 2, 2, bias=False), nn.Flatten(),
        nn.Linear(16, 2, bias=False),
    )  # fmt: skip
    images = CUBES.clone().requires_grad_()
    (model(images) * ONE_HOT).sum().backward()
    result = run(model, CUBES, ONE_HOT, composite="epsilon", epsilon=1e-9)
    close(result.maps, (CUBES * images.grad)[:, 0], 1e-3)
    np.testing.assert_allclose(result.conservation, 1, rtol=1e-3)


def test_epsilon_of_a_relu_network_without_biases_is_gradient_times_input():
    """Shrikumar et al. 2016 (arXiv 1605.01713), Ancona et al. 2018 (arXiv 1711.06104): ReLU and max-pooling too."""
    model = sequential(bias=False)
    images = CUBES.clone().requires_grad_()
    (model.eval()(images) * ONE_HOT).sum().backward()
    close(run(model, CUBES, ONE_HOT, composite="epsilon", epsilon=1e-9).maps, (CUBES * images.grad)[:, 0], 1e-3)


def test_closed_form_of_the_composites():
    """One voxel, two hidden units: h = relu(2x − 0, −x + 3), y = h₁ + h₂; biases take relevance, zB has none."""
    model = nn.Sequential(nn.Conv3d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([2.0, -1.0]).reshape(2, 1, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([0.0, 3.0]))
        model[3].weight.fill_(1)
    image = torch.ones(1, 1, 1, 1, 1)  # h = (2, 2), y = 4

    def relevance(**settings):
        return run(model, image, torch.ones(1, 1), **settings).maps.item()

    assert relevance(composite="epsilon") == pytest.approx(2 * 2 / 2 - 2 * 1 / 2, abs=1e-5)
    assert relevance(composite="epsilon_plus") == pytest.approx(2)  # unit 2 owes everything to its bias
    assert relevance(composite="alpha2_beta1") == pytest.approx(2 * 2 - 1 * 2)  # unit 2: −1 × its whole relevance
    assert relevance(composite="epsilon_gamma_box", low=-1.0, high=2.0) == pytest.approx(4)


@every_composite
def test_batches_order_and_mixed_classes(small_cnn, images, mixed_targets, composite):
    together = run(small_cnn, images, mixed_targets, composite=composite, epsilon_std=0.1)
    assert together.maps.shape == (5, 22, 24, 22)
    assert together.maps.dtype == torch.float32
    order = [3, 0, 4, 2, 1]
    shuffled = run(small_cnn, images[order], mixed_targets[order], composite=composite, epsilon_std=0.1)
    close(shuffled.maps, together.maps[order])
    for i in range(5):
        one = run(small_cnn, images[i : i + 1], mixed_targets[i : i + 1], composite=composite, epsilon_std=0.1)
        close(one.maps, together.maps[i : i + 1])
        np.testing.assert_allclose(one.conservation, together.conservation[i : i + 1], rtol=1e-3)


@every_composite
def test_conservation_without_biases(small_cnn, images, mixed_targets, composite):
    network = fold_batchnorm(small_cnn, images[:1])
    for module in network.modules():
        if getattr(module, "bias", None) is not None:
            module.bias.zero_()
    result = run(network, images, mixed_targets, composite=composite)
    expected = result.maps.flatten(1).sum(dim=1, dtype=torch.float64).numpy() / result.score_before
    np.testing.assert_allclose(result.conservation, expected)
    np.testing.assert_allclose(result.conservation, 1, atol=2e-3)


def test_conservation_is_reported_where_biases_take_relevance(small_cnn, images, mixed_targets):
    result = run(small_cnn, images, mixed_targets)
    assert np.abs(result.conservation - 1).max() > 0.01


def test_contrast_is_the_difference_of_the_classes(small_cnn, images):
    """With ε at the dense layer the map of a contrast is the difference of the maps of its classes."""
    maps = [run(small_cnn, images, torch.tensor([w]).repeat(5, 1)).maps for w in ([1.0, 0], [0, 1.0], [-1.0, 1.0])]
    close(maps[2], maps[1] - maps[0], 1e-3)


def test_z_plus_of_a_positive_logit_is_signed_only_through_the_dense_layer(small_cnn, images):
    """z⁺ keeps the signs that the dense layer gave out: with positive dense weights nothing is negative."""
    with torch.no_grad():
        small_cnn.head.linear.weight.abs_()
        small_cnn.head.linear.bias.zero_()
    targets = torch.tensor([[0, 1.0]]).repeat(5, 1)
    assert run(small_cnn, images, targets).maps.min() >= 0
    assert run(small_cnn, images, targets, composite="epsilon").maps.min() < 0


def test_start(small_cnn, images, mixed_targets):
    logits = small_cnn.eval()(images).detach()
    p = logits.softmax(dim=1)
    hot = torch.eye(2)[[0, 1, 1, 0, 1]]
    logit, output, probability = (run(small_cnn, images, hot, start=s) for s in ("logit", "output", "probability"))
    assert torch.equal(logit.maps, output.maps)
    np.testing.assert_allclose(logit.score_before, (logits * hot).sum(dim=1), rtol=1e-4)
    np.testing.assert_allclose(probability.score_before, (p * hot).sum(dim=1), rtol=1e-4)
    ratio = ((p * hot).sum(dim=1) / (logits * hot).sum(dim=1)).reshape(5, 1, 1, 1)
    close(probability.maps, logit.maps * ratio, 1e-3)
    contrast = run(small_cnn, images, mixed_targets, start="probability")
    np.testing.assert_allclose(contrast.score_before, (p * mixed_targets).sum(dim=1), rtol=1e-3, atol=1e-6)
    with pytest.raises(InputError, match="start: probability needs classes"):
        run(sequential(outputs=1), CUBES, torch.ones(3, 1), start="probability")


@every_composite
def test_a_dead_network_gives_zeros_and_no_conservation(small_cnn, images, mixed_targets, composite):
    with torch.no_grad():
        for parameter in small_cnn.parameters():
            parameter.zero_()
    result = run(small_cnn, images, mixed_targets, composite=composite)
    assert torch.equal(result.maps, torch.zeros(5, 22, 24, 22))
    assert np.isnan(result.conservation).all()


@every_composite
def test_constant_images(composite):
    maps = run(sequential(), torch.zeros(3, 1, 8, 8, 8), ONE_HOT, composite=composite).maps
    assert torch.equal(maps, torch.zeros(3, 8, 8, 8))


@every_composite
def test_unfolded_batchnorm_is_folded(small_cnn, images, mixed_targets, composite):
    plain = lrp(frozen_copy(small_cnn), images, mixed_targets, LrpSettings(composite=composite), Context(IDS))
    close(plain.maps, run(small_cnn, images, mixed_targets, composite=composite).maps, 1e-3)


def test_box_bounds(small_cnn, images, mixed_targets):
    images[1, 0, 0, 0, 0] = 9.0
    box = {"composite": "epsilon_gamma_box", "ids": IDS}
    own = run(small_cnn, images[1:2], mixed_targets[1:2], composite="epsilon_gamma_box")
    bounds = {"low": images[1].min().item(), "high": 9.0}
    same = run(small_cnn, images[1:2], mixed_targets[1:2], composite="epsilon_gamma_box", **bounds)
    close(same.maps, own.maps)
    wider = run(small_cnn, images, mixed_targets, low=-20.0, high=20.0, **box)
    assert (wider.maps[1] - own.maps[0]).abs().max() > 0
    with pytest.raises(InputError, match=r"beyond low: -7 and high: 7 of the zB rule\n  - p2: -\d\S* \.\.\. 9\n"):
        run(small_cnn, images, mixed_targets, low=-7, high=7, **box)


def test_settings_are_checked_all_at_once():
    expected = (
        r"(?s)settings of lrp that cannot work.*composite: 'flat' is not one of.*start: 'loss' is not one of.*"
        r"epsilon: 0 must be a number above 0.*epsilon_std: -1 must be.*gamma: -0\.1 must be.*low: 2 must be less"
    )
    with pytest.raises(InputError, match=expected):
        LrpSettings(composite="flat", start="loss", epsilon=0, epsilon_std=-1, gamma=-0.1, low=2, high=1)


def test_other_targets_are_refused_and_the_network_is_left_alone(small_cnn, images):
    network = frozen_copy(small_cnn)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(InputError, match=r"returned \[5, 2\] for targets of \[5, 3\]"):
        lrp(network, images, torch.ones(5, 3), LrpSettings(), Context(IDS))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not network.training
