"""The picture of the randomisation test."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table
from voxplain.reporting.randomization import MEASURES, draw_randomization


def rows(method, values, sd, test="cascade", level="people"):
    layers = pd.array(range(len(values)) if test == "cascade" else [pd.NA] * len(values), "Int64")
    table = pd.DataFrame({"method": method, "test": test, "layers": layers, "layer": "x", "level": level})
    measures = {name: value for measure in MEASURES for name, value in ((measure, values), (f"{measure}_sd", sd))}
    return table.assign(**measures, people=8, undefined=0, folds=2)


@pytest.fixture
def table():
    return pd.concat(
        [
            rows("gradcam", [1.0, 0.8, 0.7], 0.1),
            rows("gradcam", [0.0, 0.0, 0.0], np.nan, level="population"),
            rows("smoothgrad", [0.9, 0.2, -0.1], 0.1),
            rows("smoothgrad", [0.3], 0.05, test="shuffled labels"),
        ],
        ignore_index=True,
    )


@pytest.fixture
def verdicts():
    return pd.DataFrame({"method": ["gradcam", "smoothgrad"], "threshold": 0.5, "survives": [True, False]})


def test_a_panel_a_method_with_spread_threshold_and_verdict(table, verdicts, tmp_path, figures, texts_of):
    draw_randomization(table, verdicts, tmp_path / "randomization.svg")
    first, second = figures[0].axes
    assert first.get_title(loc="left") == "Grad-CAM: survives"
    assert second.get_title(loc="left") == "SmoothGrad"
    lines = {line.get_label(): line for line in first.get_lines()}
    for title, _ in MEASURES.values():
        assert list(lines[title].get_xdata()) == [0, 1, 2]
        assert list(lines[title].get_ydata()) == [1.0, 0.8, 0.7]
    assert list(lines["threshold"].get_ydata()) == [0.5, 0.5]
    assert len(first.collections) >= len(MEASURES)  # the bands
    assert first.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.1)
    assert [label.get_text() for label in second.get_xticklabels()] == ["0", "1", "2", "labels"]
    assert [label.get_text() for label in first.get_xticklabels()] == ["0", "1", "2"]
    texts = texts_of(figures[0])
    assert "similarity to the map" in texts
    assert {title for title, _ in MEASURES.values()} <= set(texts)


def test_a_single_fold_after_a_file_and_a_method_without_values(table, verdicts, tmp_path, figures):
    table.loc[table["method"] == "gradcam", list(MEASURES)] = np.nan
    table[[f"{measure}_sd" for measure in MEASURES]] = np.nan
    write_table(table, tmp_path / "table.tsv")
    verdicts["survives"] = pd.array([pd.NA, True], "boolean")
    write_table(verdicts, tmp_path / "verdicts.tsv")
    tables = [read_table(tmp_path / name) for name in ("table.tsv", "verdicts.tsv")]
    draw_randomization(*tables, tmp_path / "randomization.png")
    titles = [axes.get_title(loc="left") for axes in figures[0].axes]
    assert titles == ["Grad-CAM", "SmoothGrad: survives"]
    assert (tmp_path / "randomization.png").stat().st_size > 0
