"""The randomisation test as a picture: how alike maps stay while layer after layer forgets what it learned."""

import os

import pandas as pd

from voxplain.reporting import style
from voxplain.reporting.reading import flags

MEASURES = {
    "spearman_absolute": ("Spearman, absolute values", style.BLUE),
    "spearman": ("Spearman, signed", style.ORANGE),
    "ssim": ("SSIM", style.GREEN),
}
ACROSS = 3


def draw_randomization(table: pd.DataFrame, verdicts: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw the similarity of people's maps over the number of randomised layers, a panel a method.

    Parameters
    ----------
    table : DataFrame
        ``tables/randomization.tsv``, of `voxplain.evaluation.randomization_tables.summarise_folds`; bands of one
        standard deviation over folds where it is known. A network trained on shuffled labels, whose ``layers`` are
        missing, stands right of the last layer.
    verdicts : DataFrame
        ``tables/randomization_verdicts.tsv``: ``method, threshold, survives``. The threshold is a dashed line, and the
        title of a method that survives says so.
    out : path-like
    """
    people = table[table["level"] == "people"]
    methods = style.in_order(people["method"])
    verdicts = verdicts.set_index("method")
    flagged = flags(verdicts["survives"])
    across = min(ACROSS, len(methods))
    rows = style.rows_of(len(methods), ACROSS)
    with style.drawn(out, max(3.0 * across, 4.6), 0.5 + 2.4 * rows, people) as figure:
        axes = style.panels(figure, len(methods), ACROSS, sharey=True)
        for panel, method in zip(axes, methods, strict=True):
            _draw_method(panel, people[people["method"] == method], float(verdicts.loc[method, "threshold"]))
            title = style.method_title(method)
            if flagged[method]:
                panel.set_title(f"{style.shorten(title, 22)}: survives", color=style.ORANGE)
            else:
                panel.set_title(style.shorten(title))
        for first in axes[::ACROSS]:
            first.set_ylabel("similarity to the map")
        for last in axes[-across:]:
            last.set_xlabel("randomised layers, from the output")
        style.key_above(figure, axes)


def _draw_method(panel, rows: pd.DataFrame, threshold: float) -> None:
    shuffled = rows[rows["layers"].isna()]
    steps = rows[rows["layers"].notna()].sort_values("layers")
    layers = steps["layers"].astype(int)
    last = int(layers.max())
    for measure, (title, colour) in MEASURES.items():
        mean, sd = steps[measure].astype(float), steps[f"{measure}_sd"].astype(float)
        panel.plot(layers, mean, color=colour, marker="o", markersize=3.5, label=title)
        panel.fill_between(layers, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
        panel.errorbar(
            [last + 1] * len(shuffled), shuffled[measure].astype(float), shuffled[f"{measure}_sd"].astype(float),
            color=colour, marker="D", markersize=4, linestyle="none",
        )  # fmt: skip
    panel.axhline(threshold, color=style.MUTED, linestyle="--", linewidth=1, label="threshold")
    panel.axhline(0, color=style.MUTED, linewidth=0.6)
    ticks = {int(number): str(int(number)) for number in layers}
    if len(shuffled):
        ticks[last + 1] = "labels"
    panel.set_xticks(list(ticks), list(ticks.values()))
    style.light_grid(panel, "y")
