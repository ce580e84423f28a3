"""Which networks are chains: containers, functions and outputs, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from chains import CUBES, ONE_HOT, close, run, sequential
from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.lrp_chain import chain_of, run_chain
from voxplain.attribution.method import Context
from voxplain.base.errors import InputError
from voxplain.models.folding import fold_batchnorm


class Custom(nn.Module):
    """Containers and forward pass of its own; `function` may add something that is no module."""

    def __init__(self, function=lambda before, after: after):
        super().__init__()
        self.layers = nn.ModuleDict({"head": nn.Linear(81, 2), "conv": nn.Conv3d(1, 3, 3)})
        self.norm, self.relu, self.pool = nn.BatchNorm3d(3), nn.ReLU(inplace=True), nn.MaxPool3d(2)
        self.norm.running_mean.fill_(0.2)
        self.function = function

    def forward(self, x):
        before = self.norm(self.layers["conv"](x))
        return self.layers["head"](torch.flatten(self.pool(self.function(x, self.relu(before))), 1))


def test_any_chain_of_modules():
    """Registered in another order, ReLU in place, flatten as a function, BatchNorm outside a Sequential."""
    custom = Custom()
    plain = nn.Sequential(
        custom.layers["conv"], custom.norm, nn.ReLU(), custom.pool, nn.Flatten(), custom.layers["head"]
    )
    images = CUBES.clone()
    close(run(custom, images, ONE_HOT).maps, run(plain, CUBES, ONE_HOT).maps)
    assert torch.equal(images, CUBES)


@pytest.mark.parametrize(
    "function",
    [
        lambda before, after: after + before[:, :, 1:-1, 1:-1, 1:-1],  # a skip connection
        lambda before, after: torch.tanh(after),
        lambda before, after: after.mul_(2),
        lambda before, after: after.flip(2),
    ],
)
def test_what_is_no_layer_is_refused(function):
    with pytest.raises(InputError, match="what happens between relu and pool"):
        run(Custom(function), CUBES, ONE_HOT)


def test_functions_at_either_end_are_refused():
    class Ends(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten, self.linear = nn.Flatten(), nn.Linear(512, 2)

        def forward(self, x):
            return self.linear(self.flatten(x.abs())).softmax(dim=1)

    with pytest.raises(InputError, match=r"(?s)between the input and flatten.*after linear \(a function\)"):
        run(Ends(), CUBES, ONE_HOT)


def test_functional_relu_in_place_is_refused():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv3d(1, 3, 3), nn.Linear(648, 2)

        def forward(self, x):
            return self.linear(nn.functional.relu_(self.conv(x)).flatten(1))

    with pytest.raises(InputError, match="what happens between conv and linear"):
        run(InPlace(), CUBES, ONE_HOT)


def test_networks_without_weights_are_refused():
    with pytest.raises(InputError, match="no convolution or linear layer at all"):
        lrp(nn.Flatten(), CUBES, torch.ones(3, 512), LrpSettings(), Context(["a", "b", "c"]))


def test_hooks_are_removed_after_a_refusal():
    network = fold_batchnorm(sequential(nn.Tanh()), CUBES[:1])
    with pytest.raises(InputError, match="Tanh"):
        lrp(network, CUBES, ONE_HOT, LrpSettings(), Context(["a", "b", "c"]))
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in network.modules())


def test_images_that_are_not_finite_are_left_to_the_caller():
    images = CUBES.clone()
    images[0, 0, 1, 1, 1] = torch.nan
    maps = run(sequential(), images, ONE_HOT).maps
    assert maps[0].isnan().any()
    assert maps[1:].isfinite().all()


def test_shared_layers_are_propagated_through_each_time():
    """Two calls of one convolution, without biases: ε gives gradient times input."""
    torch.manual_seed(1)
    conv, relu = nn.Conv3d(1, 1, 3, bias=False), nn.ReLU()
    model = nn.Sequential(conv, relu, conv, nn.Flatten(), nn.Linear(64, 2, bias=False))
    images = CUBES.clone().requires_grad_()
    (model(images) * ONE_HOT).sum().backward()
    settings = LrpSettings(composite="epsilon", epsilon=1e-9)
    maps = lrp(fold_batchnorm(model, CUBES[:1]), CUBES, ONE_HOT, settings, Context(["a", "b", "c"])).maps
    close(maps, (CUBES * images.grad)[:, 0].detach())


class Clamped(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(512, 2)

    def forward(self, x):
        return self.linear(x.flatten(1).clamp(min=0))


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0, 0, 1]])
def test_a_function_that_shows_in_some_images_only_is_refused(order):
    images = torch.stack([CUBES[0].abs(), CUBES[1]])[order]
    ids = [str(i) for i in range(len(order))]
    with pytest.raises(InputError, match="what happens between the input and linear"):
        lrp(Clamped().eval(), images, torch.ones(len(order), 2), LrpSettings(), Context(ids))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_chain_is_compared_in_units_of_the_outputs(size):
    """In a chain with other weights than the network's no output is too small to show it."""
    model = sequential().eval()
    with torch.no_grad():
        for parameter in model[-1].parameters():
            parameter.mul_(size)
        chain, _, output = chain_of(model, CUBES)
        run_chain(chain, CUBES, output)
        with pytest.raises(InputError, match="the chain of layers found in the network"):
            run_chain(chain, CUBES, 1.01 * output)
        other = output.clone()
        other[2] *= 1.01
        with pytest.raises(InputError, match="the chain of layers found in the network"):
            run_chain(chain, CUBES, other)


