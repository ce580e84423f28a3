"""Rules of layer-wise relevance propagation: how a layer shares out the relevance of its outputs among its inputs.

With inputs x_j, weights w_jk, biases b_k and outputs z_k = Σ_j x_j w_jk + b_k every rule has the form
R_j = Σ_k c_jk / Σ_j' c_j'k · R_k with other contributions c (Bach et al. 2015, doi 10.1371/journal.pone.0130140;
Montavon et al. 2019, doi 10.1007/978-3-030-28954-6_10). Where a bias is among the contributions it takes its share of
relevance, which reaches no input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxplain.attribution.lrp_chain import AVERAGES, ChainLayer
from voxplain.models.quickening import geometry, input_gradient

# Keeps a denominator from 0; as in captum. Far below any sum of contributions that matters.
STABILISER = 1e-9

Term = tuple[Tensor, Tensor | None, Tensor | None]  # part of the input, weights, bias; None: no bias, averages


def epsilon_rule(
    layer: ChainLayer, x: Tensor, relevance: Tensor, epsilon: float, epsilon_std: float | None = None
) -> Tensor:
    """Return R_j = Σ_k x_j w_jk / (z_k + ε sign z_k) R_k; ε takes relevance away.

    Parameters
    ----------
    layer : ChainLayer
        A convolution, a linear layer or an average.
    x : Tensor [n, ...]
        The layer's input.
    relevance : Tensor [n, ...]
        Of the layer's outputs; of their shape or flattened.
    epsilon : float
        In units of the layer's outputs.
    epsilon_std : float, optional
        Instead: a share of the root mean square of an image's outputs of this layer.

    Returns
    -------
    Tensor
        Like `x`.
    """
    return _shared([(x, *_parameters(layer))], layer, relevance, epsilon, epsilon_std)


def alpha_beta_rule(layer: ChainLayer, x: Tensor, relevance: Tensor, alpha: float, beta: float) -> Tensor:
    """Return α times the relevance shared by positive contributions less β times that shared by negative ones.

    A contribution x_j w_jk is positive when both factors have one sign, so that inputs may be signed; positive biases
    belong to the former, negative ones to the latter. α=1, β=0 is the z⁺ rule. Where a unit lacks contributions of one
    sign, its term is missing, and with β > 0 relevance is not conserved.
    """
    weight, bias = _parameters(layer)
    positive = _contributions(x, weight.clamp(min=0), weight.clamp(max=0), _clamped(bias, low=0))
    result = _shared_alike(positive, layer, relevance, 1)
    if alpha != 1:
        result = alpha * result
    if beta:
        negative = _contributions(x, weight.clamp(max=0), weight.clamp(min=0), _clamped(bias, high=0))
        result = result - beta * _shared_alike(negative, layer, relevance, -1)
    return result


def gamma_rule(layer: ChainLayer, x: Tensor, relevance: Tensor, gamma: float) -> Tensor:
    """Return relevance shared by contributions of which those with the sign of z_k count 1 + γ times.

    For non-negative inputs and z_k > 0 this is R_j = Σ_k x_j (w_jk + γ w⁺_jk) / Σ_j' x_j' (w_j'k + γ w⁺_j'k) R_k; the
    form for signed inputs and outputs is that of Andéol et al. 2021, "Learning domain invariant representations by
    joint Wasserstein distance minimization".
    """
    weight, bias = _parameters(layer)
    with torch.no_grad():
        positive = _linear(layer, x, weight, bias) >= 0
    raised, lowered = weight + gamma * weight.clamp(min=0), weight + gamma * weight.clamp(max=0)
    result = torch.zeros_like(x)
    for own, first, second, limits in (
        (positive, raised, lowered, {"low": 0}),
        (~positive, lowered, raised, {"high": 0}),
    ):
        part = relevance.reshape(own.shape) * own
        if part.any():
            own_bias = None if bias is None else bias + gamma * _clamped(bias, **limits)
            result = result + _shared(_contributions(x, first, second, own_bias), layer, part)
    return result


def box_rule(layer: ChainLayer, x: Tensor, relevance: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the zB rule for inputs within [low, high]: contributions (x_j - low) w⁺_jk + (x_j - high) w⁻_jk.

    Montavon et al. 2017 (doi 10.1016/j.patcog.2016.11.008). All contributions are positive and no bias is among them:
    relevance is conserved.

    Parameters
    ----------
    low, high : Tensor [n, 1, ...]
        Of each image, in units of the intensity.
    """
    weight, _ = _parameters(layer)
    terms = [(x - low, weight.clamp(min=0), None), (x - high, weight.clamp(max=0), None)]
    return _shared_alike(terms, layer, relevance, 1)


