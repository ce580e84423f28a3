"""The picture of power."""

import numpy as np
import pandas as pd
import pytest

import draw_power as script
from voxplain.base.files import write_table
from voxplain.reporting.power import draw_power

METHODS = ("lrp", "smoothgrad", "masks")


def table():
    rows = []
    for design, effects in (("none", [0.0]), ("both", [0.5, 1.0]), ("volume", [0.5, 1.0])):
        for effect in effects:
            for place, method in enumerate((*METHODS, "anatomy_all")):
                for fwhm in (0.0, 8.0):
                    for joint in ("mean", "difference"):
                        row = {"design": design, "effect": effect, "method": method, "statistic": "t", "joint": joint}
                        row |= {"usual": joint == "difference", "fwhm_mm": fwhm, "level": "population"}
                        row |= {"auc": 0.5 + effect * (0.4 - place / 20), "auc_sd": 0.05, "auc_chance": 0.5}
                        if fwhm == 0 or (joint == "mean" and method != "anatomy_all"):
                            row["auc"] = 0.1  # must not be shown
                        if joint == "difference" or method != "anatomy_all":
                            rows.append(row | {"auc_chance_95": 0.7, "accuracy": 0.9, "accuracy_sd": 0.02})
    return pd.DataFrame(rows)


def lines_of(axes):
    return {box.get_label(): np.asarray(box[0].get_xydata()) for box in axes.containers}


def test_a_panel_per_design_with_all_methods_chance_and_accuracy(tmp_path, figures, texts_of):
    draw_power(table(), tmp_path / "power.svg", titles={"masks": "Masks"})
    (figure,) = figures
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["Volume and intensity", "Volume only", "No difference at all"]
    both = lines_of(figure.axes[0])
    expected = {"Layer-wise relevance propagation", "SmoothGrad", "Masks", "t-map of all people's images"}
    assert set(both) == expected | {"accuracy of the networks"}
    lrp = both["Layer-wise relevance propagation"]
    np.testing.assert_allclose(lrp[:, 1], [0.7, 0.9])
    assert np.all(np.abs(lrp[:, 0] - [0.5, 1.0]) <= 0.125 + 1e-9), "beside its effect, not at the next"
    assert len({tuple(points[:, 0]) for name, points in both.items() if name in expected}) == 4, "side by side"
    np.testing.assert_allclose(both["accuracy of the networks"][:, 1], 0.9)
    nothing = lines_of(figure.axes[2])
    assert all(len(points) == 1 for points in nothing.values())
    bars = figure.axes[0].containers[1][2][0].get_segments()
    assert [round(float(np.ptp(bar[:, 1])), 6) for bar in bars] == [0.1, 0.1], "one SD to either side"
    (band,) = figure.axes[0].collections[:1]
    assert band.get_paths()[0].get_extents().intervaly == pytest.approx([0.5, 0.7])
    (key,) = figure.legends
    names = [text.get_text() for text in key.get_texts()]
    assert len(names) == len(set(names)) == 7
    assert "AUC (mean and SD over seeds)" in texts_of(figure)


def test_another_smoothing_and_a_statistic_that_nobody_scored(tmp_path, figures, texts_of):
    own = table()
    draw_power(own, tmp_path / "raw.png", fwhm_mm=0.0)
    assert all(
        np.allclose(points[:, 1], 0.1) for name, points in lines_of(figures[0].axes[0]).items() if "acc" not in name
    )
    write_table(own[own["method"] != "anatomy_all"], tmp_path / "table.tsv")
    script.run(tmp_path / "table.tsv", tmp_path / "none.svg", statistic="mean_absolute")
    assert "No map was scored with this statistic and smoothing." in texts_of(figures[1])
    assert (tmp_path / "none.svg").stat().st_size > 500