def test_an_output_near_zero_may_differ_by_rounding():
    """Regression of an average person: contributions of about 1 that cancel out."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(512, 1)).eval()
    with torch.no_grad():
        model[1].bias -= model(CUBES[:1])[0]
        chain, _, output = chain_of(model, CUBES[:1])
        run_chain(chain, CUBES[:1], output + 2e-6)


class Squeezed(nn.Module):
    def __init__(self, squeeze):
        super().__init__()
        self.flatten, self.linear, self.squeeze = nn.Flatten(), nn.Linear(512, 1), squeeze

    def forward(self, x):
        return self.squeeze(self.linear(self.flatten(x)))


@pytest.mark.parametrize("squeeze", [lambda x: x.squeeze(), lambda x: x.squeeze(1)])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_without_their_axis_are_refused(squeeze, count):
    ids = ["a", "b", "c"][:count]
    with pytest.raises(InputError, match=rf"returned \[\d?\] for targets of \[{count}, 1\]"):
        lrp(Squeezed(squeeze).eval(), CUBES[:count], torch.ones(count, 1), LrpSettings(), Context(ids))


def test_outputs_that_are_no_tensor_are_refused():
    with pytest.raises(InputError, match=r"the network's output \(tuple; expected one tensor"):
        lrp(Squeezed(lambda x: (x, x)).eval(), CUBES, torch.ones(3, 1), LrpSettings(), Context(["a", "b", "c"]))


def test_a_network_that_ends_in_a_pooling_is_a_chain():
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    result = run(model, CUBES, ONE_HOT)
    np.testing.assert_allclose(result.score_before, (model(CUBES) * ONE_HOT).sum(dim=1).detach(), rtol=1e-5)
    assert result.maps.abs().max() > 0


class Between(nn.Module):
    """Does something in place before, between or after its two layers."""

    def __init__(self, before=None, between=None, after=None):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.linear = nn.Conv3d(1, 3, 3), nn.Linear(648, 2)
        self.functions = before, between, after

    def forward(self, x):
        before, between, after = (function or (lambda x: None) for function in self.functions)
        before(x)
        y = self.conv(x)
        between(y)
        z = self.linear(y.flatten(1))
        after(y)
        return z


def test_in_place_without_consequence_is_a_chain():
    """Nothing changes, or nothing that is still needed."""
    expected = run(Between(), CUBES, ONE_HOT).maps
    assert torch.equal(run(Between(between=lambda y: y.mul_(1)), CUBES, ONE_HOT).maps, expected)
    assert torch.equal(run(Between(after=lambda y: y.zero_()), CUBES, ONE_HOT).maps, expected)


@pytest.mark.parametrize("place", ["before", "between"])
def test_in_place_functions_are_refused(place):
    images = CUBES.clone()
    with pytest.raises(InputError, match="what happens between"):
        lrp(Between(**{place: lambda x: x.clamp_(min=0)}).eval(), images, ONE_HOT, LrpSettings(), Context(["a"] * 3))
    assert torch.equal(images, CUBES)


def test_the_chain_is_run_again_only_where_it_may_differ(monkeypatch):
    def refuse_run(*arguments):
        raise AssertionError("run again")

    monkeypatch.setattr("voxplain.attribution.lrp.run_chain", refuse_run)
    run(sequential(), CUBES, ONE_HOT)
    run(Between(), CUBES, ONE_HOT)
    hooked = sequential().eval()
    hooked[0].register_forward_hook(lambda module, inputs, output: None)
    for network in (nn.Sequential(nn.Conv3d(1, 3, 3), nn.BatchNorm3d(3), sequential()[1:]).eval(), hooked):
        with pytest.raises(AssertionError, match="run again"):
            lrp(network, CUBES, ONE_HOT, LrpSettings(), Context(["a"] * 3))
