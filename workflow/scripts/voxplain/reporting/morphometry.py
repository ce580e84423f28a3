"""Whether the maps and the models of morphometry point at the same regions."""

import os

import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style
from voxplain.reporting.importance import kind_title
from voxplain.reporting.reading import models_of

SIDES = {"left": ("<", style.BLUE), "right": (">", style.ORANGE)}
NEITHER = ("o", style.GREEN)
KIND = "permutation"  # the only one that every model has


def draw_morphometry(regions: pd.DataFrame, correlation: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw each region's share of the map against its share of the morphometric importance.

    A column of panels a method, a row an atlas and model.

    Parameters
    ----------
    regions : DataFrame
        ``tables/morphometry_vs_maps.tsv``: ``atlas, method, model, kind, region, hemisphere, importance, map_share``.
        Of each model the permutation importances are drawn, or, where it has none, those of its first kind.
    correlation : DataFrame
        ``tables/morphometry_correlation.tsv``: ``atlas, method, model, kind, regions, spearman``.
    out : path-like
    """
    if regions.empty:
        with style.drawn(out, 6, 1.2, regions) as figure:
            style.say(figure, "No atlas has enough regions that bear the names of morphometric features.")
        return
    methods = style.in_order(regions["method"])
    kinds = {model: _kind(regions[regions["model"] == model]) for model in models_of(regions)}
    pairs = [(atlas, model) for atlas in style.in_order(regions["atlas"].astype(str)) for model in kinds]
    drawn = regions[regions["kind"] == regions["model"].map(kinds)]
    with style.drawn(out, 0.7 + 2.3 * max(len(methods), 2), 0.8 + 2.1 * len(pairs), drawn) as figure:
        panels = figure.subplots(len(pairs), len(methods), squeeze=False, sharex="row", sharey="col")
        for row, (atlas, model) in zip(panels, pairs, strict=True):
            for axes, method in zip(row, methods, strict=True):
                here = {"atlas": atlas, "method": method, "model": model, "kind": kinds[model]}
                _draw_panel(axes, _where(regions, here), _where(correlation, here))
            row[0].set_ylabel(f"{style.model_title(model)}\n{atlas}", fontsize=8, color=style.INK)
        for axes, method in zip(panels[0], methods, strict=True):
            _, high = axes.get_ylim()
            axes.set_ylim(-0.05 * high, 1.15 * high)  # room for the correlation above the points
            axes.set_title(style.shorten(style.method_title(method), 26), fontsize=9)
        shown = ", ".join(dict.fromkeys(kind_title(kind) for kind in kinds.values()))
        figure.supxlabel(f"share of the importance ({shown}), %", fontsize=9, color=style.MUTED)
        figure.supylabel("share of the map, %", fontsize=9, color=style.MUTED)
        style.key_above(figure, list(panels.flat), columns=3)


def _kind(rows: pd.DataFrame) -> str:
    kinds = style.in_order(rows["kind"].astype(str), first=[KIND])
    return kinds[0]


def _where(frame: pd.DataFrame, values: dict[str, str]) -> pd.DataFrame:
    for column, value in values.items():
        frame = frame[frame[column].astype(str) == value]
    return frame


def _draw_panel(axes: Axes, rows: pd.DataFrame, correlation: pd.DataFrame) -> None:
    sides = rows["hemisphere"].astype(str).where(rows["hemisphere"].astype(str).isin(SIDES), "neither")
    for side in ("left", "right", "neither"):
        own = rows[sides == side]
        mark, colour = SIDES.get(side, NEITHER)
        if len(own):
            label = side if side in SIDES else "both or neither side"
            axes.scatter(100 * own["importance"], 100 * own["map_share"], marker=mark, s=16, color=colour,
                         alpha=0.75, linewidth=0, label=label)  # fmt: skip
    if rows[["importance", "map_share"]].dropna().empty:
        axes.text(0.5, 0.5, "nothing to compare:\none side is 0", transform=axes.transAxes, ha="center", va="center",
                  fontsize=7, color=style.MUTED)  # fmt: skip
    if len(correlation) and pd.notna(correlation["spearman"].iloc[0]):
        text = f"ρ = {correlation['spearman'].iloc[0]:.2f}, {int(correlation['regions'].iloc[0])} regions"
        axes.text(0.97, 0.96, text.replace("-", "−"), transform=axes.transAxes, ha="right", va="top", fontsize=7,
                  color=style.INK)  # fmt: skip
    axes.tick_params(labelsize=7)
    axes.margins(0.08)
    style.light_grid(axes, "x")
    style.light_grid(axes, "y")
