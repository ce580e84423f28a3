"""Maps beside plain anatomy as a picture: by voxels, and by the regions of an atlas."""

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from voxplain.reporting import style
from voxplain.reporting.verdicts import chance_of_error

ACROSS = 3
DENSEST = 3.0  # times as many voxels as independent maps would have; more has the same colour
NAME_HEIGHT = 0.045  # of the panel
LABELLED = 3  # regions named above the diagonal, and below it
COLOURS = {"left": style.BLUE, "right": style.ORANGE, "both": style.GREEN}


def draw_density(density: pd.DataFrame, anatomy: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw, a panel a method, where the voxels of the brain lie by the ranks of |t| of the images and of |map|.

    Parameters
    ----------
    density : DataFrame
        ``tables/anatomy_density.tsv``: ``method, percent_t, percent_map, density``.
    anatomy : DataFrame
        ``tables/anatomy.tsv``: the rank correlation of the absolute values and its p stand in the panel's title.
    out : path-like
    """
    methods = style.in_order(density["method"])
    correlation = anatomy[anatomy["measure"] == "spearman_absolute"].set_index("method")
    across, rows = min(ACROSS, len(methods)), style.rows_of(len(methods), ACROSS)
    with style.drawn(out, 2.7 * across + 1.2, 0.4 + 2.7 * rows, {"density": density, "correlation": anatomy}) as figure:
        axes = style.panels(figure, len(methods), ACROSS, sharex=True, sharey=True)
        for panel, method in zip(axes, methods, strict=True):
            own = density[density["method"] == method]
            grid = own.pivot_table(index="percent_map", columns="percent_t", values="density")
            panel.imshow(grid, origin="lower", extent=(0, 100, 0, 100), cmap=style.HEAT, vmin=0, vmax=DENSEST)
            value, p = correlation.loc[method, ["value", "p"]].astype(float)
            panel.set_title(style.shorten(style.method_title(method), 26))
            found = chance_of_error(p)
            error = f"p {found}" if found.startswith("<") else f"p = {found}"
            known = "the map is constant" if np.isnan(value) else f"ρ = {value:.2f}, {error}"
            panel.text(3, 96, known, va="top", fontsize=8, bbox={"color": style.PAPER, "alpha": 0.8, "pad": 1.5})
            panel.set_xticks([0, 50, 100])
            panel.set_yticks([0, 50, 100])
        for first in axes[::ACROSS]:
            first.set_ylabel("rank of |map|, %")
        for last in axes[-across:]:
            last.set_xlabel("rank of the images' |t|, %")
        scale = ScalarMappable(Normalize(0, DENSEST), style.HEAT)
        bar = figure.colorbar(scale, ax=axes, shrink=0.7 / rows, ticks=range(int(DENSEST) + 1), extend="max")
        bar.set_label("voxels, 1 = independent")
        bar.outline.set_visible(False)


def draw_ranks(regions: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw, a panel a method, the regions of an atlas by their rank in the images' |t| and in the map.

    Parameters
    ----------
    regions : DataFrame
        ``tables/anatomy_regions_{atlas}.tsv``: ``method, region, hemisphere, rank_map, rank_t, difference``. The three
        regions that the map ranks highest above the images' own statistic, and the three lowest, are named.
    out : path-like
    """
    methods = style.in_order(regions["method"])
    across, rows = min(ACROSS, len(methods)), style.rows_of(len(methods), ACROSS)
    last_rank = int(np.nanmax(regions[["rank_map", "rank_t"]].astype(float).to_numpy(), initial=1))
    with style.drawn(out, 3.4 * across, 0.5 + 3.2 * rows, regions) as figure:
        axes = style.panels(figure, len(methods), ACROSS, sharex=True, sharey=True)
        for panel, method in zip(axes, methods, strict=True):
            _draw_ranks(panel, regions[regions["method"] == method], last_rank)
            panel.set_title(style.shorten(style.method_title(method)))
        for first in axes[::ACROSS]:
            first.set_ylabel("rank by the map")
        for lowest in axes[-across:]:
            lowest.set_xlabel("rank by the images' |t|")
        style.key_above(figure, axes)


def _draw_ranks(axes: Axes, regions: pd.DataFrame, last_rank: int) -> None:
    known = regions.dropna(subset=["rank_map", "rank_t"])
    axes.plot([1, last_rank], [1, last_rank], color=style.FAINT, zorder=0)
    for side, colour in COLOURS.items():
        here = known[known["hemisphere"] == side]
        if len(here):
            axes.plot(here["rank_t"], here["rank_map"], ".", color=colour, markersize=4, label=side)
    order = known.sort_values(["difference", "index"], kind="stable")
    named = pd.concat([order[order["difference"] < 0].head(LABELLED), order[order["difference"] > 0].tail(LABELLED)])
    # Names stand towards the middle, and not closer to each other than they are high.
    for left in (True, False):
        height = -np.inf
        beside = named[(named["rank_t"] > last_rank / 2) == left].sort_values("rank_map")
        for row in beside.to_dict("records"):
            height = max(height + NAME_HEIGHT * last_rank, row["rank_map"])
            axes.annotate(
                style.shorten(str(row["region"]), 22), (row["rank_t"], height), (4 if left else -4, 0),
                textcoords="offset points", ha="left" if left else "right", va="center", fontsize=6,
            )  # fmt: skip
    # Rank 1 is the top: right and above.
    limits = (1.06 * last_rank, 1 - 0.05 * last_rank)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
