"""Every rule against its formula, written out over a dense matrix, with inputs and weights of both signs."""

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.lrp_chain import ChainLayer
from voxplain.attribution.lrp_rules import alpha_beta_rule, box_rule, epsilon_rule, gamma_rule, winner_rule

LAYERS = {
    "linear": (lambda bias: nn.Linear(12, 5, bias=bias), (12,)),
    "conv": (lambda bias: nn.Conv3d(2, 3, 2, bias=bias), (2, 3, 3, 3)),
    "padded": (lambda bias: nn.Conv3d(1, 2, 3, stride=2, padding=1, bias=bias), (1, 5, 4, 5)),
    "same": (lambda bias: nn.Conv3d(1, 2, 3, padding="same", dilation=2, bias=bias), (1, 5, 4, 5)),
    "grouped": (lambda bias: nn.Conv3d(4, 4, 2, groups=2, bias=bias), (4, 3, 2, 3)),
    "flat": (lambda bias: nn.Conv2d(2, 3, 2, bias=bias), (2, 4, 3)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def positive(values):
    return np.maximum(values, 0)


def negative(values):
    return np.minimum(values, 0)


class Case:
    """A layer with signed input and relevance, and its dense weights [inputs, outputs] and biases [outputs]."""

    def __init__(self, name, bias=True):
        make, shape = LAYERS[name]
        torch.manual_seed(3)
        module = make(bias).requires_grad_(False)
        self.layer = ChainLayer(name, module, shape)
        self.x = torch.randn(2, *shape)
        out = module(self.x)
        self.relevance = torch.randn_like(out)
        zero = torch.zeros(1, *shape)
        self.bias = module(zero).flatten().double().numpy()
        ones = torch.eye(int(np.prod(shape))).reshape(-1, *shape)
        self.weights = (module(ones) - module(zero)).flatten(1).double().numpy()

    def dense(self, share):
        """Σ_k share_jk / (Σ_j share_jk + its bias) R_k, with ``share(x, w, b)`` giving both."""
        rows = []
        for x, r in zip(self.x.flatten(1).double().numpy(), self.relevance.flatten(1).double().numpy(), strict=True):
            parts, whole = share(x[:, None], self.weights, self.bias)
            ratio = np.divide(r, whole, out=np.zeros_like(r), where=whole != 0)
            rows.append(parts @ ratio)
        return np.array(rows)


def close(found, expected):
    found = found.flatten(1).double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@every_layer
def test_epsilon(name):
    case = Case(name)

    def share(x, w, b):
        z = (x * w).sum(axis=0) + b
        return x * w, z + 0.3 * np.sign(z)

    close(epsilon_rule(case.layer, case.x, case.relevance, 0.3), case.dense(share))


def test_epsilon_as_share_of_the_outputs():
    case = Case("conv")

    def share(x, w, b):
        z = (x * w).sum(axis=0) + b
        return x * w, z + 0.1 * np.sqrt((z**2).mean()) * np.sign(z)

    close(epsilon_rule(case.layer, case.x, case.relevance, 9.0, 0.1), case.dense(share))


@every_layer
@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (2, 1)])
def test_alpha_beta_with_both_sign_products(name, alpha, beta):
    case = Case(name)

    def one(sign):
        def share(x, w, b):
            return sign(x * w), sign(x * w).sum(axis=0) + sign(b)

        return share

    expected = alpha * case.dense(one(positive)) - beta * case.dense(one(negative))
    close(alpha_beta_rule(case.layer, case.x, case.relevance, alpha, beta), expected)


@every_layer
def test_gamma(name):
    case = Case(name)

    def share(x, w, b):
        products = x * w
        up = (products.sum(axis=0) + b) >= 0
        parts = products + 0.25 * np.where(up, positive(products), negative(products))
        return parts, parts.sum(axis=0) + b + 0.25 * np.where(up, positive(b), negative(b))

    close(gamma_rule(case.layer, case.x, case.relevance, 0.25), case.dense(share))


def test_gamma_of_non_negative_inputs_is_the_usual_formula():
    case = Case("conv")
    case.x = case.x.abs()
    case.relevance = case.relevance * (case.layer(case.x) > 0)  # as a ReLU behind it leaves it

    def share(x, w, b):
        parts = x * (w + 0.25 * positive(w))
        return parts, parts.sum(axis=0) + b + 0.25 * positive(b)

    close(gamma_rule(case.layer, case.x, case.relevance, 0.25), case.dense(share))


