"""How well every model does on people that it did not see: folds, ROC curves, calibration."""

import os
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from voxplain.base.errors import refuse
from voxplain.reporting import style
from voxplain.reporting.reading import has_intervals, models_of

ACROSS = 3  # panels in a row
CHANCE = {"color": style.ORANGE, "linestyle": (0, (3, 2)), "linewidth": 1.4}
BOUNDED = frozenset({"accuracy", "balanced_accuracy", "auc", "r"})  # never above 1, whatever an interval says


def draw_accuracy(accuracy: pd.DataFrame, summary: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw every model's metrics: a dot a fold, the mean with its interval, and the chance level.

    Parameters
    ----------
    accuracy : DataFrame
        ``tables/accuracy.tsv``: ``model, fold`` and any of `style.METRIC_TITLES`.
    summary : DataFrame
        ``tables/accuracy_summary.tsv``: ``model, metric, mean, ci_low, ci_high, chance``; missing values are left out
        of the drawing.
    out : path-like

    Raises
    ------
    InputError
        When the table holds none of the metrics.
    """
    metrics = [metric for metric in style.METRIC_TITLES if metric in accuracy.columns]
    if not metrics:
        refuse(f"The accuracy table holds none of {', '.join(style.METRIC_TITLES)}; got columns", accuracy.columns)
    models = models_of(accuracy)
    mean = "mean, 95 % interval" if has_intervals(summary) else "mean"
    with style.drawn(
        out, 2.2 + 2.3 * len(metrics), 1.0 + 0.42 * len(models), {"folds": accuracy, "summary": summary}
    ) as figure:
        figure.get_layout_engine().set(wspace=0.06)
        panels = style.panels(figure, len(metrics), len(metrics), sharey=True)
        for axes, metric in zip(panels, metrics, strict=True):
            own = summary[summary["metric"] == metric].set_index("model")
            for place, model in enumerate(models):
                folds = accuracy.loc[accuracy["model"] == model, metric].astype(float).dropna()
                _draw_folds(axes, place, folds)
                if model in own.index:
                    _draw_summary(axes, place, own.loc[model], mean)
            axes.set_title(style.metric_title(metric))
            style.name_rows(axes, [style.model_title(model) for model in models])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            if metric in BOUNDED:
                axes.set_xlim(None, min(axes.get_xlim()[1], 1.02))
        style.key_above(figure, panels)


def _draw_folds(axes: Axes, place: int, values: pd.Series) -> None:
    # Folds are spread a little, always in the same way, so that equal values stay visible.
    spread = np.linspace(-0.22, 0, len(values)) if len(values) > 1 else np.full(len(values), -0.11)
    axes.plot(values, place + spread, "o", color=style.SKY, markersize=4.5, markeredgecolor="white", label="one fold")


def _draw_summary(axes: Axes, place: int, row: pd.Series, label: str) -> None:
    if pd.notna(row["chance"]):
        # Of each model by itself: not all were tested on the same people.
        axes.plot([row["chance"]] * 2, [place - 0.5, place + 0.5], label="chance", zorder=0, **CHANCE)
    if pd.notna(row["mean"]):
        axes.errorbar(row["mean"], place + 0.2, xerr=reach(row), fmt="D", color=style.BLUE, markersize=4.5,
                      capsize=3, label=label)  # fmt: skip


def reach(row: pd.Series) -> np.ndarray:
    """Return how far an interval reaches to both sides of the mean, [2, 1]; 0 where it is not known."""
    sides = np.array([[row["mean"] - row["ci_low"]], [row["ci_high"] - row["mean"]]], dtype=float)
    return np.nan_to_num(sides).clip(min=0)


def draw_roc(roc: pd.DataFrame, summary: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw one panel a model with its mean ROC curve ± SD over folds; the network's stands behind the others.

    Parameters
    ----------
    roc : DataFrame
        ``tables/roc.tsv``: ``model, label, fpr, tpr, sd``, one label for two classes, otherwise each against the rest.
    summary : DataFrame
        ``tables/accuracy_summary.tsv``, for the AUC in each panel.
    out : path-like
    """
    models = models_of(roc)
    labels = style.in_order(roc["label"].astype(str))
    if not models:
        with style.drawn(out, 5, 1.2, roc) as figure:
            style.say(figure, "There is no ROC curve: in no fold were people of every class tested.")
        return
    height = 2.35 * style.rows_of(len(models), ACROSS) + 0.5
    with style.drawn(out, max(4.6, 0.4 + 2.35 * min(ACROSS, len(models))), height, roc) as figure:
        panels = style.panels(figure, len(models), ACROSS, sharex=True, sharey=True)
        auc = summary[summary["metric"] == "auc"].set_index("model")["mean"]
        for axes, model in zip(panels, models, strict=True):
            axes.plot([0, 1], [0, 1], label="chance", **CHANCE)
            if len(labels) == 1 and model != "cnn" and "cnn" in models:
                network = roc[roc["model"] == "cnn"]
                axes.plot(network["fpr"], network["tpr"], color=style.MUTED, linewidth=1, label="3D CNN")
            colours = cycle((style.BLUE, style.GREEN, style.PURPLE, style.SKY, style.INK))
            one = "mean over folds ± SD" if roc["sd"].notna().any() else "ROC curve"
            for label, colour in zip(labels, colours, strict=False):
                rows = roc[(roc["model"] == model) & (roc["label"].astype(str) == label)]
                _draw_curve(axes, rows, colour, one if len(labels) == 1 else f"{label} against rest")
            if pd.notna(auc.get(model)):
                _write_in_corner(axes, f"AUC {auc[model]:.2f}")
            axes.set(title=style.model_title(model), aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.set_xticks([0, 0.5, 1])
            axes.set_yticks([0, 0.5, 1])
        figure.supxlabel("false positive rate", fontsize=9, color=style.MUTED)
        figure.supylabel("true positive rate", fontsize=9, color=style.MUTED)
        style.key_above(figure, panels)


def _draw_curve(axes: Axes, rows: pd.DataFrame, colour: str, label: str) -> None:
    low, high = (rows["tpr"] - rows["sd"]).clip(0, 1), (rows["tpr"] + rows["sd"]).clip(0, 1)
    axes.fill_between(rows["fpr"], low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(rows["fpr"], rows["tpr"], color=colour, linewidth=2, label=label)


def _write_in_corner(axes: Axes, text: str) -> None:
    axes.text(0.96, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color=style.INK)


def draw_calibration(calibration: pd.DataFrame, summary: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw one panel a model: what was predicted against what was observed, in bins of people.

    Parameters
    ----------
    calibration : DataFrame
        ``tables/calibration.tsv``: ``model, bin, n, predicted, observed, ci_low, ci_high``, pooled over folds.
    summary : DataFrame
        ``tables/calibration_summary.tsv``: ``model, metric, value``; the presence of the Brier score tells
        probabilities from a regression's values.
    out : path-like
    """
    models = models_of(calibration)
    if not models:
        with style.drawn(out, 5, 1.2, calibration) as figure:
            style.say(figure, "Calibration is not known: nobody was tested.")
        return
    chances = (summary["metric"] == "brier").any()
    columns = ["predicted", "observed", "ci_low", "ci_high"]
    span = calibration[columns].to_numpy(dtype=float)
    low, high = (0.0, 1.0) if chances else (np.nanmin(span), np.nanmax(span))
    margin = 0.03 * (high - low) or 0.5
    height = 2.35 * style.rows_of(len(models), ACROSS) + 0.5
    with style.drawn(out, max(4.6, 0.4 + 2.35 * min(ACROSS, len(models))), height, calibration) as figure:
        panels = style.panels(figure, len(models), ACROSS, sharex=True, sharey=True)
        for axes, model in zip(panels, models, strict=True):
            axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1, label="perfectly calibrated")
            _draw_bins(axes, calibration[calibration["model"] == model].sort_values("predicted"))
            values = summary[summary["model"] == model].set_index("metric")["value"].astype(float)
            _write_in_corner(axes, _calibration_in_words(values, chances))
            axes.set(title=style.model_title(model), aspect="equal")
            axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
            if chances:
                axes.set_xticks([0, 0.5, 1])
                axes.set_yticks([0, 0.5, 1])
        what = ("predicted probability", "observed share") if chances else ("predicted", "observed mean")
        figure.supxlabel(what[0], fontsize=9, color=style.MUTED)
        figure.supylabel(what[1], fontsize=9, color=style.MUTED)
        style.key_above(figure, panels)


def _draw_bins(axes: Axes, rows: pd.DataFrame) -> None:
    sides = [rows["observed"] - rows["ci_low"], rows["ci_high"] - rows["observed"]]
    axes.errorbar(rows["predicted"], rows["observed"], yerr=np.nan_to_num(np.array(sides, dtype=float)).clip(min=0),
                  color=style.BLUE, fmt="-", linewidth=1, elinewidth=1, alpha=0.7)  # fmt: skip
    area = 8 + 50 * rows["n"] / rows["n"].max()
    axes.scatter(rows["predicted"], rows["observed"], s=area, color=style.BLUE, edgecolor="white", linewidth=0.6,
                 zorder=3, label="people in a bin (larger: more), 95 % interval")  # fmt: skip


def _calibration_in_words(values: pd.Series, chances: bool) -> str:
    shown = {"expected_calibration_error": "ECE", "brier": "Brier"} if chances else {"slope": "slope"}
    return "\n".join(f"{title} {values[name]:.2f}" for name, title in shown.items() if pd.notna(values.get(name)))
