"""Reproducibility as a picture: how alike maps are when the network is trained once more."""

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style

CHANGES = {
    "seed": "another\nseed",
    "dropout": "other\ndropout",
    "folds": "other\nfolds",
    "weights": "noise on\nweights",
    "shuffled": "shuffled\nlabels",
}
# Level, measure, title, label of the axis.
PANELS = (
    ("people", "spearman", "Maps of people", "Spearman\n(mean ± SD over people)"),
    ("population", "spearman", "Map of the population", "Spearman\n(mean ± SD over repeats)"),
    ("voxels", "icc_consistency", "Voxels", "ICC(3,1)\n(median and quartiles)"),
    ("regions", "overlap", "Top regions", "share in common\n(mean ± SD over repeats)"),
)
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY)
MARKERS = ("o", "D")  # beyond the colours
ACROSS = 2
ROOM = 0.8  # of the distance between two changes, shared by the methods


def draw_reproducibility(table: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw a panel a level, with a dot a method for every change and its chance level as a grey line.

    Parameters
    ----------
    table : DataFrame
        ``tables/reproducibility.tsv``, of `voxplain.evaluation.reproducibility_tables.pool_variants`. Bars are the
        standard deviation where there is one, of voxels the quartiles. A level without a row has no panel.
    out : path-like
    """
    known = [panel for panel in PANELS if ((table["level"] == panel[0]) & (table["measure"] == panel[1])).any()]
    changes = style.in_order(table["change"], CHANGES)
    methods = style.in_order(table["method"], style.METHOD_TITLES)
    width = max(4.2, 1.4 + 0.8 * len(changes))
    with style.drawn(
        out, width * min(ACROSS, len(known)), 0.6 + 2.7 * style.rows_of(len(known), ACROSS), table
    ) as figure:
        axes = style.panels(figure, len(known), ACROSS)
        for panel, (level, measure, title, label) in zip(axes, known, strict=True):
            _draw_level(panel, table[table["level"] == level], measure, changes, methods)
            panel.set_title(title)
            panel.set_ylabel(label)
        style.key_above(figure, axes, columns=3)


def _draw_level(panel: Axes, rows: pd.DataFrame, measure: str, changes: list[str], methods: list[str]) -> None:
    step = ROOM / len(methods)
    for place, method in enumerate(methods):
        own = rows[rows["method"] == method].set_index(["measure", "change"]).astype({"value": float, "sd": float})
        column = {
            name: own["value"].get(name, pd.Series(dtype=float)).reindex(changes).to_numpy()
            for name in (measure, f"{measure}_q25", f"{measure}_q75")
        }
        value, low, high = column.values()
        sd = own["sd"].get(measure, pd.Series(dtype=float)).reindex(changes).to_numpy()
        bars = np.where(np.isnan(low), [sd, sd], [value - low, high - value])
        chance = own["chance"].astype(float).get(measure, pd.Series(dtype=float)).reindex(changes).to_numpy()
        x = np.arange(len(changes)) + (place - (len(methods) - 1) / 2) * step
        turn, colour = divmod(place, len(COLOURS))
        panel.errorbar(
            x, value, np.nan_to_num(bars), color=COLOURS[colour], marker=MARKERS[turn % len(MARKERS)], markersize=4,
            linestyle="none", elinewidth=1, label=style.method_title(method),
        )  # fmt: skip
        panel.hlines(chance, x - step / 2, x + step / 2, color=style.MUTED, linewidth=1.3, label="chance")
    panel.axhline(0, color=style.MUTED, linewidth=0.6)
    panel.set_xticks(range(len(changes)), [CHANGES.get(change, change) for change in changes])
    panel.set_xlim(-0.5, len(changes) - 0.5)
    style.light_grid(panel, "y")
