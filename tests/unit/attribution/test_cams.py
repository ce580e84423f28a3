import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.activations import find_layer, receptive_field_centres, to_input_grid
from voxplain.attribution.registry import explain
from voxplain.base.errors import InputError
from voxplain.models.voxel_cnn import VoxelCNN


class OneConv(nn.Module):
    """Two 1x1x1 channels (x and -x), ReLU, and a dense head: everything can be computed by hand."""

    def __init__(self, head):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 1, bias=False)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(2 * 8, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1))
            self.linear.weight.copy_(head)

    def forward(self, x):
        return self.linear(self.relu(self.conv(x)).flatten(1))


HEAD = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32))
IMAGE = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, 2, 2, 2)).astype(np.float32))


def by_hand(rectify, spread):
    gradient = (HEAD[1] - HEAD[0]).reshape(2, 2, 2, 2)
    if spread:
        gradient = gradient.mean(dim=(1, 2, 3), keepdim=True)
    activations = torch.cat([IMAGE[0].clamp(min=0), (-IMAGE[0]).clamp(min=0)])
    total = (gradient * activations).sum(dim=0)
    return total.clamp(min=0) if rectify else total


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize(("method", "spread"), [("gradcam", True), ("hirescam", False)])
def test_closed_form(method, spread, rectify):
    found = explain(method, OneConv(HEAD), IMAGE, torch.tensor([[-1.0, 1.0]]), rectify=rectify)
    torch.testing.assert_close(found[0], by_hand(rectify, spread))
    assert rectify == bool((found >= 0).all())


def test_rectified_before_upsampling(small_cnn, images):
    targets = torch.tensor([[-1.0, 1.0]]).repeat(5, 1)
    signed = explain("hirescam", small_cnn, images, targets)
    rectified = explain("hirescam", small_cnn, images, targets, rectify=True)
    assert (rectified >= 0).all()
    # Where negative and positive neighbours mix, cutting first leaves more than cutting last.
    assert (rectified - signed.clamp(min=0)).max() > 0.05 * signed.max()


def test_default_layer_is_the_papers():
    model = VoxelCNN(channels=4).eval()
    layer = find_layer(model, torch.zeros(1, 1, 58, 70, 58), "last")
    assert layer.step.name == "features.2.relu"
    assert layer.step.shape == (1, 16, 11, 14, 11)
    stride, offset = receptive_field_centres(layer, (58, 70, 58))
    assert stride.tolist() == [4, 4, 4]
    assert offset.tolist() == [8.5, 8.5, 8.5]


@pytest.mark.parametrize(("layer", "name"), [(1, "features.0.relu"), ("features.0.norm", "features.0.norm")])
def test_other_layers(small_cnn, images, layer, name):
    assert find_layer(small_cnn.eval(), images[:1], layer).step.name == name
    assert explain("hirescam", small_cnn, images, torch.ones(5, 2), layer=layer).shape == (5, 22, 24, 22)


def test_a_spot_is_put_where_it_is():
    """One bright voxel: the map of a network of centred kernels peaks there; stretching moves it outwards."""
    model = VoxelCNN(shape=(30, 30, 30), channels=1, blocks=2).eval()
    with torch.no_grad():
        for block in model.features:
            nn.init.zeros_(block.conv.weight)
            block.conv.weight[:, :, 1, 1, 1] = 1
            nn.init.zeros_(block.conv.bias)
        nn.init.ones_(model.head.linear.weight)
    grid = np.mgrid[:30, :30, :30]
    peaks = {}
    for placement in ("receptive_field", "stretch"):
        for place in (6, 22):
            image = np.exp(-((grid - place) ** 2).sum(axis=0) / 8).astype(np.float32)[None, None]
            found = explain("hirescam", model, image, torch.tensor([[0.0, 1]]), placement=placement)[0].numpy()
            found = np.clip(found - 0.2 * found.max(), 0, None)  # BatchNorm's epsilon and broad tails aside
            peaks[placement, place] = [(grid[axis] * found).sum() / found.sum() for axis in range(3)]
    np.testing.assert_allclose(peaks["receptive_field", 6], 6, atol=0.8)
    np.testing.assert_allclose(peaks["receptive_field", 22], 22, atol=0.8)
    assert max(peaks["stretch", 6]) < 5
    assert min(peaks["stretch", 22]) > 23


def test_stretch_is_trilinear_upsampling(small_cnn, images):
    layer = find_layer(small_cnn.eval(), images[:1], "last")
    coarse = torch.randn(2, *layer.step.shape[2:])
    expected = nn.functional.interpolate(coarse[:, None], size=(22, 24, 22), mode="trilinear")[:, 0]
    assert torch.equal(to_input_grid(coarse, layer, (22, 24, 22), "stretch"), expected)


class Branched(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv3d(1, 2, 3), nn.Conv3d(2, 2, 3)
        self.relu = nn.ReLU(inplace=True)  # called twice
        self.head = nn.LazyLinear(2)

    def forward(self, x):
        x = nn.functional.max_pool3d(self.relu(self.one(x)), 2)
        return self.head(self.relu(self.two(x)).flatten(1))


def test_shared_inplace_relu_and_functional_pooling():
    model = Branched()
    images = torch.randn(2, 1, 12, 12, 12)
    model(images)
    layer = find_layer(model, images[:1], "last")
    assert (layer.step.name, layer.step.call, layer.step.shape[2:]) == ("relu", 1, (3, 3, 3))
    with pytest.raises(InputError, match=r"lead to a grid of \[8, 8, 8\] at layer 'relu'.*Set placement: stretch"):
        explain("gradcam", model, images, torch.ones(2, 2))
    assert explain("gradcam", model, images, torch.ones(2, 2), placement="stretch").shape == (2, 12, 12, 12)


def test_padding_and_stride_are_followed():
    model = nn.Sequential(
        nn.Conv3d(1, 2, 5, stride=2, padding=2), nn.ReLU(), nn.Conv3d(2, 2, 3, padding="same"), nn.ReLU(),
        nn.AvgPool3d(2), nn.Flatten(), nn.Linear(2 * 64, 2),
    )  # fmt: skip
    layer = find_layer(model, torch.zeros(1, 1, 16, 16, 16), "last")
    stride, offset = receptive_field_centres(layer, (16, 16, 16))
    assert (layer.step.name, stride.tolist(), offset.tolist()) == ("3", [2, 2, 2], [0, 0, 0])


def test_refusals(small_cnn, images):
    with pytest.raises(InputError, match=r"(?s)no module named 'features.9'.*features.0.conv"):
        explain("gradcam", small_cnn, images, torch.ones(5, 2), layer="features.9")
    with pytest.raises(InputError, match="layer: 3 does not exist; the network runs 2 Conv3d"):
        explain("gradcam", small_cnn, images, torch.ones(5, 2), layer=3)
    with pytest.raises(InputError, match=r"'head.flatten' is \[1, \d+\], not"):
        explain("gradcam", small_cnn, images, torch.ones(5, 2), layer="head.flatten")
    with pytest.raises(InputError, match="placement: 'centre' is not one of receptive_field, stretch"):
        explain("gradcam", small_cnn, images, torch.ones(5, 2), placement="centre")
