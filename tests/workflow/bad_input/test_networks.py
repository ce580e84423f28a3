"""Bad networks from outside: what is said, word for word, and that no code in a file is run."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from bad_input import listed
from small_checkpoint import ARGUMENTS, METADATA, SHAPE
from voxplain.base.errors import InputError
from voxplain.models.checkpoint import load_external, save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN

WEIGHTS = "Check network, arguments, labels and the image shape against those that the weights were trained with."
CONVERT = """A .pt or .pth file is converted once, where it is trusted:
  import torch; from safetensors.torch import save_file
  state = torch.load('weights.pt', map_location='cpu', weights_only=True)
  save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')"""
DAMAGED = "FILE: the header of the checkpoint is damaged"
AGAIN = "Copy the file again or train the network again."
SETTINGS = "Change the config to what the file has."


class Trap:
    """What, loaded as a pickle, would write a file."""

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "ran")


def state(**changes) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {name: tensor.contiguous() for name, tensor in VoxelCNN(shape=SHAPE, **ARGUMENTS).state_dict().items()}
    tensors |= changes
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def plain(**changes) -> bytes:
    return save(state(**changes))


def own(**changes) -> bytes:
    """A checkpoint of this software with another header."""
    header = {key: value if key in ("network", "task") else json.dumps(value) for key, value in METADATA.items()}
    header = {"format": "voxplain-1"} | header | changes
    return save(state(), {key: value for key, value in header.items() if value is not None})


def own_with(**arguments) -> bytes:
    return own(arguments=json.dumps({**METADATA["arguments"], **arguments}))


def with_header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


