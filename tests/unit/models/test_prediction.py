import numpy as np
import pytest
import torch
from torch import nn

from voxplain.models.prediction import network_outputs, predict
from voxplain.models.voxel_cnn import VoxelCNN


class Fixed(nn.Module):
    """Returns the first voxels as logits."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(images.flatten(1)[:, : self.outputs])


def stack_of(rows):
    stack = np.zeros((len(rows), 2, 2, 2), np.float32)
    stack.reshape(len(rows), -1)[:, : len(rows[0])] = rows
    return stack


def test_two_classes():
    metadata = {"task": "classification", "labels": ["F", "M"]}
    frame = predict(Fixed(2), stack_of([[1, 3], [0, 0], [800, -800]]), [2, 0], metadata, "cpu", batch_size=1)
    assert list(frame) == ["prediction", "score", "p_F", "p_M"]
    assert frame["prediction"].tolist() == ["F", "M"]
    assert frame["score"].tolist() == [-1600.0, 2.0]
    np.testing.assert_allclose(frame["p_M"], [0.0, 1 / (1 + np.exp(-2))])


def test_three_classes_score_the_margin():
    metadata = {"task": "classification", "labels": ["a", "b", "c"]}
    frame = predict(Fixed(3), stack_of([[1, 5, 2], [4, 0, 0]]), [0, 1], metadata, "cpu")
    assert frame["prediction"].tolist() == ["b", "a"]
    assert frame["score"].tolist() == [3.0, 4.0]
    np.testing.assert_allclose(frame[["p_a", "p_b", "p_c"]].sum(axis=1), 1)


def test_regression_is_scaled_back():
    metadata = {"task": "regression", "labels": [], "target_mean": 40.0, "target_sd": 10.0}
    frame = predict(Fixed(1), stack_of([[-1.5], [2]]), [0, 1], metadata, "cpu")
    assert frame["prediction"].tolist() == [25.0, 60.0]
    assert frame["score"].equals(frame["prediction"])


def test_batch_size_does_not_matter_and_the_mode_is_kept():
    torch.manual_seed(0)
    model = VoxelCNN(shape=(10, 12, 10), channels=2, blocks=1).train()
    stack = np.random.default_rng(0).normal(size=(7, 10, 12, 10)).astype(np.float32)
    single, together = (network_outputs(model, stack, range(7), "cpu", size) for size in (1, 7))
    np.testing.assert_allclose(single, together, atol=1e-6)
    assert model.training


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        network_outputs(Fixed(1), stack_of([[1]]), [], "cpu")
