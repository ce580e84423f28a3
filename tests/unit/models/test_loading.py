import numpy as np
import pytest
import torch

from voxplain.base.errors import InputError
from voxplain.base.files import read_array, write_array
from voxplain.models.answers import Answers
from voxplain.models.loading import Volumes


def test_batches_of_a_memory_map(tmp_path):
    stack = np.arange(5 * 24, dtype=np.float32).reshape(5, 2, 3, 4)
    write_array(stack, tmp_path / "stack.npy")
    volumes = Volumes(read_array(tmp_path / "stack.npy"), [4, 0, 3], torch.device("cpu"))
    assert len(volumes) == 3
    batch = volumes.batch([2, 0])
    assert batch.shape == (2, 1, 2, 3, 4)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch[:, 0], stack[[3, 4]])


def test_rows_and_shapes_that_cannot_be():
    with pytest.raises(InputError, match=r"(?s)stack of 2 images does not have.*- -1.*- 2"):
        Volumes(np.zeros((2, 3, 3, 3), np.float32), [-1, 0, 2], torch.device("cpu"))
    with pytest.raises(InputError, match=r"expected \[people, D, H, W\]"):
        Volumes(np.zeros((3, 3, 3), np.float32), [0], torch.device("cpu"))


def test_classes_are_places_in_the_labels():
    answers = Answers.encode(["M", "F", "M"], "classification", ["F", "M"])
    assert answers.values.tolist() == [1, 0, 1]
    assert Answers.encode([2, 1], "classification", ["1", "2"]).values.tolist() == [1, 0]


def test_every_unknown_target_is_named():
    with pytest.raises(InputError, match=r"(?s)none of the labels \['F', 'M'\].*'X'.*'nan'"):
        Answers.encode(["F", "X", float("nan"), "X"], "classification", ["F", "M"])
    with pytest.raises(InputError, match=r"(?s)finite numbers.*'old'.*inf"):
        Answers.encode([1, "old", float("inf"), "3.5"], "regression", [])
    assert Answers.encode([1, "3.5"], "regression", []).values.tolist() == [1.0, 3.5]
