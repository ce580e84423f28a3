"""The pictures of maps beside plain anatomy."""

import numpy as np
import pandas as pd
import pytest

from draw_anatomy import run
from voxplain.base.files import write_table
from voxplain.reporting import style

METHODS = ("lrp", "noise")


@pytest.fixture
def tables(tmp_path):
    edges = np.arange(20) * 5.0
    grid = pd.DataFrame({"percent_t": edges.repeat(20), "percent_map": np.tile(edges, 20)})
    density = pd.concat(
        [
            grid.assign(method=name, density=(grid["percent_t"] == 95) * (20.0 if name == "lrp" else 1))
            for name in METHODS
        ]
    )
    anatomy = pd.DataFrame(
        {"method": METHODS, "measure": "spearman_absolute", "value": [0.41, np.nan], "p": [0.0001, np.nan]}
    )
    ranks = np.arange(1, 13)
    regions = pd.DataFrame({"index": ranks, "region": [f"Region {rank}" for rank in ranks], "hemisphere": "left"})
    parts = [
        regions.assign(method=name, rank_t=ranks, rank_map=order)
        for name, order in zip(METHODS, (ranks[::-1], ranks), strict=True)
    ]
    regions = pd.concat(parts)
    regions["difference"] = regions["rank_t"] - regions["rank_map"]
    for name, table in {"density": density, "anatomy": anatomy, "regions": regions}.items():
        write_table(table, tmp_path / f"{name}.tsv")
    return tmp_path


def test_a_panel_a_method_with_its_correlation(tables, figures, texts_of):
    run(tables / "density.tsv", tables / "anatomy.tsv", tables / "anatomy.svg", [], [])
    (figure,) = figures
    texts = texts_of(figure)
    assert "ρ = 0.41, p < 0.001" in texts
    assert "the map is constant" in texts
    values = figure.axes[0].images[0].get_array()
    assert values.shape == (20, 20)
    assert values[:, 19].min() == 20  # the last column: largest |t|
    assert not values[:, :19].any()
    assert (tables / "anatomy.svg").stat().st_size < 150_000


def test_regions_that_differ_most_are_named(tables, figures):
    run(
        tables / "density.tsv", tables / "anatomy.tsv", tables / "anatomy.svg",
        [tables / "regions.tsv"], [tables / "regions.svg"],
    )  # fmt: skip
    panel, same = figures[1].axes[:2]
    named = [text.get_text() for text in panel.texts]
    assert sorted(named) == sorted(f"Region {rank}" for rank in (1, 2, 3, 10, 11, 12))
    heights = np.sort([text.xy[1] for text in panel.texts])
    assert np.diff(heights).min() >= 0.5  # of 12 ranks: no name on another
    assert not same.texts
    points = next(line for line in panel.lines if line.get_label() == "left")
    np.testing.assert_array_equal(points.get_xydata()[0], [1, 12])
    assert points.get_color() == style.BLUE
    assert panel.get_xlim()[0] > panel.get_xlim()[1]  # rank 1 stands right and above
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
