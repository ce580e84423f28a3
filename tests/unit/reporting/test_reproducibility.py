"""The picture of reproducibility."""

import numpy as np
import pandas as pd
import pytest

from voxplain.reporting import style
from voxplain.reporting.reproducibility import CHANGES, COLOURS, PANELS, draw_reproducibility

COLUMNS = ["method", "change", "level", "measure", "value", "sd", "chance", "n", "variants"]
DISORDERED = tuple(CHANGES)[::-1]
METHODS = ("lrp", "gradcam", "smoothgrad", "noise", "occlusion", "hirescam")


def table(levels=tuple(panel[0] for panel in PANELS), methods=METHODS, changes=DISORDERED):
    rows = []
    for place, method in enumerate(methods):
        for turn, change in enumerate(changes):
            value = 0.8 - 0.1 * turn - 0.01 * place
            for level, measure, *_ in PANELS:
                if level not in levels:
                    continue
                sd = np.nan if level == "voxels" else 0.05
                rows.append((method, change, level, measure, value, sd, 0.1 + place / 100, 8, 2))
                if level == "voxels":
                    rows += [(method, change, level, f"{measure}_q25", value - 0.2, np.nan, np.nan, 8, 2)]
                    rows += [(method, change, level, f"{measure}_q75", value + 0.1, np.nan, np.nan, 8, 2)]
                rows.append((method, change, level, "another", 5.0, 0.1, 0.0, 8, 2))
    return pd.DataFrame(
        rows, columns=["method", "change", "level", "measure", "value", "sd", "chance", "n", "variants"]
    )


def bars(container):
    """Lower and upper ends of the error bars."""
    (segments,) = container.lines[2]
    return [tuple(segment[:, 1]) for segment in segments.get_segments()]


def test_a_panel_a_level_with_a_dot_a_method_and_change_beside_chance(tmp_path, figures, texts_of):
    draw_reproducibility(table(), tmp_path / "reproducibility.svg")
    (figure,) = figures
    axes = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in axes] == [title for _, _, title, _ in PANELS]
    for panel, (level, *_, label) in zip(axes, PANELS, strict=True):
        assert panel.get_ylabel() == label
        assert [tick.get_text() for tick in panel.get_xticklabels()] == list(CHANGES.values())
        containers = {one.get_label(): one for one in panel.containers}
        assert list(containers) == [style.METHOD_TITLES[m] for m in style.METHOD_TITLES if m in METHODS]
        own = containers[style.METHOD_TITLES["lrp"]]
        x, y = own.lines[0].get_data()
        # The changes stand in the order of the figure, whatever that of the table.
        np.testing.assert_allclose(y, [0.4, 0.5, 0.6, 0.7, 0.8])
        assert (np.abs(x - np.arange(5)) < 0.5).all()
        low, high = bars(own)[0]
        assert (low, high) == pytest.approx((0.2, 0.5) if level == "voxels" else (0.35, 0.45))
        looks = {(one.lines[0].get_color(), one.lines[0].get_marker()) for one in containers.values()}
        assert len(looks) == len(METHODS) > len(COLOURS)
        marks = [line for line in panel.collections if line.get_label() == "chance"]
        assert len(marks) == len(METHODS)
        heights = sorted(mark.get_segments()[0][0, 1] for mark in marks)
        np.testing.assert_allclose(heights, [0.1 + place / 100 for place in range(len(METHODS))])
    (key,) = figure.legends
    names = [text.get_text() for text in key.get_texts()]
    assert len(names) == len(set(names)) == len(METHODS) + 1


def test_without_atlas_and_with_what_is_missing(tmp_path, figures):
    few = table(("people", "population"), ("lrp", "noise"), ("seed", "mine"))
    few.loc[few["level"] == "population", "sd"] = np.nan
    few = few[(few["method"] == "lrp") | (few["change"] == "seed")]
    draw_reproducibility(few, tmp_path / "reproducibility.png")
    people, population = figures[0].axes
    assert [tick.get_text() for tick in people.get_xticklabels()] == [CHANGES["seed"], "mine"]
    noise = people.containers[1].lines[0].get_ydata()
    assert noise[0] == pytest.approx(0.79)
    assert np.isnan(noise[1])
    assert bars(population.containers[0])[0] == pytest.approx((0.8, 0.8))
    assert (tmp_path / "reproducibility.png").stat().st_size > 1000
