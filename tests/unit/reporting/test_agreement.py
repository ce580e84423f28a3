"""The picture of agreement between methods."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from draw_agreement import run
from voxplain.base.files import write_table
from voxplain.reporting import style
from voxplain.reporting.agreement import NAMED, draw_agreement

METHODS = ("lrp", "gradcam", "noise", "occlusion")


def table(methods=METHODS):
    rows = []
    for group in ("F", "joint"):
        for place, (first, second) in enumerate(combinations(methods, 2)):
            row = {"group": group, "first": first, "second": second, "null_mean": 0.1, "null_95": 0.25}
            value = np.nan if place == 3 else 0.5 - place / 10
            correlation = {"measure": "spearman_absolute", "value": value if group == "joint" else 0.99}
            rows.append(row | correlation | {"p": np.nan if place == 3 else 0.01 + place / 30})
            rows.append(row | {"measure": "spearman", "value": 0.88, "p": 0.01})
            for volume in (20, 1, 5):
                corrected = 0.9 - 0.1 * place - volume / 100
                rows.append(row | {"measure": "dice", "volume": volume, "corrected": corrected, "p": 0.5})
    return pd.DataFrame(rows)


def test_matrix_with_the_null_and_stars(tmp_path, figures):
    draw_agreement(table(), tmp_path / "agreement.svg")
    (figure,) = figures
    heat, _ = figure.axes
    said = [text.get_text() for text in heat.texts]
    assert [text for text in said if not text.startswith("95")] == ["0.50*", "0.40*", "0.30", "0.10", "0.00"]
    assert said.count("95 %: 0.25") == 5  # not of the pair without a value
    values = heat.images[0].get_array()
    assert values[1, 0] == 0.5
    assert values[3, 1] == pytest.approx(0.1)
    assert np.ma.is_masked(values[2, 1])
    assert np.ma.is_masked(values[0, 1])  # below the diagonal only


def test_curves_of_the_best_pairs_have_colours(tmp_path, figures):
    draw_agreement(table(), tmp_path / "agreement.svg")
    curves = figures[0].axes[1]
    lines = [line for line in curves.lines if len(line.get_xdata()) == 3]
    assert len(lines) == 6
    np.testing.assert_allclose(lines[-1].get_xydata(), [[1, 0.89], [5, 0.85], [20, 0.7]])
    assert sum(line.get_color() == style.FAINT for line in lines) == 6 - NAMED
    names = [text.get_text() for text in curves.get_legend().get_texts()]
    assert len(names) == NAMED + 1
    assert names[0].endswith("– Grad-CAM")
    assert names[-1] == "other pairs"


def test_one_method_is_said_to_be_alone(tmp_path, figures, texts_of):
    write_table(table(("lrp",)).reindex(columns=table().columns), tmp_path / "agreement.tsv")
    run(tmp_path / "agreement.tsv", tmp_path / "agreement.svg")
    assert any("no pair" in text for text in texts_of(figures[0]))
