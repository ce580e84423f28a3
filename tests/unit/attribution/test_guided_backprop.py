import pytest
import torch
from torch import nn

from voxplain.attribution.registry import explain
from voxplain.base.errors import InputError


def plain_gradient(model, images, targets):
    images = images.clone().requires_grad_()
    (model.eval()(images) * targets).sum().backward()
    return images.grad[:, 0]


def test_closed_form():
    """y = Σ w relu(c relu(x)): the guided gradient is w c where x, c x and w are positive, and nothing elsewhere."""
    inner, outer = torch.tensor(2.0), torch.tensor([3.0, -5.0, 3.0, -5.0, 7.0, 7.0, -1.0, 1.0])
    model = nn.Sequential(
        nn.ReLU(), nn.Conv3d(1, 1, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1, bias=False)
    )
    with torch.no_grad():
        model[1].weight.fill_(inner)
        model[4].weight.copy_(outer[None])
    image = torch.tensor([1.0, 1, -1, -1, 4, -4, 2, 0.5]).reshape(1, 1, 2, 2, 2)
    found = explain("guided_backprop", model, image, torch.ones(1, 1)).flatten()
    assert found.tolist() == [6, 0, 0, 0, 14, 0, 0, 2]


def test_negative_gradients_survive_below_the_last_relu(small_cnn, images, mixed_targets):
    """Maps are signed: the first convolution's weights may be negative."""
    maps = explain("guided_backprop", small_cnn, images, mixed_targets)
    assert maps.min() < 0 < maps.max()


def test_differs_from_the_plain_gradient(small_cnn, images, mixed_targets):
    maps = explain("guided_backprop", small_cnn, images, mixed_targets)
    plain = plain_gradient(small_cnn, images, mixed_targets)
    assert (maps - plain).abs().max() > 0.1 * plain.abs().max()


def network(nonlinearity):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 3, 3), nonlinearity, nn.Conv3d(3, 2, 3), nonlinearity, nn.Flatten(), nn.Linear(128, 2)
    )


def test_relu_in_place_and_called_twice_gives_the_same():
    images, targets = torch.randn(2, 1, 8, 8, 8), torch.eye(2)
    expected = explain("guided_backprop", network(nn.ReLU()), images, targets)
    torch.testing.assert_close(explain("guided_backprop", network(nn.ReLU(inplace=True)), images, targets), expected)


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.relu, self.function = nn.Conv3d(1, 2, 3), nn.ReLU(), function
        self.head = nn.Linear(2 * 27, 2)

    def forward(self, x):
        return self.head(self.function(self.relu(self.conv(x))).flatten(1))


@pytest.mark.parametrize("function", [nn.functional.relu, torch.relu, torch.Tensor.relu])
def test_functional_relu_is_refused(function):
    with pytest.raises(InputError, match=r"calls ReLU as a function 1 time\(s\).*Write activations as nn.ReLU modules"):
        explain("guided_backprop", Functional(function), torch.randn(1, 1, 5, 5, 5), torch.ones(1, 2))


@pytest.mark.parametrize("module", [nn.Tanh(), nn.Sigmoid(), nn.Hardtanh(), nn.Threshold(0, 0), nn.Softsign()])
def test_what_hides_behind_another_name_is_refused(module):
    with pytest.raises(InputError, match=r"defined for ReLU only|has no nn.ReLU module"):
        explain("guided_backprop", network(module), torch.randn(1, 1, 8, 8, 8), torch.ones(1, 2))


def test_other_nonlinearities_are_refused():
    with pytest.raises(InputError, match="defined for ReLU only, but the network uses elu"):
        explain("guided_backprop", network(nn.ELU()), torch.randn(1, 1, 8, 8, 8), torch.ones(1, 2))
    with pytest.raises(InputError, match=r"has no nn.ReLU module"):
        explain("guided_backprop", network(nn.Identity()), torch.randn(1, 1, 8, 8, 8), torch.ones(1, 2))
