"""Layer-wise relevance propagation against captum, whose rules clamp weights only: hence non-negative images."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from three_classes import CLASSES, TARGETS, small_network
from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.method import Context
from voxplain.models.folding import fold_batchnorm

captum = pytest.importorskip("captum.attr")
rules = pytest.importorskip("captum.attr._utils.lrp_rules")

IMAGES = torch.from_numpy(np.random.default_rng(2).uniform(size=(3, 1, 22, 24, 22)).astype(np.float32))


class Flattening(nn.Module):
    """`VoxelCNN` as captum takes it: nn.Flatten has no rule there."""

    def __init__(self, network):
        super().__init__()
        self.features, self.linear = network.features, network.head.linear

    def forward(self, images):
        return self.linear(torch.flatten(self.features(images), 1))


@pytest.fixture
def network():
    return fold_batchnorm(small_network())


def without_biases(network):
    for module in network.modules():
        if getattr(module, "bias", None) is not None:
            module.bias.zero_()
    return network


def captum_maps(network, conv_rule, dense_epsilon=1e-6, **options):
    """captum works on a copy whose folded BatchNorm (Identity) is taken out, with a rule set on every layer."""
    network = Flattening(copy.deepcopy(network))
    for block in network.features:
        del block[1]
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.rule = conv_rule(**options)
        elif isinstance(module, nn.Linear):
            module.rule = rules.EpsilonRule(dense_epsilon)
        elif isinstance(module, nn.MaxPool3d):
            module.rule = rules.EpsilonRule(1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum announces its hooks
        return captum.LRP(network).attribute(IMAGES.clone(), target=CLASSES)[:, 0].detach()


def our_maps(network, **settings):
    return lrp(network, IMAGES, TARGETS, LrpSettings(**settings), Context(["a", "b", "c"])).maps


def close(ours, theirs):
    difference = (ours - theirs).abs().max() / theirs.abs().max()
    assert theirs.abs().max() > 0
    assert difference <= 1e-4, difference


def test_z_plus(network):
    network = without_biases(network)
    theirs = captum_maps(network, rules.Alpha1_Beta0_Rule, set_bias_to_zero=True)
    close(our_maps(network, composite="epsilon_plus", epsilon=1e-6), theirs)


@pytest.mark.parametrize("epsilon", [1e-4, 0.1])
def test_epsilon(network, epsilon):
    network = without_biases(network)
    theirs = captum_maps(network, rules.EpsilonRule, dense_epsilon=epsilon, epsilon=epsilon)
    close(our_maps(network, composite="epsilon", epsilon=epsilon), theirs)


def test_epsilon_with_biases(network):
    """captum's denominators are the layers' outputs: there too biases take their share."""
    theirs = captum_maps(network, rules.EpsilonRule, dense_epsilon=0.01, epsilon=0.01)
    close(our_maps(network, composite="epsilon", epsilon=0.01), theirs)
