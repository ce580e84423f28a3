"""Grad-CAM and guided backpropagation against captum."""

import pytest

from three_classes import CLASSES, IMAGES, TARGETS, close, small_network
from voxplain.attribution.registry import explain

captum = pytest.importorskip("captum.attr")


@pytest.fixture
def model():
    return small_network()


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
