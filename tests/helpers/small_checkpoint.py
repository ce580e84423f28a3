"""What a checkpoint of a small network says of itself."""

SHAPE = (10, 12, 10)
ARGUMENTS = {"channels": 2, "blocks": 2}
METADATA = {
    "network": "VoxelCNN",
    "arguments": {**ARGUMENTS, "shape": list(SHAPE), "outputs": 2},
    "task": "classification",
    "labels": ["F", "M"],
    "target_mean": None,
    "target_sd": None,
    "fold": 3,
}
