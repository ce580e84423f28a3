"""How far the masks of different methods agree."""

import os

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from voxplain.reporting import style

WIDEST = 13.0  # inches of heat maps side by side


def draw_dice(dice: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw the Dice table as one heat map per group, with the Dice of random masks of the same sizes below each.

    Parameters
    ----------
    dice : DataFrame
        ``tables/dice.tsv``: ``group, method_a, method_b, dice, dice_chance``; a pair may stand once or both ways
        round. Without pairs (a single method) the figure says so.
    out : path-like
    """
    groups = style.in_order(dice["group"], first=["joint"])
    methods = style.in_order([*dice["method_a"], *dice["method_b"]])
    side = 1.0 + 0.72 * len(methods)
    across = max(1, min(len(groups), int(WIDEST / side)))
    down = style.rows_of(len(groups), across)
    size = (5, 1.2) if len(methods) < 2 else (side * across + 2.4, side * down + 0.9)
    with style.drawn(out, *size, dice, layout="compressed") as figure:
        if len(methods) < 2:
            style.say(figure, "One method: there is no pair of masks to compare.")
            return
        panels = style.panels(figure, len(groups), across, sharex=True, sharey=True)
        for axes, group in zip(panels, groups, strict=True):
            _draw_heat(axes, dice[dice["group"] == group], methods)
            title = style.group_title(group)
            axes.set_title(title[0].upper() + title[1:])
        scale = ScalarMappable(Normalize(0, 1), style.HEAT)
        bar = figure.colorbar(scale, ax=panels, shrink=0.75 / down, ticks=[0, 0.5, 1], label="Dice")
        bar.outline.set_visible(False)


def as_matrix(pairs: pd.DataFrame, methods: list[str], column: str) -> np.ndarray:
    """Return the pairs' values as a symmetric matrix [methods, methods]; NaN on the diagonal and where no pair is."""
    places = {method: i for i, method in enumerate(methods)}
    matrix = np.full((len(methods), len(methods)), np.nan)
    for a, b, value in zip(pairs["method_a"], pairs["method_b"], pairs[column], strict=True):
        if a != b:
            matrix[places[a], places[b]] = matrix[places[b], places[a]] = value
    return matrix


def _draw_heat(axes: Axes, pairs: pd.DataFrame, methods: list[str]) -> None:
    values, chance = as_matrix(pairs, methods, "dice"), as_matrix(pairs, methods, "dice_chance")
    axes.imshow(np.ma.masked_invalid(values), vmin=0, vmax=1, cmap=style.HEAT)
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        red, green, blue, _ = matplotlib.colormaps[style.HEAT](value)
        colour = style.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
        axes.text(j, i - 0.07, f"{value:.2f}", ha="center", va="center", color=colour, fontweight="bold")
        if not np.isnan(chance[i, j]):
            axes.text(j, i + 0.27, f"chance {chance[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=6)
    titles = [style.shorten(style.method_title(method), 24) for method in methods]
    axes.set_xticks(range(len(methods)), titles, rotation=35, ha="right", rotation_mode="anchor", color=style.INK)
    axes.set_yticks(range(len(methods)), titles, color=style.INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
