import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from voxplain.models.folding import fold_batchnorm
from voxplain.models.voxel_cnn import VoxelCNN


def trained(model):
    """Give BatchNorm layers statistics and weights that are not the initial ones."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.2)
            if module.affine:
                module.weight.data.copy_(torch.randn(module.num_features, generator=generator))
                module.bias.data.copy_(torch.randn(module.num_features, generator=generator))
    return model.eval()


def norms(model):
    return sum(isinstance(module, nn.BatchNorm3d) for module in model.modules())


def test_known_answer_of_one_channel():
    model = nn.Sequential(nn.Conv3d(1, 1, 1), nn.BatchNorm3d(1, eps=0.0)).eval()
    model[0].weight.data.fill_(2.0)
    model[0].bias.data.fill_(1.0)
    model[1].running_mean.fill_(3.0)
    model[1].running_var.fill_(4.0)
    model[1].weight.data.fill_(5.0)
    model[1].bias.data.fill_(7.0)
    folded = fold_batchnorm(model)
    assert folded[0].weight.item() == pytest.approx(2 * 5 / 2)
    assert folded[0].bias.item() == pytest.approx((1 - 3) * 5 / 2 + 7)


def test_voxel_cnn_computes_the_same_without_batchnorm():
    torch.manual_seed(0)
    model = trained(VoxelCNN(shape=(24, 22, 26), channels=3))
    images = torch.randn(3, 1, 24, 22, 26)
    folded = fold_batchnorm(model)
    assert norms(folded) == 0
    torch.testing.assert_close(folded(images), model(images), rtol=1e-5, atol=1e-5)
    assert [name for name, _ in folded.named_modules()] == [name for name, _ in model.named_modules()]


def test_copy_is_frozen_and_the_original_untouched():
    model = trained(VoxelCNN(shape=(12, 12, 12), channels=2, blocks=1)).train()
    before = copy.deepcopy(model.state_dict())
    folded = fold_batchnorm(model)
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_other_convolutions_and_norms(padding_mode, bias, affine):
    conv = nn.Conv3d(1, 4, 3, stride=2, padding=1, padding_mode=padding_mode, bias=bias)
    model = trained(nn.Sequential(conv, nn.BatchNorm3d(4, affine=affine), nn.ReLU()))
    images = torch.randn(2, 1, 9, 8, 7)
    folded = fold_batchnorm(model, images)
    assert norms(folded) == 0
    torch.testing.assert_close(folded(images), model(images), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_folded_stays():
    shared = nn.Conv3d(2, 2, 3, padding=1)
    model = nn.Sequential(
        nn.Conv3d(1, 2, 3),
        nn.ReLU(),
        nn.BatchNorm3d(2),  # not after a convolution
        nn.Conv3d(2, 2, 3),
        nn.BatchNorm3d(2, track_running_stats=False),  # statistics of the batch
        shared,
        nn.BatchNorm3d(2),
        shared,  # used twice
    ).eval()
    images = torch.randn(2, 1, 8, 8, 8)
    folded = fold_batchnorm(model, images)
    assert norms(folded) == 3
    torch.testing.assert_close(folded(images), model(images))


class Tapping(nn.Module):
    """Uses the convolution's output beside BatchNorm's: folding would change it."""

    shape = (8, 8, 8)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))

    def forward(self, images):
        x = self.layers[0](images)
        return (x * self.layers[1](x)).flatten(1).mean(1, keepdim=True)


def test_a_network_that_folding_would_change_is_returned_unfolded_with_a_warning():
    model = trained(Tapping())
    with pytest.warns(UserWarning, match="used unfolded"):
        folded = fold_batchnorm(model)
    images = torch.randn(2, 1, 8, 8, 8)
    assert torch.equal(folded(images), model(images))
    assert norms(folded) == 1
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_a_weight_that_is_computed_anew_at_every_call_is_not_folded():
    model = nn.Sequential(weight_norm(nn.Conv3d(1, 2, 3)), nn.BatchNorm3d(2), nn.Conv3d(2, 2, 3), nn.BatchNorm3d(2))
    model(torch.randn(4, 1, 8, 8, 8))
    folded = fold_batchnorm(model.eval(), torch.randn(1, 1, 8, 8, 8))
    assert [type(layer) for layer in folded[1::2]] == [nn.BatchNorm3d, nn.Identity]
    image = torch.randn(1, 1, 8, 8, 8)
    torch.testing.assert_close(folded(image), model(image), rtol=1e-4, atol=1e-5)
