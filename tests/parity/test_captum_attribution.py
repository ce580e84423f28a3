"""Grad-CAM and guided backpropagation against captum."""

import numpy as np
import pytest
import torch

from voxplain.attribution.registry import explain
from voxplain.models.voxel_cnn import VoxelCNN

captum = pytest.importorskip("captum.attr")


@pytest.fixture
def model():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = VoxelCNN(shape=(22, 24, 22), channels=4, blocks=2, outputs=3)
    model.train()(torch.randn(8, 1, 22, 24, 22))  # BatchNorm statistics
    return model.eval()


IMAGES = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 1, 22, 24, 22)).astype(np.float32))
CLASSES = torch.tensor([2, 0, 1])
TARGETS = torch.eye(3)[CLASSES]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.parametrize("rectify", [False, True])
def test_gradcam(model, rectify):
    cam = captum.LayerGradCam(model, model.features[1].relu)
    coarse = cam.attribute(IMAGES, target=CLASSES, relu_attributions=rectify)
    theirs = captum.LayerAttribution.interpolate(coarse, (22, 24, 22), interpolate_mode="trilinear")[:, 0]
    close(explain("gradcam", model, IMAGES, TARGETS, placement="stretch", rectify=rectify), theirs.detach())


def test_hirescam_at_the_layer(model):
    """captum's layer gradient times activation, summed over channels."""
    coarse = captum.LayerGradientXActivation(model, model.features[1].relu).attribute(IMAGES, target=CLASSES)
    coarse = coarse.sum(dim=1, keepdim=True)
    theirs = captum.LayerAttribution.interpolate(coarse, (22, 24, 22), interpolate_mode="trilinear")[:, 0]
    close(explain("hirescam", model, IMAGES, TARGETS, placement="stretch"), theirs.detach())


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum announces its hooks
def test_guided_backprop(model):
    theirs = captum.GuidedBackprop(model).attribute(IMAGES.clone(), target=CLASSES)[:, 0]
    close(explain("guided_backprop", model, IMAGES, TARGETS), theirs)
