"""How the networks learned, and how well they do on people that they did not see."""

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from voxplain.base.errors import refuse
from voxplain.reporting import style

METRIC_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
    "mae": "Mean absolute error",
    "r": "Correlation r",
}
PARTS = {"train": (style.BLUE, "training"), "validation": (style.ORANGE, "validation")}


def metrics_of(accuracy: pd.DataFrame) -> list[str]:
    """Return the metrics that an accuracy table holds, in the order of `METRIC_TITLES`."""
    return [metric for metric in METRIC_TITLES if metric in accuracy.columns]


def draw_training(histories: Mapping[str | int, pd.DataFrame], out: str | os.PathLike) -> None:
    """Draw loss and accuracy (or MAE) over epochs: a thin line a fold, a thick one for their mean, a dot per best.

    Parameters
    ----------
    histories : mapping of fold to DataFrame
        ``models/fold-{f}/history.tsv``: ``epoch``, ``train_loss``, ``validation_loss`` (missing without a validation
        split), ``train_accuracy`` and ``validation_accuracy`` (or ``_mae``), ``best``. May be empty when the weights
        came from outside.
    out : path-like
    """
    with style.drawn(out, 8.2, 3.1) as figure:
        if not histories:
            style.say(figure, "No training: the network's weights were given.")
            return
        left, right = figure.subplots(1, 2)
        kind = "mae" if any("train_mae" in history for history in histories.values()) else "accuracy"
        _draw_histories(left, histories, "loss", "Loss")
        _draw_histories(right, histories, kind, METRIC_TITLES[kind])
        handles, labels = left.get_legend_handles_labels()
        left.legend(handles, labels, loc="upper right")


def _draw_histories(axes: Axes, histories: Mapping, kind: str, title: str) -> None:
    for part, (colour, name) in PARTS.items():
        curves = {}
        for fold, history in histories.items():
            if f"{part}_{kind}" not in history or history[f"{part}_{kind}"].isna().all():
                continue
            curves[fold] = curve = history.set_index("epoch")[f"{part}_{kind}"].astype(float)
            axes.plot(curve.index, curve, color=colour, linewidth=0.8, alpha=0.35)
            if part == "validation":
                best = history.loc[_truth(history["best"]), "epoch"].tail(1)
                axes.plot(best, curve.loc[best], "o", color=colour, markersize=3.5, markeredgewidth=0)
        if curves:
            mean = pd.DataFrame(curves).mean(axis=1)
            axes.plot(mean.index, mean, color=colour, linewidth=2, label=f"{name} (mean of {len(curves)} folds)")
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if kind == "accuracy":
        axes.set_ylim(None, 1.01)
    else:
        axes.set_ylim(0, None)
    style.light_grid(axes, "y")


def _truth(column: pd.Series) -> pd.Series:
    """Read a column of flags however it was written (1, true, True)."""
    return column.astype(str).str.lower().isin({"1", "1.0", "true", "yes"})


def draw_accuracy(accuracy: pd.DataFrame, summary: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw every fold's metrics as dots, their mean ± SD, and the chance level.

    Parameters
    ----------
    accuracy : DataFrame
        ``tables/accuracy.tsv``: ``fold`` and any of `METRIC_TITLES`.
    summary : DataFrame
        ``tables/accuracy_summary.tsv``: ``metric, mean, sd, chance``; missing values are left out of the drawing.
    out : path-like

    Raises
    ------
    InputError
        When the table holds none of the metrics.
    """
    metrics = metrics_of(accuracy)
    if not metrics:
        refuse(f"The accuracy table holds none of {', '.join(METRIC_TITLES)}; got columns", accuracy.columns)
    rows = summary.set_index("metric").reindex(metrics)
    with style.drawn(out, 6.4, 0.75 + 0.55 * len(metrics)) as figure:
        # A mean absolute error has the target's unit: it gets a scale of its own.
        own_scale = len(metrics) > 1 and "mae" in metrics
        panels = figure.subplots(len(metrics) if own_scale else 1, 1, squeeze=False)[:, 0]
        for place, metric in enumerate(metrics):
            axes = panels[place] if own_scale else panels[0]
            _draw_metric(axes, 0 if own_scale else place, accuracy[metric].astype(float), rows.loc[metric])
        groups = [[metric] for metric in metrics] if own_scale else [metrics]
        for axes, names in zip(panels, groups, strict=True):
            axes.set_yticks(range(len(names)), [METRIC_TITLES[name] for name in names], color=style.INK)
            axes.set_ylim(len(names) - 0.45, -0.55)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            style.light_grid(axes, "x")
        handles, labels = panels[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=3, fontsize=8)


def _draw_metric(axes: Axes, place: int, values: pd.Series, summary: pd.Series) -> None:
    values = values.dropna()
    # Folds are spread a little, always in the same way, so that equal values stay visible.
    spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(len(values))
    axes.plot(values, place + spread, "o", color=style.SKY, markersize=5, markeredgecolor="white", label="one fold")
    if pd.notna(summary["mean"]):
        sd = summary["sd"] if pd.notna(summary["sd"]) else 0
        axes.errorbar(summary["mean"], place + 0.27, xerr=sd, fmt="D", color=style.BLUE, markersize=5, capsize=3,
                      label="mean ± SD")  # fmt: skip
    if pd.notna(summary["chance"]):
        axes.plot([summary["chance"]] * 2, [place - 0.38, place + 0.38], color=style.ORANGE, linestyle=(0, (3, 2)),
                  linewidth=1.8, label="chance")  # fmt: skip
