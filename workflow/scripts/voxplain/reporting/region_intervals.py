"""How sure the first regions of each method are: shares and ranks with bootstrap intervals."""

import os

import pandas as pd
from matplotlib.axes import Axes

from voxplain.base.errors import refuse
from voxplain.reporting import style
from voxplain.reporting.regions import ACROSS, top_rows

_RIGHT_OF = ("axes fraction", "data")
_BESIDE = {
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "fontsize": 7,
    "color": style.MUTED,
    "annotation_clip": False,
}


def draw_region_intervals(
    intervals: pd.DataFrame, out: str | os.PathLike, atlas: str, group: str = "joint", top: int = 10
) -> None:
    """Draw the share of the top regions of every method with its interval, and the interval of the rank beside it.

    Parameters
    ----------
    intervals : DataFrame
        ``tables/region_intervals.tsv``: ``method, group, atlas, index, region, share, share_low, share_high, rank,
        rank_low, rank_high, replicates, clusters`` ...
    out : path-like
    atlas, group : str
        Whose regions and maps.
    top : int
        Regions per method.

    Raises
    ------
    InputError
        When the table holds nothing about this atlas and group.
    """
    chosen = intervals[(intervals["atlas"].astype(str) == atlas) & (intervals["group"] == group)]
    if chosen.empty:
        known = sorted(set(zip(intervals["atlas"], intervals["group"], strict=True)))
        refuse(f"The table of intervals has no rows of the atlas {atlas!r} and group {group!r}; it has", known)
    methods = style.in_order(chosen["method"], style.METHOD_TITLES)
    across = min(ACROSS, len(methods))
    down = style.rows_of(len(methods), across)
    tables = {method: top_rows(chosen[chosen["method"] == method], top) for method in methods}
    most = max(1, *(len(rows) for rows in tables.values()))
    with style.drawn(out, 5.4 * across, down * (0.75 + 0.24 * most) + 0.3, pd.concat(tables.values())) as figure:
        for axes, (method, rows) in zip(style.panels(figure, len(methods), across), tables.items(), strict=True):
            axes.set_title(style.method_title(method))
            if rows.empty:
                axes.axis("off")
                axes.text(0.5, 0.5, "The map is 0 in every region.", ha="center", color=style.MUTED)
                continue
            _draw_intervals(axes, rows)
        furthest = pd.concat(tables.values())[["share", "share_high"]].max().max()
        for axes in figure.axes if furthest > 0 else ():
            axes.set_xlim(0, 105 * float(furthest))


def _draw_intervals(axes: Axes, rows: pd.DataFrame) -> None:
    places, numbers = range(len(rows)), rows[["share", "share_low", "share_high"]].astype(float) * 100
    axes.hlines(places, numbers["share_low"], numbers["share_high"], color=style.SKY, linewidth=4, zorder=1)
    axes.scatter(numbers["share"], places, color=style.BLUE, s=22, zorder=2)
    style.name_rows(axes, [style.shorten(str(name)) for name in rows["region"]])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("share of the map, % (95 % interval)", fontsize=8)
    # Above and beside the panel, so that no interval runs into the words.
    axes.annotate("rank", (1.02, 1), (0, 4), **_BESIDE, va="bottom")
    for place, row in zip(places, rows.itertuples(), strict=True):
        axes.annotate(rank_text(row), (1.02, place), (0, 0), **_BESIDE | {"xycoords": _RIGHT_OF}, va="center")


def rank_text(row) -> str:
    """Return ``3 (2–5)``: a rank and its interval; the rank alone where there is no interval."""
    if pd.isna(row.rank_low):
        return f"{row.rank:.0f}"
    return f"{row.rank:.0f} ({row.rank_low:.0f}–{row.rank_high:.0f})"
