"""How the networks learned."""

import os
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from voxplain.reporting import style
from voxplain.reporting.reading import flags

PARTS = {"train": (style.BLUE, "training"), "validation": (style.ORANGE, "validation")}


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
    kind = "mae" if any("train_mae" in history for history in histories.values()) else "accuracy"
    shown = ["fold", "epoch", *(f"{part}_{what}" for what in ("loss", kind) for part in PARTS), "best"]
    table = pd.concat([pd.DataFrame(columns=shown), *(own.assign(fold=fold) for fold, own in histories.items())])
    # Without what is not drawn: the seconds of an epoch differ from run to run.
    with style.drawn(out, 8.2, 3.1, table[shown]) as figure:
        if not histories:
            style.say(figure, "No training: the network's weights were given.")
            return
        left, right = figure.subplots(1, 2)
        _draw_histories(left, histories, "loss", "Loss")
        _draw_histories(right, histories, kind, style.metric_title(kind))
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
                best = history.loc[flags(history["best"]), "epoch"].tail(1)
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
