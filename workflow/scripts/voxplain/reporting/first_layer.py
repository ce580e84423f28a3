"""How the classes differ in the features of the network's first layer."""

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style
from voxplain.reporting.reading import flags

STATISTICS = {"mean": "Mean activation", "entropy": "Entropy"}
ADJUSTED = {"none": "as it is", "tiv": "head size taken out"}


def classes_of(differences: pd.DataFrame) -> list[str]:
    """Return the two classes A and B of a table with the columns ``mean_A`` and ``mean_B``, in its order."""
    return [column.removeprefix("mean_") for column in differences.columns if column.startswith("mean_")]


def statistic_title(statistic: str) -> str:
    """Return what was compared, as people write it."""
    return STATISTICS.get(statistic, statistic)


def adjusted_title(adjusted: str) -> str:
    """Return what was taken out before, as people write it."""
    return ADJUSTED.get(adjusted, adjusted)


def draw_first_layer(differences: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw effect sizes with their intervals: a column of panels a fold, in each the features sorted by their effect.

    Features of different folds have nothing to do with each other: every network numbers its own.

    Parameters
    ----------
    differences : DataFrame
        ``tables/first_layer.tsv``: ``fold, feature, statistic, adjusted, mean_{A}, mean_{B}, hedges_g, ci_low,
        ci_high, significant`` ...; constant features have no effect size and are left out.
    out : path-like
    """
    folds = style.in_order(differences["fold"].astype(str))
    kinds = [
        (statistic, adjusted)
        for statistic in style.in_order(differences["statistic"], first=list(STATISTICS))
        for adjusted in style.in_order(differences["adjusted"], first=list(ADJUSTED))
    ]
    if not folds:
        with style.drawn(out, 5, 1.2, differences) as figure:
            style.say(figure, "No features of the first layer were compared.")
        return
    classes = classes_of(differences)
    features = int(differences.groupby(["fold", "statistic", "adjusted"]).size().max())
    each = 0.45 + max(0.9, 0.055 * features)
    with style.drawn(out, 1.0 + max(0.95 * len(folds), 4.5), each * len(kinds) + 0.7, differences) as figure:
        panels = figure.subplots(len(kinds), len(folds), squeeze=False, sharex=True, sharey=True)
        for row, (statistic, adjusted) in zip(panels, kinds, strict=True):
            chosen = differences[(differences["statistic"] == statistic) & (differences["adjusted"] == adjusted)]
            for axes, fold in zip(row, folds, strict=True):
                _draw_effects(axes, chosen[chosen["fold"].astype(str) == fold], classes)
            row[0].set_ylabel(f"{statistic_title(statistic)}\n{adjusted_title(adjusted)}", fontsize=8, color=style.INK)
        for axes, fold in zip(panels[0], folds, strict=True):
            axes.set_title(f"Fold {fold}", fontsize=9)
        panels[0, 0].set_ylim(-1, features)
        panels[0, 0].set_yticks([])
        figure.supxlabel(f"Hedges' g, {classes[1]} minus {classes[0]}, 95 % interval", fontsize=9, color=style.MUTED)
        style.key_above(figure, list(panels.flat), columns=3)


def _draw_effects(axes: Axes, rows: pd.DataFrame, classes: list[str]) -> None:
    rows = rows.dropna(subset="hedges_g").sort_values("hedges_g", kind="stable")
    effect, place = rows["hedges_g"].to_numpy(dtype=float), np.arange(len(rows))
    significant = flags(rows["significant"]).to_numpy()
    # Colour and place tell the direction, filled or hollow the significance: neither hangs on the colour alone.
    for chosen, colour, face, text in (
        (significant & (effect > 0), style.BLUE, style.BLUE, f"larger in {classes[1]}"),
        (significant & (effect < 0), style.ORANGE, style.ORANGE, f"larger in {classes[0]}"),
        (~significant, style.MUTED, style.PAPER, "not significant (FDR 5 %)"),
    ):
        if chosen.any():
            axes.hlines(place[chosen], rows["ci_low"][chosen], rows["ci_high"][chosen], color=colour, linewidth=0.9)
            axes.plot(effect[chosen], place[chosen], "o", markersize=3, color=colour, markerfacecolor=face,
                      markeredgewidth=0.8, label=text)  # fmt: skip
    axes.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="both", labelsize=7)
    style.light_grid(axes, "x")
