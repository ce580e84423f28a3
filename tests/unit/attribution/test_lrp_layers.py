"""Which layers a chain may have: subclasses, parametrizations, BatchNorm, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from chains import CUBES, ONE_HOT, close, run, sequential
from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.method import Context
from voxplain.base.errors import InputError


def test_unsupported_layers_are_named_in_one_error():
    model = sequential(nn.Tanh(), nn.Sequential(nn.ELU(), nn.InstanceNorm3d(3), nn.ReLU()), nn.BatchNorm3d(3))
    expected = (
        r"(?s)cannot be propagated.*- 3 \(Tanh\)\n  - 4\.0 \(ELU\)\n  - 4\.1 \(InstanceNorm3d\)\n"
        r"  - 5 \(BatchNorm3d: needs running.*Supported are chains of convolutions"
    )
    with pytest.raises(InputError, match=expected):
        run(model, CUBES, ONE_HOT)


def test_batchnorm_without_statistics_is_refused():
    model = sequential()
    model.insert(1, nn.BatchNorm3d(3, track_running_stats=False))
    with pytest.raises(InputError, match=r"1 \(BatchNorm3d: needs running statistics"):
        run(model, CUBES, ONE_HOT)


def test_batchnorm_after_a_linear_layer_is_folded():
    model = sequential()
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([0.3, -0.2]))
    norm.running_var.copy_(torch.tensor([2.0, 0.5]))
    model.append(norm)
    result = run(model, CUBES, ONE_HOT)
    np.testing.assert_allclose(result.score_before, (model.eval()(CUBES) * ONE_HOT).sum(dim=1).detach(), rtol=1e-4)
    with torch.no_grad():
        scale = 1 / (norm.running_var + norm.eps).sqrt()
        model[5].weight.mul_(scale[:, None])
        model[5].bias.copy_((model[5].bias - norm.running_mean) * scale)
    close(result.maps, run(model[:-1], CUBES, ONE_HOT).maps)


class Standardised(nn.Conv3d):
    """A convolution whose weights have mean 0 and standard deviation 1 when they are used."""

    def standardised(self):
        weight = self.weight - self.weight.mean(dim=(1, 2, 3, 4), keepdim=True)
        return weight / weight.std(dim=(1, 2, 3, 4), keepdim=True)

    def forward(self, x):
        return self._conv_forward(x, self.standardised(), self.bias)


class StandardisedInside(Standardised):
    forward = nn.Conv3d.forward

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, self.standardised(), bias)


@pytest.mark.parametrize(("layer", "step"), [(Standardised, "forward"), (StandardisedInside, "_conv_forward")])
def test_layers_that_use_their_weights_in_a_way_of_their_own_are_refused(layer, step):
    model = sequential()
    model[0] = layer(1, 3, 3)
    with pytest.raises(InputError, match=rf"- 0 \({layer.__name__}: a Conv3d whose {step} is its own\)"):
        run(model, CUBES, ONE_HOT)


def test_a_forward_put_on_a_module_is_refused():
    model = sequential()
    model[-1].forward = lambda x: nn.functional.linear(x, model[-1].weight ** 2)
    with pytest.raises(InputError, match=r"- 5 \(Linear: a Linear whose forward is its own\)"):
        lrp(model.eval(), CUBES, ONE_HOT, LrpSettings(), Context(["a", "b", "c"]))


def test_hooks_that_change_a_layer_s_output_are_noticed():
    model = sequential().eval()
    model[-1].register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(InputError, match="the chain of layers found in the network"):
        lrp(model, CUBES, ONE_HOT, LrpSettings(), Context(["a", "b", "c"]))


def test_subclasses_that_add_nothing_are_supported():
    class Named(nn.Linear):
        """A layer by another name."""

    model = sequential()
    expected = run(model, CUBES, ONE_HOT).maps
    other = Named(81, 2)
    other.load_state_dict(model[5].state_dict())
    model[5] = other
    assert torch.equal(run(model, CUBES, ONE_HOT).maps, expected)


def test_parametrized_weights_count_as_they_are_used():
    """Also where BatchNorm is folded into them; the network itself stays parametrized."""
    model = sequential()
    model.insert(1, nn.BatchNorm3d(3))
    model[1].running_mean.fill_(0.2)
    expected = run(model, CUBES, ONE_HOT).maps
    for layer in (model[0], model[-1]):
        weight_norm(layer)
        layer.parametrizations.weight.original0.data *= 1.5  # the norm of each filter
    model.eval().requires_grad_(False)
    before = model(CUBES)
    maps = lrp(model, CUBES, ONE_HOT, LrpSettings(), Context(["a", "b", "c"])).maps
    assert torch.equal(model(CUBES), before)
    plain = sequential()
    plain.insert(1, model[1])
    for layer, source in ((plain[0], model[0]), (plain[-1], model[-1])):
        layer.load_state_dict({"weight": source.weight, "bias": source.bias})
    close(maps, run(plain, CUBES, ONE_HOT).maps)
    assert (maps - expected).abs().max() > 0.01 * expected.abs().max()


def test_layers_that_are_not_given_one_tensor_are_named():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(512, 2)

        def forward(self, x):
            return self.linear(input=x.flatten(1))

    with pytest.raises(InputError, match=r"linear \(Linear: takes or gives something else than one tensor\)"):
        run(Keyword(), CUBES, ONE_HOT)


def test_batchnorm_without_gamma_and_beta_is_folded():
    model = sequential()
    norm = nn.BatchNorm1d(2, affine=False)
    norm.running_mean.copy_(torch.tensor([0.3, -0.2]))
    norm.running_var.copy_(torch.tensor([2.0, 0.5]))
    with_ones = nn.BatchNorm1d(2)
    with_ones.load_state_dict({**norm.state_dict(), "weight": torch.ones(2), "bias": torch.zeros(2)})
    found, expected = (run(nn.Sequential(model, last), CUBES, ONE_HOT).maps for last in (norm, with_ones))
    close(found, expected)
    assert (expected - run(model, CUBES, ONE_HOT).maps).abs().max() > 0.01 * expected.abs().max()


def test_batchnorm_over_flattened_channels_is_refused():
    model = nn.Sequential(nn.Conv3d(1, 3, 3), nn.Flatten(), nn.BatchNorm1d(648), nn.Linear(648, 2))
    expected = r"- 2 \(BatchNorm1d: its 648 features are not the 3 output channels of 0\)"
    with pytest.raises(InputError, match=expected):
        run(model, CUBES, ONE_HOT)
