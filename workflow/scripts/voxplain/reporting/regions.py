"""Which regions of an atlas hold most of each method's map."""

import os

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from voxplain.base.errors import refuse
from voxplain.reporting import style

ACROSS = 2  # panels in a row


def draw_regions(
    regions: pd.DataFrame,
    planted: pd.DataFrame | None,
    out: str | os.PathLike,
    group: str = "joint",
    top: int = 10,
) -> None:
    """Draw the top regions of every method as bars of their share of the absolute map.

    Parameters
    ----------
    regions : DataFrame
        ``tables/regions_{atlas}.tsv``: ``method, group, index, region, share, rank`` ...
    planted : DataFrame, optional
        A table with the column ``index`` (``tables/planted_regions.tsv`` or the truth's regions) of the same atlas;
        these regions are drawn in another colour and marked with a star.
    out : path-like
    group : str
        Whose maps.
    top : int
        Regions per method.

    Raises
    ------
    InputError
        When the table holds nothing about `group`.
    """
    chosen = regions[regions["group"] == group]
    if chosen.empty:
        refuse(f"The table of regions has no rows of the group {group!r}; it has", sorted(set(regions["group"])))
    methods = style.in_order(chosen["method"])
    truth = frozenset() if planted is None else frozenset(planted["index"].astype(int))
    across = min(ACROSS, len(methods))
    down = style.rows_of(len(methods), across)
    most = min(top, int(chosen.groupby("method").size().max()))
    first = {method: top_rows(chosen[chosen["method"] == method], top) for method in methods}
    with style.drawn(out, 5.0 * across, down * (0.65 + 0.24 * most) + 0.4, pd.concat(first.values())) as figure:
        for axes, (method, rows) in zip(style.panels(figure, len(methods), across), first.items(), strict=True):
            axes.set_title(style.method_title(method))
            if rows.empty:
                axes.axis("off")
                axes.text(0.5, 0.5, "The map is 0 in every region.", ha="center", color=style.MUTED)
                continue
            _draw_bars(axes, rows, truth)
            axes.set_xlim(0, 112 * float(chosen["share"].max()))
        if truth:
            key = [Patch(color=style.ORANGE, label="★ planted"), Patch(color=style.SKY, label="not planted")]
            figure.legend(handles=key, loc="outside lower center", ncols=2)


def top_rows(regions: pd.DataFrame, top: int) -> pd.DataFrame:
    """Return the `top` rows of best rank (1 first), ties by the region's index; regions without a rank are left out."""
    return regions.dropna(subset="rank").sort_values(["rank", "index"], kind="stable").head(top)


def _draw_bars(axes: Axes, rows: pd.DataFrame, truth: frozenset[int]) -> None:
    known = [int(index) in truth for index in rows["index"]]
    share = 100 * rows["share"].astype(float)
    bars = axes.barh(range(len(rows)), share, height=0.72, color=[style.ORANGE if k else style.SKY for k in known])
    axes.bar_label(bars, [f"{value:.1f}" for value in share], padding=3, fontsize=7, color=style.MUTED)
    names = [("★ " if k else "") + style.shorten(str(name)) for k, name in zip(known, rows["region"], strict=True)]
    axes.set_yticks(range(len(rows)), names, fontsize=8, color=style.INK)
    axes.invert_yaxis()
    axes.set_xlabel("share of the map, %", fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    style.light_grid(axes, "x")
