"""The picture of deletion and insertion."""

import numpy as np
import pandas as pd
import pytest

from voxplain.reporting import style
from voxplain.reporting.faithfulness import COLOURS, draw_faithfulness

METHODS = ("lrp", "gradcam", "smoothgrad", "noise", "occlusion", "hirescam", "perturbation")


def table(measures=("accuracy", "probability"), methods=METHODS):
    rows = []
    for place, method in enumerate(methods):
        for replacement in ("resample", "mean"):
            for kind in ("insertion", "deletion"):
                for order in ("map", "random", "intensity"):
                    for measure in measures:
                        start, end = (0.5, 1.0) if kind == "insertion" else (1.0, 0.5)
                        middle = {"map": 0.6 + place / 50, "random": 0.7 + place / 100, "intensity": 0.72}[order]
                        for share, mean in ((0, start), (30, middle), (100, end)):
                            rows.append((method, replacement, kind, order, measure, share, mean, 0.1, 3))
    names = ["method", "replacement", "kind", "order", "measure", "share", "mean", "sd", "folds"]
    return pd.DataFrame(rows, columns=names)


def test_a_panel_per_replacement_and_kind_with_all_methods_and_grey_references(tmp_path, figures, texts_of):
    draw_faithfulness(table(), tmp_path / "faithfulness.svg")
    (figure,) = figures
    assert len(figure.axes) == 4
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["Mean image", "Others of the class"]
    for axes, ends in zip(figure.axes, ((1, 0.5), (1, 0.5), (0.5, 1), (0.5, 1)), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        assert len(lines) == len(METHODS) + 2
        np.testing.assert_allclose(lines["SmoothGrad"].get_xydata(), [[0, ends[0]], [30, 0.64], [100, ends[1]]])
        np.testing.assert_allclose(lines["random order"].get_ydata()[1], 0.73)  # the mean over methods
        assert lines["random order"].get_color() == lines["brightest voxels first"].get_color() == style.MUTED
        looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
        assert len(looks) == len(METHODS) + 2 > len(COLOURS)
    texts = texts_of(figure)
    assert "Probability of the first answer\n(faithful: falls soon)" in texts
    assert "Probability of the first answer\n(faithful: rises soon)" in texts
    (key,) = figure.legends  # one for all panels
    names = [text.get_text() for text in key.get_texts()]
    assert len(names) == len(set(names)) == len(METHODS) + 2
    assert "Layer-wise relevance propagation" in names


@pytest.mark.parametrize(("measure", "title"), [(None, "Squared change"), ("mae", "Mean absolute error")])
def test_of_a_number(tmp_path, figures, texts_of, measure, title):
    draw_faithfulness(table(("mae", "change"), ("lrp",)), tmp_path / "faithfulness.png", measure)
    texts = [text for text in texts_of(figures[0]) if text.startswith(title)]
    assert ["rises soon" in text for text in texts] == [True, False]
    assert (tmp_path / "faithfulness.png").stat().st_size > 1000