@pytest.mark.parametrize("name", ["linear", "conv", "grouped", "flat"])
def test_box(name):
    case = Case(name)
    low, high = -3.5, 4.0
    assert case.x.min() > low
    assert case.x.max() < high
    bounds = [torch.full((2, *[1] * (case.x.ndim - 1)), value) for value in (low, high)]

    def share(x, w, b):
        parts = x * w - low * positive(w) - high * negative(w)
        return parts, parts.sum(axis=0)

    found = box_rule(case.layer, case.x, case.relevance, *bounds)
    close(found, case.dense(share))
    total = found.flatten(1).sum(dim=1)
    torch.testing.assert_close(total, case.relevance.flatten(1).sum(dim=1), rtol=1e-4, atol=1e-4)


def test_inputs_that_padding_repeats_get_every_share():
    """A convolution of kernel 3 with ones over a row that replicates 2 voxels to 4: z = (2a + b, a + 2b)."""
    module = nn.Conv3d(1, 1, (3, 1, 1), padding=(1, 0, 0), padding_mode="replicate", bias=False).requires_grad_(False)
    nn.init.ones_(module.weight)
    x, r = torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1, 1), torch.tensor([10.0, 7.0]).reshape(1, 1, 2, 1, 1)
    found = alpha_beta_rule(ChainLayer("conv", module, (1, 2, 1, 1)), x, r, 1, 0)
    np.testing.assert_allclose(found.flatten(), [10 * 2 / 5 + 7 * 1 / 7, 10 * 3 / 5 + 7 * 6 / 7], rtol=1e-6)


@pytest.mark.parametrize("rule", ["alpha_beta", "gamma", "epsilon"])
def test_conservation_without_biases(rule):
    case = Case("conv", bias=False)
    found = {
        "alpha_beta": lambda: alpha_beta_rule(case.layer, case.x, case.relevance, 2, 1),
        "gamma": lambda: gamma_rule(case.layer, case.x, case.relevance, 0.25),
        "epsilon": lambda: epsilon_rule(case.layer, case.x, case.relevance, 1e-9),
    }[rule]()
    total = found.flatten(1).sum(dim=1)
    torch.testing.assert_close(total, case.relevance.flatten(1).sum(dim=1), rtol=1e-3, atol=1e-3)


def test_biases_take_their_share():
    """z = 3·1 + 1: a quarter of the relevance is the bias's."""
    module = nn.Linear(1, 1).requires_grad_(False)
    module.weight.fill_(3)
    module.bias.fill_(1)
    layer, x, r = ChainLayer("linear", module, (1,)), torch.ones(1, 1), torch.full((1, 1), 8.0)
    assert epsilon_rule(layer, x, r, 1e-9).item() == pytest.approx(6)
    assert alpha_beta_rule(layer, x, r, 1, 0).item() == pytest.approx(6)


def test_the_winner_takes_all():
    layer = ChainLayer("pool", nn.MaxPool3d(2), (1, 2, 2, 4))
    x = torch.tensor([1.0, 2, 5, 5, 0, -1, 3, 4, 1, 1, 1, 1, 0, 7, 0, 0]).reshape(1, 1, 2, 2, 4)
    found = winner_rule(layer, x, torch.tensor([10.0, -2.0]).reshape(1, 2))  # flattened, as a dense layer leaves it
    expected = torch.zeros(16)
    expected[13], expected[2] = 10, -2
    assert torch.equal(found.flatten(), expected)


def test_averages_share_by_value():
    layer = ChainLayer("pool", nn.AvgPool3d(2), (1, 2, 2, 2))
    x = torch.tensor([1.0, 3, 0, 0, 0, 0, 4, 0]).reshape(1, 1, 2, 2, 2)
    found = epsilon_rule(layer, x, torch.full((1, 1, 1, 1, 1), 16.0), 1e-9)
    np.testing.assert_allclose(found.flatten(), [2, 6, 0, 0, 0, 0, 8, 0], rtol=1e-6)


def test_units_without_contributions_pass_nothing_on():
    module = nn.Linear(3, 2).requires_grad_(False)
    module.weight.zero_()
    module.bias.zero_()
    layer, x, r = ChainLayer("linear", module, (3,)), torch.ones(1, 3), torch.ones(1, 2)
    for found in (epsilon_rule(layer, x, r, 1e-6, 0.1), alpha_beta_rule(layer, x, r, 2, 1), gamma_rule(layer, x, r, 1)):
        assert torch.equal(found, torch.zeros(1, 3))
