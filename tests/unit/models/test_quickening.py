import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from voxplain.attribution.guided_backprop import GuidedBackpropSettings, guided_backprop
from voxplain.attribution.method import Context
from voxplain.models.folding import fold_batchnorm, frozen_copy
from voxplain.models.quickening import OneChannelConv3d, geometry, input_gradient, quickened
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE = (12, 13, 14)
IMAGES = torch.from_numpy(np.random.default_rng(3).normal(size=(3, 1, *SHAPE)).astype(np.float32))


def layers(*pooling, relu=None):
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv3d(1, 3, 3), relu or nn.ReLU(), *(pooling or [nn.MaxPool3d(2)])).eval()


def gradient(network, images):
    """Of a sum in which every output has another weight."""
    images = images.clone().requires_grad_()
    output = network(images)
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), images)[0]


def moved(network):
    pairs = [list(module) for module in network.modules() if isinstance(module, nn.Sequential)]
    return sum([type(layer) for layer in pair] == [nn.MaxPool3d, nn.ReLU] for pair in pairs)


def same(quick, plain, images):
    with torch.no_grad():
        torch.testing.assert_close(quick(images), plain(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient(quick, images), gradient(plain, images), rtol=1e-5, atol=1e-5)


@pytest.fixture
def cnn():
    torch.manual_seed(0)
    model = VoxelCNN(shape=(24, 22, 26), channels=3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.2, 1.2)
            nn.init.normal_(module.weight)  # of both signs
            nn.init.normal_(module.bias)
    return model


def test_voxel_cnn_gives_the_same_outputs_and_gradients(cnn):
    before = copy.deepcopy(cnn.state_dict())
    images = torch.randn(3, 1, 24, 22, 26)
    quick = quickened(cnn)
    same(quick, frozen_copy(cnn), images)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in quick.modules())
    assert moved(quick) == 3
    assert {name for name, _ in cnn.named_modules()} <= {name for name, _ in quick.named_modules()}
    assert not any(module.training for module in quick.modules())
    assert not any(parameter.requires_grad for parameter in quick.parameters())
    assert cnn.training
    assert all(torch.equal(value, before[name]) for name, value in cnn.state_dict().items())


def test_guided_gradients_are_the_same(cnn):
    images, targets = torch.randn(3, 1, 24, 22, 26), torch.tensor([[-1.0, 1], [1, 0], [0, 1]])
    maps = [
        guided_backprop(network, images, targets, GuidedBackpropSettings(), Context(["a", "b", "c"])).maps
        for network in (quickened(cnn), fold_batchnorm(cnn))
    ]
    assert maps[1].abs().max() > 0
    torch.testing.assert_close(*maps, rtol=1e-4, atol=1e-5 * maps[1].abs().max().item())


@pytest.mark.parametrize(
    "pooling",
    [
        nn.MaxPool3d(2),
        nn.MaxPool3d(3, ceil_mode=True),
        nn.MaxPool3d(2, padding=1),
        nn.MaxPool3d((1, 2, 3), stride=(2, 2, 4), padding=(0, 1, 1), ceil_mode=True),
    ],
)
def test_ties_and_windows_without_positive_values(pooling):
    """Small whole numbers: many equal maxima, windows of zeros, and sums without rounding."""
    model = layers(pooling)
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.sign() * (torch.rand_like(model[0].weight) < 0.1))
        model[0].bias.copy_(torch.tensor([0.0, -1.0, 1.0]))
    images = IMAGES.round()
    quick, plain = quickened(model, images), frozen_copy(model)
    assert moved(quick) == 1
    hidden = plain[1](plain[0](images))
    assert (plain(images) == 0).any()
    assert (hidden == 0).any()
    assert torch.equal(quick(images), plain(images))
    images.requires_grad_()
    ones = [torch.autograd.grad(network(images).sum(), images)[0] for network in (quick, plain)]
    assert torch.equal(*ones)


def test_nan_reaches_the_same_outputs():
    images = IMAGES.clone()
    images[1, 0, 5, 5, 5] = torch.nan
    model = layers()
    quick = quickened(model, IMAGES)
    assert torch.equal(quick(images).isnan(), model(images).isnan())
    assert quick(images)[1].isnan().any()


def test_relu_in_place_is_moved():
    model = layers(relu=nn.ReLU(inplace=True))
    quick = quickened(model, IMAGES)
    assert moved(quick) == 1
    same(quick, layers(), IMAGES)


@pytest.mark.parametrize(
    "pooling", [nn.MaxPool3d(3, stride=2), nn.MaxPool3d(2, dilation=2), nn.AvgPool3d(2), nn.AdaptiveMaxPool3d(3)]
)
def test_other_poolings_stay_where_they_are(pooling):
    quick = quickened(layers(pooling), IMAGES)
    assert moved(quick) == 0
    same(quick, layers(pooling), IMAGES)


