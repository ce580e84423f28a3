import numpy as np
import pytest
import torch
from torch import nn

from voxplain.models.voxel_cnn import VoxelCNN


@pytest.fixture
def small_cnn():
    """A small VoxelCNN in training mode with BatchNorm statistics that are not trivial."""
    torch.manual_seed(0)
    model = VoxelCNN(shape=(22, 24, 22), channels=3, blocks=2, outputs=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(5, 1, 22, 24, 22)).astype(np.float32))


@pytest.fixture
def mixed_targets():
    """Class 0, class 1, contrast, class 1, class 0."""
    return torch.tensor([[1.0, 0], [0, 1], [-1, 1], [0, 1], [1, 0]])
