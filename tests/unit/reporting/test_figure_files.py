"""What a figure leaves: every format, and the numbers behind it."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.files import read_table, write_image
from voxplain.imaging.grid import COMMON
from voxplain.reporting import style
from voxplain.reporting.maps import draw_population_map
from voxplain.reporting.models import draw_accuracy
from voxplain.reporting.regions import draw_regions

TABLE = pd.DataFrame({"x": [1.0, 2.0], "region": ["a", "b"]})


def draw(out, data=TABLE):
    with style.drawn(out, 2, 1, data) as figure:
        figure.subplots().plot([1, 2])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_chart_comes_as_vectors_as_dots_and_as_numbers(tmp_path):
    draw(tmp_path / "chart.svg")
    assert names(tmp_path) == ["chart.pdf", "chart.png", "chart.svg", "chart.tsv"]
    assert Image.open(tmp_path / "chart.png").size == (600, 300)
    assert (tmp_path / "chart.pdf").read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in (tmp_path / "chart.pdf").read_bytes()
    pd.testing.assert_frame_equal(read_table(tmp_path / "chart.tsv"), TABLE, check_dtype=False)


def test_a_picture_comes_as_small_dots_for_the_page_and_as_pdf(tmp_path):
    draw(tmp_path / "brain.png")
    assert names(tmp_path) == ["brain.pdf", "brain.png", "brain.tsv"]
    assert Image.open(tmp_path / "brain.png").size == (220, 110)


@pytest.mark.parametrize("kind", ["svg", "pdf", "png", "tsv"])
def test_equal_figures_give_equal_bytes_without_a_date(tmp_path, kind):
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name)
    written = (tmp_path / f"a.{kind}").read_bytes()
    assert written == (tmp_path / f"b.{kind}").read_bytes()
    assert not [word for word in (b"CreationDate", b"Matplotlib v", b"<dc:date>", b"Software") if word in written]


def test_several_tables_become_one(tmp_path):
    draw(tmp_path / "a.svg", {"points": TABLE, "line": pd.DataFrame({"x": [3.0], "y": [4.0]})})
    written = read_table(tmp_path / "a.tsv")
    assert list(written.columns) == ["part", "x", "region", "y"]
    assert list(written["part"]) == ["points", "points", "line"]
    assert written["y"].isna().tolist() == [True, True, False]


def test_a_drawing_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), style.drawn(tmp_path / "a.svg", 2, 1, TABLE):
        _ = 1 / 0
    assert names(tmp_path) == []


def test_the_numbers_are_those_that_are_drawn(tmp_path, region_table):
    draw_regions(region_table, None, tmp_path / "regions.svg", group="joint", top=3)
    written = read_table(tmp_path / "regions.tsv")
    assert set(written["group"]) == {"joint"}
    assert written.groupby("method")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3]).all()


def test_accuracy_tells_folds_from_their_summary(tmp_path):
    folds = pd.DataFrame({"model": ["cnn", "cnn"], "fold": [0, 1], "accuracy": [0.8, 0.9]})
    row = {"model": "cnn", "metric": "accuracy", "mean": 0.85, "ci_low": 0.7, "ci_high": 1.0, "chance": 0.5}
    draw_accuracy(folds, pd.DataFrame([row]), tmp_path / "accuracy.svg")
    written = read_table(tmp_path / "accuracy.tsv").set_index("part")
    assert written.loc["folds", "accuracy"].tolist() == [0.8, 0.9]
    assert written.loc["summary", "mean"] == 0.85


@pytest.mark.parametrize("flipped", [False, True])
def test_sections_of_a_map_are_numbered_in_mm_whatever_the_order_of_voxels(brain_files, tmp_path, flipped):
    # The map is 0.002 on the right, from 25 to 50 mm, and 0 on the left.
    files = {name: brain_files / f"{name}.nii.gz" for name in ("map", "mean", "brain")}
    if flipped:
        turn = np.diag([-1.0, 1, 1, 1])
        turn[0, 3] = COMMON.shape[0] - 1
        for name, path in files.items():
            data = np.asarray(nib.load(path).dataobj)
            files[name] = tmp_path / path.name
            write_image(data[::-1], COMMON.affine @ turn, files[name])
    draw_population_map(files["map"], files["mean"], None, tmp_path / "m.png", "M", brain_image=files["brain"])
    sections = read_table(tmp_path / "m.tsv")
    assert sections.groupby("plane").size().to_dict() == {"x": 7, "y": 7, "z": 7}
    sagittal = sections[sections["plane"] == "x"]
    inside = sagittal["mm"].between(27, 48)
    assert inside.any()
    assert sagittal.loc[inside, "highest"].to_numpy() == pytest.approx(0.002)
    assert (sagittal.loc[inside, "lowest"] > 0).all()
    assert (sagittal.loc[sagittal["mm"] < 20, "highest"] == 0).all()
