"""The contact sheet of visualisations."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.errors import InputError
from voxplain.base.files import write_image, write_table
from voxplain.imaging.grid import COMMON
from voxplain.reporting import visualisation
from voxplain.reporting.visualisation import draw_visualisation, sections_of


@pytest.fixture
def folder(tmp_path):
    names = ["class-F", "class-M", *(f"layer-1_channel-{i}" for i in range(5))]
    table = pd.DataFrame(
        {
            "objective": names,
            "layer": [None, None, *["1"] * 5],
            "channel": pd.array([pd.NA, pd.NA, *range(5)], dtype="Int64"),
            "label": ["F", "M", *[None] * 5],
            "reached": [30.25, 1.5, 8, 8, 8, 8, 8],
            "cohort_min": [-5.5, np.nan, 1, 1, 1, 1, 1],
            "cohort_median": 0.5,
            "cohort_max": [5.5, np.nan, 9, 9, 9, 9, 9],
            "percentile": [99.96, 62.5, 40, 40, 40, 40, 40],
            "percentile_per_norm": [100, np.nan, 29 - 1e-14, 40, 40, 40, 40],
            "people": 32,
        }
    )
    write_table(table, tmp_path / "visualisations.tsv")
    for name in names:
        data = np.zeros(COMMON.shape, np.float32)
        data[28:31, 34:37, 28:31] = 1.0 if name != "class-M" else -1.0
        write_image(data, COMMON.affine, tmp_path / f"{name}_input.nii.gz")
    return tmp_path


def test_every_visualisation_and_what_it_reaches_is_told(folder, figures, texts_of):
    draw_visualisation(folder, folder / "sheet.png")
    said = texts_of(figures[0])
    assert {"Class F", "Class M", *(f"Layer 1, channel {i}" for i in range(5))} <= set(said)
    # Less than everybody is never told as 100.
    assert "30.2; people -5.5 to 5.5\npercentile 99.9, per norm 100" in said
    assert "1.5\npercentile 62.5" in said
    assert "8; people 1 to 9\npercentile 40, per norm 29" in said
    assert visualisation.NOTE in said


def test_bright_is_orange_and_dark_is_blue(folder, tmp_path):
    draw_visualisation(folder, tmp_path / "sheet.png")
    picture = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    height, width = picture.shape[:2]
    top = picture[: height // 3]
    left, right = top[:, : width // 2], top[:, width // 2 :]
    for half, warm in ((left, True), (right, False)):
        difference = half[..., 0] - half[..., 2]
        assert (difference > 100).any() == warm
        assert (difference < -100).any() != warm


def test_the_outline_of_the_brain_is_drawn_on_whole_brains(folder, brain_files, figures):
    draw_visualisation(folder, folder / "sheet.png", brain_files / "brain.nii.gz")
    drawn = [len(axes.collections) for axes in figures[0].axes if axes.get_title(loc="left")]
    assert drawn == [1, 1, 0, 0, 0, 0, 0]


def test_sections_go_through_the_strongest_voxel():
    data = np.zeros((7, 9, 8), np.float32)
    data[2, 3, 6], data[5, 5, 5] = -4, 3
    picture, outline = sections_of(data)
    assert picture.shape == (9, 7 + 2 + 7 + 2 + 9)
    assert (picture == -4).sum() == 3, "once in each section"
    assert not (picture == 3).any()
    # Axial: x from left to right, y upwards.
    assert picture[9 - 1 - 3, 2] == -4
    assert not outline.any()


def test_channels_are_cropped_to_what_was_synthesised():
    data = np.zeros((20, 20, 20), np.float32)
    data[10:16, 3:6, 12] = 1
    picture, _ = sections_of(data, cropped=True)
    assert picture.shape == (5, 6 + 2 + 6 + 2 + 5)
    data[0, 0, 0] = 1e-6
    assert sections_of(data, cropped=True)[0].shape == picture.shape
    corner = np.zeros((20, 20, 20), np.float32)
    corner[19, 19, 19] = 1
    assert sections_of(corner, cropped=True)[0].size > 0
    assert not sections_of(np.zeros((6, 6, 6)), cropped=True)[0].any()


def test_what_was_added_to_the_mean_is_shown(folder, tmp_path):
    write_image(np.ones(COMMON.shape, np.float32), COMMON.affine, folder / "class-F_change.nii.gz")
    assert visualisation._file_of(folder, "class-F").name == "class-F_change.nii.gz"
    assert visualisation._file_of(folder, "class-M").name == "class-M_input.nii.gz"


def test_missing_volumes_are_named(folder):
    for name in ("class-M", "layer-1_channel-3"):
        (folder / f"{name}_input.nii.gz").unlink()
    with pytest.raises(InputError, match=r"(?s)class-M_input.*layer-1_channel-3_input"):
        draw_visualisation(folder, folder / "sheet.png")


def test_nothing_was_visualised(tmp_path, figures, texts_of, folder):
    table = pd.read_csv(folder / "visualisations.tsv", sep="\t")
    write_table(table[:0], folder / "visualisations.tsv")
    draw_visualisation(folder, folder / "sheet.svg")
    assert texts_of(figures[0]) == ["Nothing was visualised."]


def test_equal_folders_give_equal_files(folder):
    for name in ("a.png", "b.png"):
        draw_visualisation(folder, folder / name)
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
