import pytest
import torch
from torch import nn
from torch.nn import functional

from voxplain.base.errors import InputError
from voxplain.models.voxel_cnn import VoxelCNN, voxels_after


def test_defaults_are_the_network_of_the_paper():
    model = VoxelCNN()
    assert sum(parameter.numel() for parameter in model.parameters()) == 322_818
    assert [type(module) for module in model.features[0]] == [nn.Conv3d, nn.BatchNorm3d, nn.ReLU, nn.MaxPool3d]
    assert [block.conv.out_channels for block in model.features] == [32, 64, 128]
    assert all(block.conv.bias is not None for block in model.features)
    assert model.head.dropout.p == 0.5
    assert model.head.linear.in_features == 128 * 5 * 7 * 5


def test_shapes_inside_are_those_of_the_paper():
    model = VoxelCNN(channels=1).eval()
    shapes = {}
    model.features[-1].relu.register_forward_hook(lambda m, i, o: shapes.update(relu=tuple(o.shape)))
    model.features[-1].pool.register_forward_hook(lambda m, i, o: shapes.update(pool=tuple(o.shape)))
    with torch.no_grad():
        assert model(torch.zeros(2, 1, 58, 70, 58)).shape == (2, 2)
    assert shapes == {"relu": (2, 4, 11, 14, 11), "pool": (2, 4, 5, 7, 5)}


def test_output_equals_the_layers_written_out():
    torch.manual_seed(0)
    model = VoxelCNN(shape=(12, 14, 10), channels=2, blocks=2, outputs=3)
    images = torch.randn(4, 1, 12, 14, 10)
    model(images)  # moves the running statistics away from 0 and 1
    model.eval()
    x = images
    for block in model.features:
        norm = block.norm
        x = functional.conv3d(x, block.conv.weight, block.conv.bias)
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).view(1, -1, 1, 1, 1)
        x = (x - norm.running_mean.view(1, -1, 1, 1, 1)) * scale + norm.bias.view(1, -1, 1, 1, 1)
        x = functional.max_pool3d(x.clamp(min=0), 2)
    expected = x.reshape(4, -1) @ model.head.linear.weight.T + model.head.linear.bias
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_training_mode_equals_the_modules_in_their_order(precision):
    """To the last bit, with windows of negative values alone and with ties, in 16 bits as well."""
    images = torch.randn(4, 1, 22, 24, 22).mul(2).round()
    found = []
    for plain in (False, True):
        torch.manual_seed(0)
        model = VoxelCNN(shape=(22, 24, 22), channels=3).train()
        with torch.no_grad():
            for block in model.features:
                block.norm.bias -= 1.0  # most of what the ReLU sees is negative
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            outputs = model.head(model.features(images)) if plain else model(images)
        outputs.float().square().sum().backward()
        assert (model.features[0](images) == 0).any()
        found.append([outputs, *(parameter.grad for parameter in model.parameters()), *model.buffers()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_every_module_is_separate_and_no_relu_works_in_place():
    model = VoxelCNN(channels=2)
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    assert len(set(map(id, relus))) == 3
    assert not any(relu.inplace for relu in relus)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_smallest_shape(blocks):
    smallest = 3 * 2**blocks - 2
    assert VoxelCNN(shape=(smallest,) * 3, channels=1, blocks=blocks)(
        torch.randn(2, 1, smallest, smallest, smallest)
    ).shape == (2, 2)
    with pytest.raises(InputError, match=f"at least {smallest} voxels"):
        VoxelCNN(shape=(smallest, smallest, smallest - 1), channels=1, blocks=blocks)


def test_one_message_names_every_impossible_value():
    with pytest.raises(InputError) as caught:
        VoxelCNN(shape=(58, 70), channels=0, blocks=2.5, dropout=1.0)
    for word in ("shape (58, 70)", "channels 0", "blocks 2.5", "dropout 1.0"):
        assert word in str(caught.value)


def test_voxels_after_one_block():
    assert voxels_after((58, 70, 58), 1) == (28, 34, 28)
