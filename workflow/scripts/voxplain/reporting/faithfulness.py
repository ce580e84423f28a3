"""Deletion and insertion as a picture: what becomes of the network's answer as voxels go, or come back."""

import os
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style

KINDS = {"deletion": "brain voxels taken away (%)", "insertion": "brain voxels given back (%)"}
REPLACEMENTS = {"mean": "Mean image", "blur": "Blurred image", "resample": "Others of the class"}
# Title, and what the curve of a faithful order does soon: in deletion, in insertion. In the order of preference.
MEASURES = {
    "probability": ("Probability of the first answer", "falls", "rises"),
    "change": ("Squared change of the answer (SD²)", "rises", "falls"),
    "accuracy": ("Accuracy", "falls", "rises"),
    "mae": ("Mean absolute error", "rises", "falls"),
}
REFERENCES = {"random": ("random order", "--"), "intensity": ("brightest voxels first", ":")}
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY)
LINES = ("-", "-.")  # beyond the colours


def draw_faithfulness(curves: pd.DataFrame, out: str | os.PathLike, measure: str | None = None) -> None:
    """Draw a column of panels per replacement and a row per kind, with a curve per method and the references in grey.

    Parameters
    ----------
    curves : DataFrame
        ``tables/faithfulness_curves.tsv``: ``method, replacement, kind, order, measure, share`` (percent)``, mean``.
        Where methods were measured on different people, the references are means over the methods.
    out : path-like
    measure : str, optional
        Which measure; default: the first of `MEASURES` that the table has.
    """
    measure = measure or style.in_order(curves["measure"], MEASURES)[0]
    curves = curves[curves["measure"] == measure]
    columns = style.in_order(curves["replacement"], REPLACEMENTS)
    methods = style.in_order(curves["method"], style.METHOD_TITLES)
    title, *soon = MEASURES[measure]
    with style.drawn(out, 0.9 + 2.7 * len(columns), 5.6, curves) as figure:
        panels = figure.subplots(len(KINDS), len(columns), squeeze=False, sharex=True, sharey=True)
        for row, (kind, label), does in zip(panels, KINDS.items(), soon, strict=True):
            for axes, replacement in zip(row, columns, strict=True):
                here = curves[(curves["kind"] == kind) & (curves["replacement"] == replacement)]
                _draw_panel(axes, here, methods)
                axes.set_xlabel(label)
                axes.tick_params(labelbottom=True)
            row[0].set_ylabel(f"{title}\n(faithful: {does} soon)")
        for axes, replacement in zip(panels[0], columns, strict=True):
            axes.set_title(REPLACEMENTS.get(replacement, replacement))
        style.key_above(figure, panels.ravel(), columns=min(4, len(columns) + 1))


def _draw_panel(axes: Axes, curves: pd.DataFrame, methods: Sequence[str]) -> None:
    for order, (label, line) in REFERENCES.items():
        mean = curves[curves["order"] == order].groupby("share")["mean"].mean()
        axes.plot(mean.index, mean, color=style.MUTED, linestyle=line, linewidth=1.3, label=label)
    for place, method in enumerate(methods):
        rows = curves[(curves["order"] == "map") & (curves["method"] == method)].sort_values("share")
        turn, colour = divmod(place, len(COLOURS))
        look = {"color": COLOURS[colour], "linestyle": LINES[turn % len(LINES)]}
        axes.plot(rows["share"], rows["mean"], linewidth=1.6, label=style.method_title(method), **look)
    axes.set_xlim(0, 100)
    style.light_grid(axes, "y")
