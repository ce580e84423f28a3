import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from voxplain.base.errors import InputError
from voxplain.features.first_layer import COLUMNS, describe
from voxplain.models.voxel_cnn import VoxelCNN

SIDE = 8


class Plain(nn.Module):
    """Feature 0 hands the image on, feature 1 is 3 everywhere; what follows spoils the activations in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.ran = nn.Conv3d(1, 2, kernel_size=1), nn.ReLU(), 0
        self.dropout = nn.Dropout(0.5)
        with torch.no_grad():
            self.conv.weight[:, 0, 0, 0, 0] = torch.tensor([1.0, 0.0])
            self.conv.bias[:] = torch.tensor([0.0, 3.0])

    def forward(self, images):
        activations = self.relu(self.dropout(self.conv(images)))
        self.ran += 1
        return activations.mul_(0).flatten(1)[:, :2]


def stack_of(*volumes):
    """Repeat the values of each volume so that all fill a cube equally often."""
    cube = SIDE**3
    return np.stack([np.resize(np.asarray(v, np.float32), cube) for v in volumes]).reshape(-1, SIDE, SIDE, SIDE)


def of(table, row, feature):
    (found,) = table[(table["row"] == row) & (table["feature"] == feature)].to_dict("records")
    return found["mean"], found["entropy"]


def test_known_values():
    table = describe(Plain(), stack_of([0, 1], [1], [0, 0, 0, 1]), [0, 1, 2], "cpu")
    assert list(table.columns) == COLUMNS
    assert of(table, 0, 0) == pytest.approx((0.5, np.log(2)))
    assert of(table, 1, 0) == (1, 0)
    assert of(table, 2, 0) == pytest.approx((0.25, -0.25 * np.log(0.25) - 0.75 * np.log(0.75)))
    assert [of(table, row, 1) for row in range(3)] == [(3, 0)] * 3, "a constant feature has no entropy"


@pytest.mark.parametrize("bins", [256, 16])
def test_equally_filled_bins_have_the_largest_entropy(bins):
    table = describe(Plain(), stack_of(np.arange(256)), [0], "cpu", bins=bins)
    assert of(table, 0, 0) == pytest.approx((127.5, np.log(bins)))


def test_negative_activations_are_cut_by_the_nonlinearity():
    assert of(describe(Plain(), stack_of([-1, 1]), [0], "cpu"), 0, 0) == pytest.approx((0.5, np.log(2)))


def test_the_bins_are_those_of_all_people_described():
    stack = stack_of(np.arange(256), np.arange(256) * 256)
    alone = of(describe(Plain(), stack, [0], "cpu"), 0, 0)[1]
    beside = of(describe(Plain(), stack, [0, 1], "cpu", batch_size=1), 0, 0)[1]
    assert alone == pytest.approx(np.log(256))
    assert beside == pytest.approx(0, abs=0.03), "beside stronger people, weak ones fill one bin"


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = VoxelCNN(shape=(12, 14, 10), channels=4, blocks=2)
    model.features[0].norm.running_mean.normal_(0, 0.3)
    return model


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(7, 12, 14, 10)).astype(np.float32)


def test_neither_the_batches_nor_the_order_matter(network, images):
    rows = [6, 0, 3, 2, 5]
    table = describe(network, images, rows, "cpu", batch_size=16)
    assert list(dict.fromkeys(table["row"])) == rows
    assert list(table["feature"][:4]) == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(describe(network, images, rows, "cpu", batch_size=2), table, rtol=1e-4)
    again = describe(network, images, rows[::-1], "cpu", batch_size=16).set_index(["row", "feature"])
    pd.testing.assert_frame_equal(again.loc[pd.MultiIndex.from_frame(table[["row", "feature"]])].reset_index(), table)


def test_nothing_stays_behind_in_the_network(network, images):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    describe(network, images, [0, 1], "cpu")
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_the_pass_ends_at_the_layer():
    network = Plain()
    describe(network, stack_of([0, 1], [1]), [0, 1], "cpu", batch_size=1)
    assert network.ran == 1, "once to find the layer"


def test_another_layer(network, images):
    assert describe(network, images, [0], "cpu", layer=2)["feature"].max() == 7
    pooled = describe(network, images, [0, 1], "cpu", layer="features.0.pool")
    assert (pooled["mean"] > describe(network, images, [0, 1], "cpu")["mean"]).all(), "maxima are above the mean"
    with pytest.raises(InputError, match="runs 2 Conv3d"):
        describe(network, images, [0], "cpu", layer=3)


def test_activations_that_are_not_finite_are_refused(network, images):
    network.features[0].norm.running_var[[1, 3]] = torch.nan
    with pytest.raises(InputError, match=r"(?s)features\.0\.relu.*not finite\n  - 1\n  - 3\n"):
        describe(network, images, [0, 1], "cpu")


def test_nobody_to_describe(network, images):
    with pytest.raises(ValueError, match="no rows"):
        describe(network, images, [], "cpu")
