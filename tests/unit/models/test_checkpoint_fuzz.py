"""Hundreds of damaged network files: each is refused in the documented way, or is whole after all."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save

from voxplain.base.errors import InputError
from voxplain.models.checkpoint import load_external
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE, ARGUMENTS = (10, 12, 10), {"channels": 2, "blocks": 2}
METADATA = {
    "format": "voxplain-1",
    "network": "VoxelCNN",
    "arguments": json.dumps({**ARGUMENTS, "shape": list(SHAPE), "outputs": 2}),
    "task": "classification",
    "labels": '["F", "M"]',
    "target_mean": "null",
    "target_sd": "null",
    "fold": "3",
}
# What may stand in the place of a value of the header.
VALUES = [
    "",
    "null",
    "NaN",
    "-1",
    "1e999",
    "[]",
    "{}",
    "[1]",
    '"x"',
    "true",
    "os:system",
    "VoxelCNN",
    "regression",
    "[" * 5000,
]
VALUES += ['{"shape": [10, 12, 10], "outputs": 2, "channels": 1e5}', '{"shape": [10, 12, 10], "outputs": 99999999}']
VALUES += [
    '{"shape": [10, 12, 10], "outputs": 2, "dropout": "x"}',
    '{"shape": [10, 12, 10], "outputs": 2, "blocks": true}',
]
VALUES += ['{"shape": [10, 12, 10], "outputs": 2, "channels": 99999999999}', '{"shape": [1, 1, 1], "outputs": 2}']


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    return {name: tensor.contiguous() for name, tensor in VoxelCNN(shape=SHAPE, **ARGUMENTS).state_dict().items()}


def load(path):
    """Return 1 when a file is refused, 0 when it is read, whole."""
    try:
        model, metadata = load_external(path, "VoxelCNN", ARGUMENTS, "classification", ["F", "M"], SHAPE)
    except InputError:
        return 1
    assert isinstance(model, VoxelCNN)
    assert metadata["labels"] == ["F", "M"]
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    return 0


def damaged(raw, rng):
    """Some bytes of the length or of the header changed, or the file cut, or something added."""
    header = 8 + int.from_bytes(raw[:8], "little")
    broken = bytearray(raw)
    kind = rng.integers(8)
    if kind == 0:
        return bytes(broken[: rng.integers(len(broken))])
    if kind == 1:
        return bytes(broken) + bytes(int(rng.integers(1, 50)))
    if kind == 2:
        broken[rng.integers(8)] = rng.integers(256)
    for place in rng.integers(8, header, rng.integers(1, 5)):
        broken[place] = rng.integers(256) if rng.random() < 0.5 else ord(rng.choice(list('{}[]",:0123456789')))
    return bytes(broken)


def check(path, tensors, tries, seed):
    refused, rng = 0, np.random.default_rng(seed)
    for number in range(tries):
        path.write_bytes(damaged(save(tensors, METADATA if number % 2 else None), rng))
        refused += load(path)
    assert refused > tries / 2


def test_damaged_files(tmp_path, tensors):
    check(tmp_path / "w.safetensors", tensors, 400, 1)


@pytest.mark.slow
def test_many_damaged_files(tmp_path, tensors):
    check(tmp_path / "w.safetensors", tensors, 20000, 2)


@pytest.mark.parametrize("key", METADATA)
def test_headers_with_other_values(tmp_path, tensors, key):
    """Whatever stands in the place of one value: no other exception, no memory for what is announced, no code run."""
    path = tmp_path / "w.safetensors"
    refused = 0
    for value in VALUES:
        path.write_bytes(save(tensors, {**METADATA, key: value}))
        refused += load(path)
    assert refused >= (0 if key in ("format", "target_mean", "target_sd", "fold") else len(VALUES) - 2)