BIAS = "head.linear.bias"
FIRST = "features.0.conv.weight"
OF_A_BLOCK = ("conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
NETWORKS = {
    "other shapes": (
        lambda: plain(**{BIAS: torch.zeros(7)}),
        listed("FILE: 1 tensors do not fit the network VoxelCNN", f"{BIAS}: (7,), expected (2,)", advice=WEIGHTS),
    ),
    "missing tensors": (
        lambda: plain(**{BIAS: None, FIRST: None}),
        listed(
            "FILE: 2 tensors do not fit the network VoxelCNN",
            f"{FIRST}: missing, expected (2, 1, 3, 3, 3)",
            f"{BIAS}: missing, expected (2,)",
            advice=WEIGHTS,
        ),
    ),
    "extra tensors": (
        lambda: plain(**{"tail.weight": torch.zeros(1)}),
        listed(
            "FILE: 1 tensors do not fit the network VoxelCNN", "tail.weight: not part of the network", advice=WEIGHTS
        ),
    ),
    "whole numbers for weights": (
        lambda: plain(**{BIAS: torch.zeros(2, dtype=torch.int8)}),
        listed(
            "FILE: 1 tensors do not fit the network VoxelCNN",
            f"{BIAS}: torch.int8, expected torch.float32",
            advice=WEIGHTS,
        ),
    ),
    "not finite": (
        lambda: plain(**{BIAS: torch.tensor([1, float("nan")])}),
        listed("FILE: tensors with NaN or infinite values", BIAS, advice="Train the network again."),
    ),
    "truncated": (
        lambda: plain()[:-40],
        f"FILE: not a whole safetensors file (Error while deserializing header: incomplete metadata, file not fully "
        f"covered).\n{CONVERT}",
    ),
    "no bytes": (
        lambda: b"",
        f"FILE: not a whole safetensors file (Error while deserializing header: header too small).\n{CONVERT}",
    ),
    "huge header": (
        lambda: with_header(b"{}" * 50, 2**62),
        f"FILE: not a whole safetensors file (Error while deserializing header: header too large).\n{CONVERT}",
    ),
    "header that is no JSON": (
        lambda: with_header(b"not json"),
        "FILE: not a whole safetensors file (Error while deserializing header: invalid JSON in header: expected "
        "ident at line 1 column 2).\n" + CONVERT,
    ),
    "text": (
        lambda: b"hello world, no network",
        f"FILE: not a whole safetensors file (Error while deserializing header: header too large).\n{CONVERT}",
    ),
    "other labels": (
        lambda: own(labels='["M", "F"]'),
        listed(
            "FILE: the checkpoint contradicts the config",
            "labels: the file has ['M', 'F'], the config ['F', 'M']",
            advice=SETTINGS,
        ),
    ),
    "other images": (
        lambda: own_with(shape=[58, 70, 58]),
        listed(
            "FILE: the checkpoint contradicts the config",
            "shape: the file has [58, 70, 58], the config [10, 12, 10]",
            advice=SETTINGS,
        ),
    ),
    "another task": (
        lambda: own(task="regression", labels="[]", target_mean="30", target_sd="4"),
        listed(
            "FILE: the checkpoint contradicts the config",
            "task: the file has regression, the config classification",
            "labels: the file has [], the config ['F', 'M']",
            advice=SETTINGS,
        ),
    ),
    "code that the file chooses": (
        lambda: own(network="os:system"),
        listed(
            "FILE: the checkpoint contradicts the config",
            "network: the file has os:system, the config VoxelCNN",
            advice=SETTINGS,
        ),
    ),
    "more channels than any memory": (
        lambda: own_with(channels=10**6),
        listed(
            "FILE: 13 tensors do not fit the network VoxelCNN",
            f"{FIRST}: (2, 1, 3, 3, 3), expected (1000000, 1, 3, 3, 3)",
            *(f"features.0.{name}: (2,), expected (1000000,)" for name in OF_A_BLOCK),
            "features.1.conv.weight: (4, 2, 3, 3, 3), expected (2000000, 1000000, 3, 3, 3)",
            *(f"features.1.{name}: (4,), expected (2000000,)" for name in OF_A_BLOCK),
            "head.linear.weight: (2, 4), expected (2, 2000000)",
            advice=WEIGHTS,
        ),
    ),
    "endless blocks": (lambda: own_with(blocks=10**9), listed(DAMAGED, "arguments: 1000000000 blocks")),
    "unknown argument": (
        lambda: own_with(depth=3),
        "network VoxelCNN cannot be built with the arguments ['blocks', 'channels', 'depth', 'outputs', 'shape']: "
        "VoxelCNN.__init__() got an unexpected keyword argument 'depth'. A network takes shape= and outputs= and the "
        "arguments of the config.",
    ),
    "no shape": (
        lambda: own(arguments='{"outputs": 2}'),
        listed(DAMAGED, "arguments: {'outputs': 2} has no shape of three whole numbers", advice=AGAIN),
    ),
    "arguments that are none": (
        lambda: own(arguments="[1]"),
        listed(
            DAMAGED,
            "arguments: [1] has no shape of three whole numbers",
            "arguments: [1] has no number of outputs",
            advice=AGAIN,
        ),
    ),
    "unreadable labels": (
        lambda: own(labels="['F'"),
        listed(DAMAGED, "labels: \"['F'\" cannot be read", advice=AGAIN),
    ),
    "three labels for two outputs": (
        lambda: own(labels='["F", "M", "X"]'),
        listed(DAMAGED, "outputs: 2 for 3 labels", advice=AGAIN),
    ),
    "scale that is no number": (
        lambda: own(task="regression", labels="[]", target_mean="NaN", target_sd="4"),
        listed(DAMAGED, "target_mean, target_sd: [nan, 4] are not finite numbers", advice=AGAIN),
    ),
    "keys missing": (
        lambda: own(labels=None, fold=None),
        listed("FILE: the header lacks these keys", "labels", "fold", advice="Train the network again."),
    ),
}


def load(path):
    return load_external(path, "VoxelCNN", ARGUMENTS, "classification", ["F", "M"], SHAPE)


@pytest.mark.parametrize("case", NETWORKS)
def test_bad_networks(tmp_path, case):
    content, message = NETWORKS[case]
    path = tmp_path / "w.safetensors"
    path.write_bytes(content())
    with pytest.raises(InputError) as refused:
        load(path)
    assert str(refused.value) == message.replace("FILE", str(path))


def test_a_pickle_is_never_loaded(tmp_path):
    """The trap springs when it is loaded, and is not loaded whatever its name."""
    trap = Trap()
    trap.path = str(tmp_path / "ran")
    for name, content in {
        "w.safetensors": pickle.dumps(trap),
        "v.safetensors": with_header(json.dumps({"__metadata__": {"x": "y"}}).encode()) + pickle.dumps(trap),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as refused:
            load(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}: not a whole safetensors file (")
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(trap))
    assert (tmp_path / "ran").read_text() == "ran"


def test_a_folder_and_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(InputError) as refused:
            load(path)
        assert str(refused.value) == f"{path}: no such file; expected network weights in safetensors format."


def test_no_metadata_and_half_precision_are_good(tmp_path):
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in state().items()}
    save_file(tensors, tmp_path / "w.safetensors")
    model, metadata = load(tmp_path / "w.safetensors")
    assert metadata["labels"] == ["F", "M"]
    torch.testing.assert_close(model.state_dict()[FIRST], state()[FIRST], rtol=1e-3, atol=1e-3)
    save_checkpoint(model, tmp_path / "own.safetensors", METADATA)
    again, metadata = load(tmp_path / "own.safetensors")
    assert metadata["fold"] == "external"
    assert torch.equal(again.state_dict()[FIRST], model.state_dict()[FIRST])
