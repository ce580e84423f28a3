"""Layer-wise relevance propagation: the network's answer, shared out layer by layer down to the voxels.

Bach et al. 2015 (doi 10.1371/journal.pone.0130140), used for preterm birth by Grigorescu et al. 2019
(arXiv 1910.00071), whose rules are not known; the composites are those of Montavon et al. 2019
(doi 10.1007/978-3-030-28954-6_10) and Kohlbrenner et al. 2020 (arXiv 1910.09840). BatchNorm is folded into the layer
before it. ReLU, dropout and flatten pass relevance on as it is, max-pooling gives it to the winner.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.lrp_chain import CONVOLUTIONS, MAXIMA, WEIGHTED, ChainLayer, chain_of, run_chain
from voxplain.attribution.lrp_rules import alpha_beta_rule, box_rule, epsilon_rule, gamma_rule, winner_rule
from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.base.errors import InputError, refuse

COMPOSITES = ("epsilon_plus", "epsilon_gamma_box", "epsilon", "alpha2_beta1")
STARTS = ("logit", "probability", "output")


@dataclass(frozen=True)
class LrpSettings:
    """Settings of layer-wise relevance propagation.

    Attributes
    ----------
    composite : {'epsilon_plus', 'epsilon_gamma_box', 'epsilon', 'alpha2_beta1'}
        Rules of the convolutions: z⁺ (α1β0); γ, with zB for the one that sees the image; ε; or α2β1. Linear layers and
        average-pooling have the ε rule in all of them.
    epsilon : float
        ε of the ε rule, in units of a layer's outputs.
    epsilon_std : float or None
        ε as a share of the root mean square of a layer's outputs (0.1 in the tutorial of Montavon et al. 2019), for
        every image by itself; None: `epsilon`.
    gamma : float
        γ of the γ rule.
    start : {'logit', 'probability', 'output'}
        Where relevance comes from. Output i starts with its weight in the target times its logit (for regression: the
        output itself, which both ``logit`` and ``output`` mean) or its probability. A probability shared out among
        contributions that add up to a logit near 0 gives large maps, and to a negative one maps of the other sign.
        The output of a regression is in standard deviations of the training targets around their mean: a map shares
        out how far a person is from the average. For average people that is nearly 0, the map is what is left of
        contributions that cancel out, and ``conservation`` is divided by nearly 0.
    low, high : float or None
        Bounds of the zB rule, in units of the images; None: an image's own smallest and largest value.
    """

    composite: str = "epsilon_plus"
    epsilon: float = 1e-6
    epsilon_std: float | None = None
    gamma: float = 0.25
    start: str = "logit"
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        problems = [
            f"{name}: {getattr(self, name)!r} is not one of {', '.join(words)}"
            for name, words in (("composite", COMPOSITES), ("start", STARTS))
            if getattr(self, name) not in words
        ]
        problems += [
            f"{name}: {getattr(self, name)!r} must be a number above 0"
            for name in ("epsilon", "epsilon_std")
            if getattr(self, name) is not None and not 0 < getattr(self, name) < np.inf
        ]
        if not 0 <= self.gamma < np.inf:
            problems.append(f"gamma: {self.gamma!r} must be a number of at least 0")
        if self.low is not None and self.high is not None and not self.low < self.high:
            problems.append(f"low: {self.low!r} must be less than high: {self.high!r}")
        if problems:
            refuse("settings of lrp that cannot work", problems)


def lrp(network: nn.Module, images: Tensor, targets: Tensor, settings: LrpSettings, context: Context) -> Attribution:
    """Return relevance of one batch; arguments as in `voxplain.attribution.method.Method`.

    Returns
    -------
    Attribution
        ``conservation`` is the sum of a map divided by what was explained, NaN where that is 0. It is 1 where no bias
        and no ε took relevance; that says that nothing got lost, and nothing about whether a map is right.

    Raises
    ------
    InputError
        For networks that are no chain of supported layers (see `voxplain.attribution.lrp_chain.chain_of`), whose
        output does not have the targets' shape, for a probability of a single output, and for images beyond `low` and
        `high`.
    """
    with torch.no_grad():
        chain, inputs, outputs = chain_of(network, images)
        weighted_score(outputs, targets)  # refuses outputs of other shapes before the chain is compared with them
        if inputs is None:
            inputs, outputs = run_chain(chain, images, outputs)
        started = _started(outputs, settings)
        score = weighted_score(started, targets)
        relevance = targets * started
        first = next(layer for layer in chain if isinstance(layer.module, WEIGHTED))
        for layer in reversed(chain):
            relevance = _propagated(layer, inputs.pop(), relevance, settings, context, layer is first)
        maps = relevance.reshape(images.shape)[:, 0]
    total = maps.flatten(1).sum(dim=1, dtype=torch.float64).cpu().numpy()
    score = score.cpu().numpy()
    conservation = np.divide(total, score, out=np.full(len(total), np.nan), where=score != 0)
    return Attribution(maps, score, conservation=conservation)


def _started(outputs: Tensor, settings: LrpSettings) -> Tensor:
    if settings.start != "probability":
        return outputs
    if outputs.shape[1] == 1:
        raise InputError("lrp: start: probability needs classes; a network with one output has start: output")
    return outputs.softmax(dim=1)


def _propagated(
    layer: ChainLayer, x: Tensor, relevance: Tensor, settings: LrpSettings, context: Context, first: bool
) -> Tensor:
    """Return relevance of a layer's inputs by the rule that the composite has for it."""
    if isinstance(layer.module, nn.ReLU):
        return relevance.reshape(x.shape)
    if isinstance(layer.module, MAXIMA):
        return winner_rule(layer, x, relevance)
    if not isinstance(layer.module, CONVOLUTIONS) or settings.composite == "epsilon":
        return epsilon_rule(layer, x, relevance, settings.epsilon, settings.epsilon_std)
    if settings.composite == "epsilon_plus":
        return alpha_beta_rule(layer, x, relevance, alpha=1, beta=0)
    if settings.composite == "alpha2_beta1":
        return alpha_beta_rule(layer, x, relevance, alpha=2, beta=1)
    if first:
        return box_rule(layer, x, relevance, *_bounds(x, settings, context))
    return gamma_rule(layer, x, relevance, settings.gamma)


def _bounds(x: Tensor, settings: LrpSettings, context: Context) -> tuple[Tensor, Tensor]:
    """Return the box of each image, [n, 1, ...]."""
    least, most = (extreme(x, dim=tuple(range(1, x.ndim)), keepdim=True) for extreme in (torch.amin, torch.amax))
    low = least if settings.low is None else torch.full_like(least, settings.low)
    high = most if settings.high is None else torch.full_like(most, settings.high)
    ends = zip(context.participant_ids, least.flatten().tolist(), most.flatten().tolist(), strict=True)
    beyond = ((least < low) | (most > high)).flatten().tolist()
    strangers = [f"{person}: {a:.4g} ... {b:.4g}" for (person, a, b), bad in zip(ends, beyond, strict=True) if bad]
    if strangers:
        refuse(
            f"lrp: images with values beyond low: {settings.low} and high: {settings.high} of the zB rule",
            strangers,
            "Widen the bounds, or leave them out (null): then each image has its own.",
        )
    return low, high
