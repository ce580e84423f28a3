"""Population maps over the mean image."""

import numpy as np
import pytest
from PIL import Image

from voxplain.base.errors import InputError
from voxplain.base.files import write_image
from voxplain.imaging.grid import COMMON
from voxplain.reporting import maps

CUTS = 2


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(maps, "CUTS", CUTS)
    monkeypatch.setattr(maps, "FINER", 1)


def draw(folder, out, **changes):
    arguments = {
        "map_image": folder / "map.nii.gz",
        "mean_image": folder / "mean.nii.gz",
        "mask_image": None,
        "brain_image": folder / "brain.nii.gz",
        "title": "A $map$ <b>",
    }
    maps.draw_population_map(**(arguments | changes), out=out)
    return np.asarray(Image.open(out).convert("RGB")).astype(int) if out.suffix == ".png" else None


def coloured(picture):
    """Pixels that are not grey, below the title and its colour bar."""
    colour = picture.max(axis=2) - picture.min(axis=2) > 40
    colour[: picture.shape[0] // 9] = False
    return np.argwhere(colour)


def side_in_tile(points, picture):
    """Place of points within their tile of a row of equally wide sections, 0 at the left edge, 1 at the right."""
    place = (points[:, 1] / picture.shape[1] - 0.005) / 0.99 * CUTS
    return place % 1


def axial(points, picture):
    return points[points[:, 0] < picture.shape[0] * 0.38]


def test_a_map_of_the_right_side_is_drawn_on_the_right(brain_files, tmp_path):
    picture = draw(brain_files, tmp_path / "a.png")
    points = axial(coloured(picture), picture)
    assert len(points) > 200
    assert side_in_tile(points, picture).min() > 0.5


def test_voxel_order_does_not_matter(brain_files, tmp_path):
    # The same volumes stored from left to right.
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = COMMON.shape[0] - 1
    for name in ("map", "mean", "brain"):
        data = np.asarray(maps.nib.load(brain_files / f"{name}.nii.gz").dataobj)
        write_image(data[::-1], COMMON.affine @ flip, tmp_path / f"{name}.nii.gz")
    stored_so = draw(brain_files, tmp_path / "a.png")
    stored_otherwise = draw(tmp_path, tmp_path / "b.png")
    assert np.abs(stored_so - stored_otherwise).mean() < 1


def test_signs_have_different_colours(brain_files, tmp_path):
    data = np.asarray(maps.nib.load(brain_files / "map.nii.gz").dataobj)
    write_image(-data, COMMON.affine, tmp_path / "negative.nii.gz")
    plus = draw(brain_files, tmp_path / "a.png", signed=True)
    minus = draw(brain_files, tmp_path / "b.png", map_image=tmp_path / "negative.nii.gz")
    assert plus[tuple(coloured(plus).T)][:, 0].mean() > 1.5 * plus[tuple(coloured(plus).T)][:, 2].mean()  # warm
    assert minus[tuple(coloured(minus).T)][:, 2].mean() > 1.5 * minus[tuple(coloured(minus).T)][:, 0].mean()  # cold


def test_an_empty_map_is_drawn_without_colours(brain_files, tmp_path):
    write_image(np.zeros(COMMON.shape, np.float32), COMMON.affine, tmp_path / "zero.nii.gz")
    zero = tmp_path / "zero.nii.gz"
    assert len(coloured(draw(brain_files, tmp_path / "a.png", map_image=zero, mask_image=zero))) == 0


def test_equal_input_gives_equal_bytes(brain_files, tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(brain_files, tmp_path / name, mask_image=brain_files / "mask.nii.gz")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_volumes_of_another_grid_are_refused_together(brain_files, tmp_path):
    other = np.zeros((5, 5, 5), np.float32)
    for name in ("map", "mask"):
        write_image(other, COMMON.affine, tmp_path / f"{name}.nii.gz")
    with pytest.raises(InputError, match="do not lie on the grid") as error:
        draw(brain_files, tmp_path / "a.png", map_image=tmp_path / "map.nii.gz", mask_image=tmp_path / "mask.nii.gz")
    assert "map.nii.gz" in str(error.value)
    assert "mask.nii.gz" in str(error.value)
    assert not (tmp_path / "a.png").exists()


def test_values_that_are_not_finite_are_refused(brain_files, tmp_path):
    data = np.zeros(COMMON.shape, np.float32)
    data[30, 30, 30] = np.nan
    write_image(data, COMMON.affine, tmp_path / "nan.nii.gz")
    with pytest.raises(InputError, match="not finite"):
        draw(brain_files, tmp_path / "a.png", map_image=tmp_path / "nan.nii.gz")
