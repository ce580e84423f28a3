"""A person's map does not depend on the device beyond rounding."""

import pytest
import torch

from voxplain.attribution.registry import explain
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("method", ["gradcam", "hirescam", "guided_backprop"])
def test_a_gpu_gives_the_map_of_the_cpu(method, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    model = VoxelCNN(shape=(24, 26, 24), channels=4).eval()
    images = torch.randn(3, 1, 24, 26, 24)
    contrast = torch.tensor([[-1.0, 1.0]]).repeat(3, 1)
    cpu = explain(method, model, images, contrast)
    gpu = explain(method, model.cuda(), images, contrast)
    # A maximum that rounding moves to the neighbouring voxel changes single voxels, not the map.
    assert (cpu - gpu).norm() <= 1e-2 * cpu.norm()
