"""Chains of layers, and layer-wise relevance propagation through them."""

import numpy as np
import torch
from torch import nn

from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.method import Context
from voxplain.models.folding import fold_batchnorm

CUBES = torch.from_numpy(np.random.default_rng(4).normal(size=(3, 1, 8, 8, 8)).astype(np.float32))
ONE_HOT = torch.eye(2)[[0, 1, 0]]


def run(model, images, targets):
    network = fold_batchnorm(model, images[:1])
    result = lrp(network, images, targets, LrpSettings(), Context(["a", "b", "c"]))
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in network.modules())
    return result


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.abs().max().item())


def sequential(*middle):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv3d(1, 3, 3), nn.ReLU(), nn.MaxPool3d(2), *middle, nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 27, 2)
    )
