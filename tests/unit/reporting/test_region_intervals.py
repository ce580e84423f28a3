"""The picture of shares and ranks with intervals."""

import numpy as np
import pandas as pd
import pytest

import draw_region_intervals as script
from voxplain.base.errors import InputError
from voxplain.base.files import write_table
from voxplain.reporting.region_intervals import draw_region_intervals


@pytest.fixture
def intervals():
    rows = []
    for method in ("lrp", "gradcam"):
        for index in range(1, 9):
            share = (0.4 if method == "lrp" else 0.2) / index
            rows.append((method, "joint", "boxes", index, f"Region ${index}", share, share * 0.8, share * 1.1, index))
    names = ["method", "group", "atlas", "index", "region", "share", "share_low", "share_high", "rank"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(rank_low=table["rank"] - 1 + (table["rank"] == 1), rank_high=table["rank"] + 2)


def test_shares_and_ranks_with_their_intervals(intervals, tmp_path, figures, texts_of):
    other = pd.concat([intervals, intervals.assign(group="F", share=0.9), intervals.assign(atlas="other", share=0.9)])
    write_table(other.sample(frac=1, random_state=0), tmp_path / "intervals.tsv")
    script.run(tmp_path / "intervals.tsv", tmp_path / "x.svg", atlas="boxes", top=5)
    (figure,) = figures
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Grad-CAM", "Layer-wise relevance propagation"]
    axes = figure.axes[1]
    lines, points = axes.collections
    np.testing.assert_allclose(points.get_offsets(), [[40 / n, n - 1] for n in range(1, 6)])
    ends = [path.vertices for path in lines.get_paths()]
    np.testing.assert_allclose(ends, [[[32 / n, n - 1], [44 / n, n - 1]] for n in range(1, 6)])
    assert figure.axes[0].get_xlim() == axes.get_xlim() == pytest.approx((0, 46.2))
    texts = texts_of(figure)
    assert texts.count("1 (1–3)") == texts.count("5 (4–7)") == 2
    assert "6 (5–8)" not in texts
    assert "Region $1" in texts
    # Each rank stands beside its own row.
    figure.draw_without_rendering()
    heights = [text.get_window_extent().y0 + text.get_window_extent().height / 2 for text in axes.texts[1:]]
    rows = axes.transData.transform([[0, place] for place in range(5)])[:, 1]
    np.testing.assert_allclose(heights, rows, atol=3)


def test_a_map_of_zeros_says_so(intervals, tmp_path, figures, texts_of):
    empty = ["share", "share_low", "share_high", "rank", "rank_low", "rank_high"]
    intervals.loc[intervals["method"] == "lrp", empty] = np.nan
    draw_region_intervals(intervals, tmp_path / "x.png", "boxes")
    assert "The map is 0 in every region." in texts_of(figures[0])
    draw_region_intervals(intervals[intervals["method"] == "lrp"], tmp_path / "y.png", "boxes")


def test_an_atlas_without_rows_is_refused(intervals, tmp_path):
    with pytest.raises(InputError, match="boxes"):
        draw_region_intervals(intervals, tmp_path / "x.png", "none")
