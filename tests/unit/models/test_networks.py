import pytest
import torch

from voxplain.base.errors import InputError
from voxplain.models.networks import build

SOURCE = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self, shape, outputs, width=1):
        super().__init__()
        self.linear = nn.Linear(width * shape[0] * shape[1] * shape[2], outputs)
        self.width = width

    def forward(self, images):
        return self.linear(images.flatten(1).repeat(1, self.width))

class Softened(Mine):
    def forward(self, images):
        return super().forward(images).argmax(1)

class Broken(Mine):
    def forward(self, images):
        raise RuntimeError("sizes do not match")

NotAClass = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_networks.py").write_text(SOURCE)
    (tmp_path / "own_failing.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_own_network_gets_shape_outputs_and_its_arguments():
    model = build("own_networks:Mine", {"shape": [4, 5, 6], "outputs": 3, "width": 2})
    assert model.linear.in_features == 240
    assert model.training
    assert model(torch.zeros(2, 1, 4, 5, 6)).shape == (2, 3)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        ("VoxelCnn", {}, "neither one of .'VoxelCNN'. nor 'package.module:Class'"),
        ("own_networks:", {}, "neither one of"),
        ("no_such_module:Mine", {}, "no_such_module cannot be imported"),
        ("own_failing:Mine", {}, "a_package_that_nobody_has"),
        ("own_networks:Theirs", {}, "no class Theirs"),
        ("own_networks:NotAClass", {}, "no class NotAClass"),
        ("own_networks:Mine", {"depth": 3}, r"arguments \['depth', 'outputs', 'shape'\]"),
        ("own_networks:Softened", {}, r"returned \(2,\) for 2 images, expected logits of shape \(2, 2\)"),
        ("own_networks:Broken", {}, "fails on an input .2, 1, 4, 5, 6.: sizes do not match"),
        ("VoxelCNN", {"wings": 2}, "wings"),
    ],
)
def test_refused_networks(network, arguments, message):
    with pytest.raises(InputError, match=message):
        build(network, {"shape": [4, 5, 6], "outputs": 2, **arguments})
