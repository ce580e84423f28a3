"""The noise model's own test as a picture: the score while more and more voxels are freed of noise."""

import os

import pandas as pd

from voxplain.reporting import style

ORDERS = {"importance": ("most important voxels first", style.BLUE), "random": ("in random order", style.ORANGE)}


def draw_noise_utility(utility: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw the score over the share of clean voxels, in the order of importance and in random order.

    Parameters
    ----------
    utility : DataFrame
        ``tables/noise_utility.tsv``: ``order, share_clean`` (percent)``, metric, mean, sd, folds``; a band of one
        standard deviation over folds where it is known.
    out : path-like
    """
    with style.drawn(out, 5.2, 3.0, utility) as figure:
        axes = figure.subplots()
        for order, (title, colour) in ORDERS.items():
            rows = utility[utility["order"] == order].sort_values("share_clean")
            mean, sd = rows["mean"].astype(float), rows["sd"].astype(float)
            axes.plot(rows["share_clean"], mean, color=colour, marker="o", markersize=3.5, label=title)
            axes.fill_between(rows["share_clean"], mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="brain voxels without noise (%)", ylabel=style.metric_title(utility["metric"].iloc[0]))
        axes.set_xlim(0, 100)
        axes.grid(axis="y")
        axes.legend()
