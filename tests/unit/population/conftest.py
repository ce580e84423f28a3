"""A toy atlas in MNI space: boxes left and right, before and behind, and one on the midline."""

import numpy as np
import pytest

from voxplain.base.files import write_image
from voxplain.imaging.grid import Grid

MNI_2MM = Grid((91, 109, 91), np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]]))
NAMES = {1: "Box front L", 2: "Box front R", 3: "Box back L", 4: "Box back R", 7: "Midline box"}


def paint(grid: Grid) -> np.ndarray:
    """Paint the boxes on any grid, by mm."""
    i = np.indices(grid.shape).reshape(3, -1)
    x, y, z = (grid.affine[:3, :3] @ i + grid.affine[:3, 3:]).reshape(3, *grid.shape)
    high, front, back = (z > 0) & (z < 40), (y > 10) & (y < 40), (y > -70) & (y < -40)
    left, right = (x > -50) & (x < -10), (x > 10) & (x < 50)
    labels = np.zeros(grid.shape, dtype=np.int16)
    for label, box in {1: left & front, 2: right & front, 3: left & back, 4: right & back}.items():
        labels[box & high] = label
    labels[(np.abs(x) < 8) & (y > -35) & (y < 5) & (z > 0) & (z < 30)] = 7
    return labels


@pytest.fixture
def toy_grid() -> Grid:
    return MNI_2MM


@pytest.fixture
def toy_labels() -> np.ndarray:
    return paint(MNI_2MM)


@pytest.fixture
def toy_names() -> dict[int, str]:
    return dict(NAMES)


@pytest.fixture
def toy_files(tmp_path, toy_labels):
    """Image and table of the toy atlas."""
    image, table = tmp_path / "boxes.nii.gz", tmp_path / "boxes.tsv"
    write_image(toy_labels, MNI_2MM.affine, image)
    table.write_text("index\tname\n" + "".join(f"{i}\t{name}\n" for i, name in NAMES.items()))
    return image, table
