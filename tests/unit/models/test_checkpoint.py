import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from small_checkpoint import ARGUMENTS, METADATA, SHAPE
from voxplain.base.errors import InputError
from voxplain.models.checkpoint import load_checkpoint, load_external, save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = VoxelCNN(shape=SHAPE, **ARGUMENTS)
    model(torch.randn(4, 1, *SHAPE))  # other statistics than the initial ones
    return model


def test_round_trip(model, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_checkpoint(model, path, METADATA)
    loaded, metadata = load_checkpoint(path)
    assert metadata == {**METADATA, "format": "voxplain-1"}
    assert not loaded.training
    images = torch.randn(3, 1, *SHAPE)
    assert torch.equal(loaded(images), model.eval()(images))
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_of_a_regression_survive_exactly(model, tmp_path):
    numbers = {"task": "regression", "labels": [], "target_mean": 0.1 + 0.2, "target_sd": 1 / 3}
    save_checkpoint(model, tmp_path / "w.safetensors", {**METADATA, **numbers})
    metadata = load_checkpoint(tmp_path / "w.safetensors")[1]
    assert {key: metadata[key] for key in numbers} == numbers


def test_equal_networks_give_equal_files(model, tmp_path):
    """The safetensors library writes its header in a random order, another one each time."""
    for name in "abcdef":
        save_checkpoint(model, tmp_path / name, METADATA)
    assert len({(tmp_path / name).read_bytes() for name in "abcdef"}) == 1
    loaded, metadata = load_checkpoint(tmp_path / "a")
    save_checkpoint(loaded, tmp_path / "again", metadata)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "a").read_bytes()
    assert load_file(tmp_path / "a").keys() == model.state_dict().keys()


def test_tied_weights_can_be_saved(tmp_path):
    layer = nn.Linear(2, 2)
    save_checkpoint(nn.Sequential(layer, layer), tmp_path / "w.safetensors", METADATA)
    assert len(load_file(tmp_path / "w.safetensors")) == 4


def test_metadata_must_be_complete(model, tmp_path):
    with pytest.raises(ValueError, match="lacks labels, fold"):
        save_checkpoint(model, tmp_path / "w", {k: v for k, v in METADATA.items() if k not in ("labels", "fold")})


def test_every_tensor_that_does_not_fit_is_named(model, tmp_path):
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    state["head.linear.bias"] = torch.zeros(7)
    state["tail.weight"] = state.pop("features.0.conv.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as caught:
        load_external(tmp_path / "w.safetensors", "VoxelCNN", ARGUMENTS, "classification", ["F", "M"], SHAPE)
    text = str(caught.value)
    assert "3 tensors do not fit the network VoxelCNN" in text
    assert "features.0.conv.weight: missing, expected (2, 1, 3, 3, 3)" in text
    assert "tail.weight: not part of the network" in text
    assert "head.linear.bias: (7,), expected (2,)" in text


def test_weights_that_are_not_finite(model, tmp_path):
    model.head.linear.bias.data[1] = float("nan")
    save_checkpoint(model, tmp_path / "w.safetensors", METADATA)
    with pytest.raises(InputError, match=r"(?s)NaN or infinite.*head\.linear\.bias"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_files_that_are_no_checkpoint(model, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"(?s)not a whole safetensors file.*weights_only=True"):
        load_checkpoint(tmp_path / "weights.pt")
    save_checkpoint(model, tmp_path / "w.safetensors", METADATA)
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_checkpoint(tmp_path / "cut.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"format 'pt', expected 'voxplain-1'.*interpret.weights"):
        load_checkpoint(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_external_weights(model, tmp_path, prefix):
    state = {prefix + name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    loaded, metadata = load_external(
        tmp_path / "w.safetensors", "VoxelCNN", ARGUMENTS, "classification", ["F", "M"], SHAPE
    )
    assert metadata == {**METADATA, "fold": "external", "format": "voxplain-1"}
    json.dumps(metadata)
    images = torch.randn(2, 1, *SHAPE)
    assert torch.equal(loaded(images), model.eval()(images))


def test_external_regression_has_one_output_and_its_scale(tmp_path):
    save_file(
        {name: t.contiguous() for name, t in VoxelCNN(shape=SHAPE, outputs=1, **ARGUMENTS).state_dict().items()},
        tmp_path / "w.safetensors",
    )
    path = tmp_path / "w.safetensors"
    _, metadata = load_external(path, "VoxelCNN", ARGUMENTS, "regression", [], SHAPE, target_mean=40, target_sd=12)
    assert (metadata["labels"], metadata["target_mean"], metadata["target_sd"]) == ([], 40.0, 12.0)
    assert metadata["arguments"]["outputs"] == 1


def test_own_checkpoint_as_external_must_agree_with_the_config(model, tmp_path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(model, path, METADATA)
    _, metadata = load_external(path, "VoxelCNN", {}, "classification", ["F", "M"], SHAPE)
    assert metadata["fold"] == "external"
    assert metadata["arguments"] == METADATA["arguments"]
    with pytest.raises(InputError) as caught:
        load_external(path, "VoxelCNN", {}, "classification", ["M", "F"], (58, 70, 58))
    assert "labels: the file has ['F', 'M'], the config ['M', 'F']" in str(caught.value)
    assert "shape: the file has [10, 12, 10], the config [58, 70, 58]" in str(caught.value)
