"""Agreement between methods as a picture: how alike their maps are, and how much of that smoothness would give."""

import os

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from voxplain.population.maps import JOINT
from voxplain.reporting import style

SIGNIFICANT = 0.05
NAMED = 5  # pairs with a colour of their own
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY)


def draw_agreement(table: pd.DataFrame, out: str | os.PathLike, group: str = JOINT) -> None:
    """Draw a matrix of Spearman's correlations of absolute maps and, beside it, Dice over the volume compared.

    Parameters
    ----------
    table : DataFrame
        ``tables/agreement.tsv``. Each cell of the matrix says below its value what 95 % of equally smooth random maps
        stay below, and has a star where p < 0.05. The curves are Dice, corrected so that random voxels give 0; the
        five pairs that agree most have a colour.
    out : path-like
    group : str
        Whose maps.
    """
    table = table[table["group"] == group]
    methods = style.in_order([*table["first"], *table["second"]])
    if len(methods) < 2:
        with style.drawn(out, 5, 1.2, table) as figure:
            style.say(figure, "One method: there is no pair of maps to compare.")
        return
    side = 1.4 + 0.62 * len(methods)
    with style.drawn(out, side + 4.8, max(side, 3.4), table) as figure:
        heat, curves = figure.subplots(1, 2, width_ratios=(side, 4.0))
        _draw_matrix(heat, table[table["measure"] == "spearman_absolute"], methods)
        _draw_curves(curves, table[table["measure"] == "dice"])


def _draw_matrix(axes: Axes, pairs: pd.DataFrame, methods: list[str]) -> None:
    places = {method: place for place, method in enumerate(methods)}
    values = np.full((len(methods), len(methods)), np.nan)
    scale = matplotlib.colormaps[style.HEAT]
    for row in pairs.to_dict("records"):
        i, j = sorted((places[row["first"]], places[row["second"]]), reverse=True)
        values[i, j] = row["value"]
        if np.isnan(row["value"]):
            continue
        red, green, blue, _ = scale(row["value"])
        colour = style.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
        star = "*" if row["p"] < SIGNIFICANT else ""
        text = {"ha": "center", "va": "center", "color": colour}
        axes.text(j, i - 0.1, f"{row['value']:.2f}{star}", fontweight="bold" if star else "normal", **text)
        axes.text(j, i + 0.24, f"95 %: {row['null_95']:.2f}", fontsize=6, **text)
    axes.imshow(np.ma.masked_invalid(values), vmin=0, vmax=1, cmap=style.HEAT)
    titles = [style.shorten(style.method_title(method), 24) for method in methods]
    axes.set_xticks(range(len(methods) - 1), titles[:-1], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(1, len(methods)), titles[1:])
    axes.set_xlim(-0.5, len(methods) - 1.5)
    axes.set_ylim(len(methods) - 0.5, 0.5)
    axes.tick_params(length=0, labelcolor=style.INK)
    axes.spines[:].set_visible(False)
    axes.set_title("Spearman, absolute values")
    axes.set_xlabel("* more alike than 95 % of random maps as smooth", fontsize=8)


def _draw_curves(axes: Axes, pairs: pd.DataFrame) -> None:
    mean = pairs.groupby(["first", "second"], sort=False)["corrected"].mean()
    best = list(mean.sort_values(ascending=False, kind="stable").index[:NAMED])
    for pair in reversed([*best, *(other for other in mean.index if other not in best)]):
        rows = pairs[(pairs["first"] == pair[0]) & (pairs["second"] == pair[1])].sort_values("volume")
        look = {"color": style.FAINT, "label": "other pairs", "zorder": 1}
        if pair in best:
            names = (style.shorten(style.method_title(method), 24) for method in pair)
            look = {"color": COLOURS[best.index(pair)], "label": " – ".join(names), "zorder": 2}
        axes.plot(rows["volume"], rows["corrected"], marker="o", markersize=3, linewidth=1.5, **look)
    axes.axhline(0, color=style.MUTED, linestyle="--", linewidth=1)
    axes.set_xticks(sorted(set(pairs["volume"])), [f"{volume:g}" for volume in sorted(set(pairs["volume"]))])
    axes.set_ylim(top=1)
    axes.set_xlabel("strongest voxels compared, % of the brain")
    axes.set_title("Dice, corrected for chance")
    style.light_grid(axes, "y")
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    # The best pair first, as its curve is the uppermost.
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.16)}
    axes.legend(list(found.values())[::-1], list(found)[::-1], fontsize=7, **below)
