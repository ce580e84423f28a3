"""The pictures of retraining and of masked accuracy."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table
from voxplain.reporting import style
from voxplain.reporting.masked import draw_masked_accuracy, draw_retraining

METHODS = ("lrp", "gradcam", "smoothgrad")


def retrained(metrics=("accuracy", "auc"), sd=0.05):
    rows = []
    for metric in metrics:
        for mode in ("kept", "removed"):
            for place, method in enumerate((*METHODS, "random")):
                for share in (30.0, 5.0):
                    mean = 0.5 + place / 20 + share / 200
                    rows.append((method, mode, share, metric, 0.1, mean, sd, 0.7, 0.1, 0.2, 0.9, 0.55, 4))
    names = ["method", "mode", "share", "metric", "volume", "mean", "sd", "random_mean", "difference_to_random"]
    return pd.DataFrame(rows, columns=[*names, "p_corrected_t", "whole", "chance", "folds"])


def masked(metric="accuracy"):
    rows = []
    for place, method in enumerate(METHODS):
        for group in ("F", "M", "joint"):
            for mask in ("threshold", "soft"):
                if (method, group) != ("lrp", "M"):
                    rows.append((method, group, mask, metric, 0.6 + place / 10, 0.05, 0.55, 0.65, 0.9, 0.5))
    names = ["method", "group", "mask", "metric", "mean", "sd", "random_mean", "random_95", "whole", "chance"]
    return pd.DataFrame(rows, columns=names)


def test_removed_and_kept_with_a_band_of_random_maps(tmp_path, figures, texts_of):
    draw_retraining(retrained(), tmp_path / "retraining.svg")
    (figure,) = figures
    removed, kept = figure.axes
    assert removed.get_title(loc="left") == "Faithful: below random maps"
    assert kept.get_title(loc="left") == "Faithful: above random maps"
    for axes in (removed, kept):
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == {"random maps", "whole images", "chance", *map(style.method_title, METHODS)}
        np.testing.assert_allclose(lines["SmoothGrad"].get_xydata(), [[5, 0.625], [30, 0.75]])
        np.testing.assert_allclose(lines["whole images"].get_ydata(), 0.9)
        np.testing.assert_allclose(lines["chance"].get_ydata(), 0.55)
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == pytest.approx((0.625, 0.85))
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == len(lines)
    texts = texts_of(figure)
    assert {"Accuracy, trained anew", "brain voxels removed (%)", "brain voxels kept (%)"} <= set(texts)
    (key,) = figure.legends
    assert len(key.get_texts()) == len(METHODS) + 3


def test_one_fold_and_a_number_after_a_file(tmp_path, figures, texts_of):
    write_table(retrained(("r", "mae"), np.nan), tmp_path / "table.tsv")
    draw_retraining(read_table(tmp_path / "table.tsv"), tmp_path / "retraining.png")
    assert figures[0].axes[0].get_title(loc="left") == "Faithful: above random maps"  # a larger error
    assert "Mean absolute error, trained anew" in texts_of(figures[0])
    assert (tmp_path / "retraining.png").stat().st_size > 1000


def test_another_metric(tmp_path, figures, texts_of):
    draw_retraining(retrained(), tmp_path / "retraining.png", "auc")
    assert "AUC, trained anew" in texts_of(figures[0])


def test_bars_beside_random_masks(tmp_path, figures, texts_of):
    draw_masked_accuracy(masked(), tmp_path / "masked.svg")
    (figure,) = figures
    assert len(figure.axes) == 6
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["Soft mask, class F", "Thresholded mask, class F"]
    assert titles[-1] == "Thresholded mask, all people"
    first, gap = figure.axes[0], figure.axes[2]
    names = [label.get_text() for label in first.get_yticklabels()]
    widths = dict(zip(names, [bar.get_width() for bar in first.patches], strict=True))
    assert widths[style.shorten("Layer-wise relevance propagation", 26)] == pytest.approx(0.6)
    assert widths["SmoothGrad"] == pytest.approx(0.8)
    assert sum(np.isnan(bar.get_width()) for bar in gap.patches) == 1
    assert sorted(names) == sorted(style.shorten(style.method_title(method), 26) for method in METHODS)
    reach = [segment for group in first.collections for segment in group.get_segments()]
    assert any(np.allclose(np.sort(segment[:, 0]), [0.55, 0.65]) for segment in reach)
    lines = {line.get_label(): line for line in first.lines}
    np.testing.assert_allclose(lines["whole images"].get_xdata(), 0.9)
    np.testing.assert_allclose(lines["chance"].get_xdata(), 0.5)
    assert "Accuracy" in texts_of(figure)
