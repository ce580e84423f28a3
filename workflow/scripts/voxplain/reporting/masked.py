"""Masked images as pictures: accuracy of networks trained anew on them, and of networks that never saw any."""

import os

import pandas as pd
from matplotlib.axes import Axes

from voxplain.models.metrics import LOWER_IS_BETTER
from voxplain.population.maps import JOINT
from voxplain.reporting import style
from voxplain.reporting.faithfulness import COLOURS, LINES
from voxplain.reporting.reading import headline_metric

MODES = {"removed": "brain voxels removed (%)", "kept": "brain voxels kept (%)"}
MASKS = {"soft": "Soft mask", "threshold": "Thresholded mask"}
RANDOM = "random"


def draw_retraining(table: pd.DataFrame, out: str | os.PathLike, metric: str | None = None) -> None:
    """Draw a panel for voxels removed and one for voxels kept: a curve a method, random maps as a grey band.

    Parameters
    ----------
    table : DataFrame
        ``tables/retraining.tsv``: ``method, mode, share, metric, mean, sd, whole, chance``, random maps being the
        method ``random``; their band is one standard deviation over folds wide to either side.
    out : path-like
    metric : str, optional
        By default accuracy, or the mean absolute error.
    """
    metric = metric or headline_metric(table["metric"])
    table = table[table["metric"] == metric]
    modes = style.in_order(table["mode"], MODES)
    methods = [one for one in style.in_order(table["method"], style.METHOD_TITLES) if one != RANDOM]
    with style.drawn(out, 0.9 + 3.2 * len(modes), 3.6, table) as figure:
        panels = figure.subplots(1, len(modes), squeeze=False, sharey=True)[0]
        for axes, mode in zip(panels, modes, strict=True):
            here = table[table["mode"] == mode].sort_values("share")
            random = here[here["method"] == RANDOM].astype({"mean": float, "sd": float})
            axes.plot(random["share"], random["mean"], color=style.MUTED, linestyle="--", label="random maps")
            low, high = random["mean"] - random["sd"], random["mean"] + random["sd"]
            axes.fill_between(random["share"], low, high, color=style.MUTED, alpha=0.2, linewidth=0)
            for place, method in enumerate(methods):
                rows, (turn, colour) = here[here["method"] == method], divmod(place, len(COLOURS))
                axes.plot(
                    rows["share"], rows["mean"], color=COLOURS[colour], linestyle=LINES[turn % len(LINES)],
                    linewidth=1.6, marker="o", markersize=3.5, label=style.method_title(method),
                )  # fmt: skip
            _mark_levels(axes.axhline, here)
            axes.set_xlabel(MODES.get(mode, mode))
            lower = (mode == "removed") != (metric in LOWER_IS_BETTER)
            axes.set_title(f"Faithful: {'below' if lower else 'above'} random maps")
            axes.set_xticks(sorted(here["share"].unique()))
            axes.tick_params(labelleft=True)
            style.light_grid(axes, "y")
        panels[0].set_ylabel(f"{style.metric_title(metric)}, trained anew")
        style.key_above(figure, panels, columns=3)


def draw_masked_accuracy(table: pd.DataFrame, out: str | os.PathLike, metric: str | None = None) -> None:
    """Draw a row of panels a group and a panel a kind of mask: a bar a method, and beside it what random masks reach.

    Parameters
    ----------
    table : DataFrame
        ``tables/masked_accuracy.tsv``: ``method, group, mask, metric, mean, sd, random_mean, random_95, whole,
        chance``. The grey line reaches from the mean of the random masks to the end that 5 % of them pass.
    out : path-like
    metric : str, optional
        By default accuracy, or the mean absolute error.
    """
    metric = metric or headline_metric(table["metric"])
    table = table[table["metric"] == metric]
    groups = sorted(dict.fromkeys(table["group"]), key=lambda group: group == JOINT)
    masks = style.in_order(table["mask"], MASKS)
    methods = style.in_order(table["method"], style.METHOD_TITLES)
    height = 0.9 + len(groups) * (0.8 + 0.28 * len(methods))
    with style.drawn(out, 1.8 + 2.6 * len(masks), height, table) as figure:
        panels = figure.subplots(len(groups), len(masks), squeeze=False, sharex=True, sharey=True)
        for row, group in zip(panels, groups, strict=True):
            for axes, mask in zip(row, masks, strict=True):
                here = table[(table["group"] == group) & (table["mask"] == mask)].set_index("method")
                _draw_bars(axes, here.reindex(methods))
                axes.set_title(f"{MASKS.get(mask, mask)}, {style.group_title(group)}")
        for axes in panels[-1]:
            axes.set_xlabel(style.metric_title(metric))
        style.key_above(figure, panels.ravel(), columns=3)


def _draw_bars(axes: Axes, rows: pd.DataFrame) -> None:
    places = range(len(rows))
    mean, sd, random, end = (rows[name].astype(float) for name in ("mean", "sd", "random_mean", "random_95"))
    axes.barh(places, mean, height=0.5, color=style.BLUE, alpha=0.75, label="map")
    axes.errorbar(mean, places, xerr=sd, color=style.INK, linestyle="none", linewidth=0.9, label="sd over folds")
    below = [place + 0.36 for place in places]
    axes.hlines(below, random, end, color=style.MUTED, linewidth=2.2, label="random masks: mean to 95 %")
    axes.plot(random, below, color=style.MUTED, marker="D", markersize=3.5, linestyle="none")
    _mark_levels(axes.axvline, rows)
    style.name_rows(axes, [style.shorten(style.method_title(method), 26) for method in rows.index])


def _mark_levels(line, rows: pd.DataFrame) -> None:
    """Draw what whole images and no image at all are worth."""
    line(float(rows["whole"].astype(float).mean()), color=style.INK, linewidth=1, label="whole images")
    line(float(rows["chance"].astype(float).mean()), color=style.INK, linewidth=1, linestyle=":", label="chance")
