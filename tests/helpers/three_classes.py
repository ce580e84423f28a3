"""A network with three outputs, and an image of each class, for comparisons with other software."""

import numpy as np
import torch

from voxplain.models.voxel_cnn import VoxelCNN

IMAGES = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 1, 22, 24, 22)).astype(np.float32))
CLASSES = torch.tensor([2, 0, 1])
TARGETS = torch.eye(3)[CLASSES]


def small_network():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = VoxelCNN(shape=(22, 24, 22), channels=4, blocks=2, outputs=3)
    model.train()(torch.randn(8, 1, 22, 24, 22))  # BatchNorm statistics
    return model.eval()


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())
