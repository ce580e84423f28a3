"""The quality-control montage."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON
from voxplain.reporting.montage import choose_rows, compose_tile, draw_montage


def test_left_is_left_and_up_is_up():
    data = np.full(COMMON.shape, 0.5, np.float32)
    # A bright block at the right (x > 0), in front of and above the middle sections.
    x, y, z = (COMMON.affine[a, a] * np.arange(n) + COMMON.affine[a, 3] for a, n in enumerate(COMMON.shape))
    data[np.ix_(x > 0, y > -30, z > -30)] = 1
    tile = compose_tile(data)
    wide, deep, tall = COMMON.shape
    height = tile.shape[0]
    axial = tile[:, :wide]
    assert axial[height // 2 - 20, wide - 10] == 1
    assert axial[height // 2 - 20, 10] == 0
    assert axial[height // 2 + 20, wide - 10] == 0
    coronal = tile[:, wide : 2 * wide]
    assert coronal[height // 2 - 20, wide - 10] == 1
    assert coronal[height // 2 - 20, 10] == 0
    assert coronal[height // 2 + 25, wide - 10] == 0
    assert tile.shape == (deep, 2 * wide + deep)
    assert tall < deep


def test_outside_the_brain_is_black_even_when_voxels_inside_are_negative():
    data = np.zeros(COMMON.shape, np.float32)
    data[20:40, 20:50, 20:40] = -1
    data[25:35, 25:45, 25:35] = 2
    tile = compose_tile(data)
    assert tile[0, 0] == 0
    assert tile.max() == 1


def test_the_worst_overlaps_come_first():
    index = pd.DataFrame({"participant_id": list("abcd"), "dice": [0.95, np.nan, 0.9, 0.97]})
    assert choose_rows(index, 3) == [1, 2, 0]
    assert choose_rows(index.drop(columns="dice"), 2) == [0, 3]


def test_only_the_shown_people_are_read(tmp_path):
    class Stack:
        def __init__(self):
            self.read = []

        def __len__(self):
            return 5

        def __getitem__(self, row):
            self.read.append(row)
            return np.ones(COMMON.shape, np.float32)

    stack = Stack()
    index = pd.DataFrame({"participant_id": list("abcde"), "dice": [0.9, 0.8, 0.95, 0.7, 0.99]})
    draw_montage(stack, index, tmp_path / "m.png", people=2)
    assert stack.read == [3, 1]
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_stack_and_index_must_agree(tmp_path):
    with pytest.raises(InputError, match="holds 2 people and its index 1"):
        draw_montage(np.zeros((2, 3, 3, 3)), pd.DataFrame({"participant_id": ["a"]}), tmp_path / "m.png")
