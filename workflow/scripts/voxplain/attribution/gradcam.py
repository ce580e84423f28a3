"""Grad-CAM: a layer's channels, each weighted by the mean gradient of the explained score.

Selvaraju et al. 2017 (arXiv 1610.02391); eqs. 6 and 7 of Kan et al. 2020 (arXiv 2006.15969):
α_k = 1/Z Σ_v ∂y/∂A_kv and L = ReLU(Σ_k α_k A_k).
"""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from voxplain.attribution.activations import PLACEMENTS, Layer, activations_and_gradient, find_layer, to_input_grid
from voxplain.attribution.method import Attribution, Context
from voxplain.base.errors import InputError
from voxplain.models.folding import frozen_copy
from voxplain.models.quickening import quickened


@dataclass(frozen=True)
class CamSettings:
    """Settings of Grad-CAM and HiResCAM.

    Attributes
    ----------
    layer : str or int
        ``last`` (output of the last convolution block's nonlinearity, before pooling), the number of a block counted
        from 1, or a module's dotted name.
    rectify : bool
        Cut negative values before upsampling (the papers' ReLU). By default maps stay signed.
    placement : {'receptive_field', 'stretch'}
        How the layer's grid is laid over the input; ``stretch`` is the papers' way. See
        `voxplain.attribution.activations.to_input_grid`.
    """

    layer: str | int = "last"
    rectify: bool = False
    placement: str = "receptive_field"

    def __post_init__(self):
        if self.placement not in PLACEMENTS:
            raise InputError(f"placement: {self.placement!r} is not one of {', '.join(PLACEMENTS)}")


def prepare_cam(model: nn.Module, image: Tensor, settings: CamSettings) -> tuple[nn.Module, Layer]:
    """Return the network made quicker but for the layer that is explained, and that layer."""
    layer = find_layer(frozen_copy(model), image, settings.layer)
    quick = quickened(model, image, keep=[layer.step.name])
    return quick, replace(layer, step=replace(layer.step, module=quick.get_submodule(layer.step.name)))


def gradcam(
    network: nn.Module, images: Tensor, targets: Tensor, settings: CamSettings, context: Context
) -> Attribution:
    """Return Grad-CAM maps of one batch; arguments as in `voxplain.attribution.method.Method`."""
    layer = context.prepared or find_layer(network, images[:1], settings.layer)
    activations, gradient, score = activations_and_gradient(network, layer, images, targets)
    weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
    return finish((weights * activations).sum(dim=1), score, layer, images, settings)


def finish(maps: Tensor, score: Tensor, layer: Layer, images: Tensor, settings: CamSettings) -> Attribution:
    """Rectify if asked, then bring maps [n, d, h, w] of a layer to the grid of the images."""
    if settings.rectify:
        maps = maps.clamp(min=0)
    maps = to_input_grid(maps, layer, tuple(images.shape[2:]), settings.placement)
    return Attribution(maps, score.cpu().numpy())