def winner_rule(layer: ChainLayer, x: Tensor, relevance: Tensor) -> Tensor:
    """Return relevance of a max-pooling's outputs at the inputs that they came from (the first one of equal ones)."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        winners = layer(leaf)
        (result,) = torch.autograd.grad(winners, leaf, relevance.reshape(winners.shape))
    return result


def _parameters(layer: ChainLayer) -> tuple[Tensor | None, Tensor | None]:
    if isinstance(layer.module, AVERAGES):
        return None, None
    bias = layer.module.bias
    return layer.module.weight.detach(), None if bias is None else bias.detach()


def _clamped(bias: Tensor | None, low: float | None = None, high: float | None = None) -> Tensor | None:
    return None if bias is None else bias.clamp(low, high)


def _contributions(x: Tensor, above: Tensor, below: Tensor, bias: Tensor | None) -> list[Term]:
    """Return terms in which positive inputs meet the weights `above` and negative ones the weights `below`."""
    if x.amin() >= 0:
        return [(x, above, bias)]
    return [(x.clamp(min=0), above, bias), (x.clamp(max=0), below, None)]


def _linear(layer: ChainLayer, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the layer's output with other parameters."""
    return layer(x) if weight is None else layer.weighted(x, weight, bias)


def _shared_alike(terms: Sequence[Term], layer: ChainLayer, relevance: Tensor, sign: int) -> Tensor:
    """Share out relevance by contributions of one sign, to which the bias can add what keeps their sum from 0.

    It spares passes over the outputs, but needs sums without rounding below 0, which GPUs do not promise.
    """
    part, weight, bias = terms[0]
    if part.device.type != "cpu":
        return _shared(terms, layer, relevance)
    away = sign * STABILISER
    bias = weight.new_full(weight.shape[:1], away) if bias is None else bias + away
    return _shared([(part, weight, bias), *terms[1:]], layer, relevance, None)


def _shared(
    terms: Sequence[Term],
    layer: ChainLayer,
    relevance: Tensor,
    epsilon: float | None = STABILISER,
    epsilon_std: float | None = None,
) -> Tensor:
    """Share out relevance by the contributions of some terms; with ε None their sum is not 0 anyway.

    Σ_k w_jk R_k / Σ c is the gradient of the sum's forward pass, contracted with R / Σ c.
    """
    width = terms[0][0].shape[1]
    terms = _joined(terms, layer)
    own = _own_gradient(layer, terms)
    parts = [part.detach().requires_grad_(not own) for part, _, _ in terms]
    with torch.enable_grad():
        total = sum(_linear(layer, part, *term[1:]) for part, term in zip(parts, terms, strict=True))
    z = total.detach()
    if epsilon_std is not None:
        size = z.square().flatten(1).mean(dim=1).sqrt().reshape(-1, *[1] * (z.ndim - 1))
        epsilon = (epsilon_std * size).clamp(min=STABILISER)
    if epsilon is not None:
        z = z + torch.where(z >= 0, epsilon, -epsilon)
    ratio = relevance.reshape(z.shape) / z
    if own:
        gradients = [input_gradient(ratio, terms[0][1], parts[0].shape, *geometry(layer.module))]
    else:
        gradients = torch.autograd.grad(total, parts, ratio)
    received = sum(part.detach() * gradient for part, gradient in zip(parts, gradients, strict=True))
    return received if received.shape[1] == width else received.unflatten(1, (-1, width)).sum(dim=1)


def _joined(terms: Sequence[Term], layer: ChainLayer) -> Sequence[Term]:
    """Return the terms of a 3D convolution as one with more channels, where that means the same: one pass."""
    if not isinstance(layer.module, nn.Conv3d) or layer.module.groups > 1 or len(terms) == 1:
        return terms
    joined = [
        torch.cat(tensors, dim=1) for tensors in ([part for part, *_ in terms], [weight for _, weight, _ in terms])
    ]
    joined = [tensor.to(memory_format=torch.channels_last_3d) for tensor in joined]
    return [(*joined, terms[0][2])]


def _own_gradient(layer: ChainLayer, terms: Sequence[Term]) -> bool:
    """Whether the gradient of the only term is quicker by `input_gradient`."""
    module, part = layer.module, terms[0][0]
    if not isinstance(module, nn.Conv3d) or len(terms) > 1 or part.shape[1] > 2 or part.device.type != "cpu":
        return False
    return module.groups == 1 and module.padding_mode == "zeros"
