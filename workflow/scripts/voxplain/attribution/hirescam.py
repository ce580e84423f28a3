"""HiResCAM: activations times gradients voxel by voxel, then summed over channels.

Draelos and Carin 2020 (arXiv 2011.08891). Where the head is dense, as in `VoxelCNN`, a channel has no one weight:
averaging its gradient over space, as Grad-CAM does, destroys what the head knows about places.
"""

from torch import Tensor, nn

from voxplain.attribution.activations import activations_and_gradient, find_layer
from voxplain.attribution.gradcam import CamSettings, finish
from voxplain.attribution.method import Attribution, Context


def hirescam(
    network: nn.Module, images: Tensor, targets: Tensor, settings: CamSettings, context: Context
) -> Attribution:
    """Return HiResCAM maps of one batch; arguments as in `voxplain.attribution.method.Method`."""
    layer = context.prepared or find_layer(network, images[:1], settings.layer)
    activations, gradient, score = activations_and_gradient(network, layer, images, targets)
    return finish((gradient * activations).sum(dim=1), score, layer, images, settings)