class Indexed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = layers(nn.MaxPool3d(2, return_indices=True))

    def forward(self, images):
        return self.layers(images)[0]


def test_indices_of_the_maxima_stay_what_they_are():
    assert moved(quickened(Indexed(), IMAGES)) == 0


@pytest.mark.parametrize("place", [1, 2])
def test_layers_that_are_used_elsewhere_or_have_hooks_stay(place):
    model = layers(nn.MaxPool3d(2), nn.ReLU(), nn.MaxPool3d(2))
    model.append(model[place])
    assert moved(quickened(model, IMAGES)) == 1
    hooked = layers()
    hooked[place].register_forward_hook(lambda module, inputs, output: None)
    assert moved(quickened(hooked, IMAGES)) == 0


def test_kept_layers_keep_their_output(cnn):
    images = torch.randn(2, 1, 24, 22, 26)
    quick, plain, seen = quickened(cnn, keep=["features.1.relu"]), frozen_copy(cnn), []
    assert moved(quick) == 2
    for network in (quick, plain):
        network.features[1].relu.register_forward_hook(lambda module, inputs, output: seen.append(output))
        network(images)
    torch.testing.assert_close(*seen, rtol=1e-5, atol=1e-5)


class Tapping(nn.Module):
    """Uses the output of ReLU beside that of the pooling."""

    shape = SHAPE

    def __init__(self):
        super().__init__()
        self.layers = layers()
        self.layers.insert(1, nn.BatchNorm3d(3))

    def forward(self, images):
        hidden = self.layers[2](self.layers[1](self.layers[0](images)))
        return self.layers[3](hidden).flatten(1).sum(1) + hidden.flatten(1).sum(1)


def test_a_network_that_it_would_change_is_only_folded_with_a_warning():
    model = Tapping().eval()
    with pytest.warns(UserWarning, match="moving ReLU behind pooling changed the network's output"):
        quick = quickened(model)
    assert moved(quick) == 0
    assert isinstance(quick.layers[1], nn.Identity)
    same(lambda x: quick(x)[:, None], lambda x: model(x)[:, None], IMAGES)


def test_volumes_have_their_channels_innermost():
    quick = quickened(layers(), IMAGES)
    assert quick(IMAGES).is_contiguous(memory_format=torch.channels_last_3d)


GEOMETRIES = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (1, 3, 2), "padding": (2, 0, 1), "dilation": (1, 2, 2)},
    {"padding": "same", "dilation": 2},
    {"padding": "valid"},
    {"kernel_size": (1, 2, 4), "padding": "same"},
    {"kernel_size": 5, "stride": 4},
]


@pytest.mark.parametrize("options", GEOMETRIES)
@pytest.mark.parametrize("channels", [1, 2])
def test_input_gradient_is_torch_s(options, channels):
    torch.manual_seed(1)
    conv = nn.Conv3d(channels, 4, **{"kernel_size": 3, **options}).double()
    images = torch.randn(2, channels, *SHAPE, dtype=torch.float64, requires_grad=True)
    output = conv(images)
    weights = torch.randn_like(output)
    (expected,) = torch.autograd.grad(output, images, weights)
    found = input_gradient(weights, conv.weight.detach(), images.shape, *geometry(conv))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("options", GEOMETRIES)
def test_convolution_of_one_channel(options):
    torch.manual_seed(1)
    conv = nn.Conv3d(1, 4, **{"kernel_size": 3, **options})
    quick = quickened(nn.Sequential(conv), IMAGES)
    assert type(quick[0]) is OneChannelConv3d
    same(quick, frozen_copy(nn.Sequential(conv)), IMAGES)
    assert not quick(IMAGES).requires_grad


def test_known_answer_of_one_weight():
    """y = 3 x at every second voxel, so that the gradient is 3 there and 0 between."""
    found = input_gradient(torch.ones(1, 1, 2, 1, 1), torch.full((1, 1, 1, 1, 1), 3.0), (1, 1, 4, 1, 1), (2, 1, 1))
    assert found.flatten().tolist() == [3, 0, 3, 0]


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(1, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv3d(2, 2, 3),
        weight_norm(nn.Conv3d(1, 2, 3)),
    ],
)
def test_other_convolutions_stay(conv):
    images = IMAGES.expand(-1, conv.in_channels, -1, -1, -1)
    quick = quickened(nn.Sequential(conv), images)
    assert not isinstance(quick[0], OneChannelConv3d)
    same(quick, frozen_copy(nn.Sequential(conv)), images)


def test_weights_that_learn_have_torch_s_gradients():
    quick = quickened(layers(), IMAGES).requires_grad_(True)
    images = IMAGES.clone().requires_grad_()
    quick(images).sum().backward()
    assert quick[0].weight.grad.abs().max() > 0
    assert images.grad.abs().max() > 0
