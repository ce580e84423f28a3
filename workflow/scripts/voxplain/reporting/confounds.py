"""How much of each model's score head size can explain."""

import os

import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style
from voxplain.reporting.models import BOUNDED, CHANCE, reach
from voxplain.reporting.reading import headline_metric, models_of

# analysis -> (mark, colour, what it says, height beside the row); one number alone is measured on everybody too.
MARKS = {
    "raw": ("o", style.BLUE, "everybody", -0.24),
    "tiv_only": ("o", style.BLUE, "everybody", -0.24),
    "age_only": ("o", style.BLUE, "everybody", -0.24),
    "tiv_matched": ("D", style.PURPLE, "pairs of nearly equal head size", 0.0),
    "tiv_residualised": ("s", style.GREEN, "head size taken out before training", 0.24),
}
ALONE = ("tiv", "age")  # these come last


def draw_confounds(confounds: pd.DataFrame, summary: pd.DataFrame, out: str | os.PathLike) -> None:
    """Draw each model's score on everybody, on people matched by head size, and after head size was taken out.

    Below stand the correlations of the network's score with head size within each class.

    Parameters
    ----------
    confounds : DataFrame
        ``tables/confounds.tsv``: ``analysis, model, group, metric, mean, ci_low, ci_high, pairs`` ...
    summary : DataFrame
        ``tables/accuracy_summary.tsv``, for the level of chance.
    out : path-like
    """
    rows = confounds[confounds["analysis"].isin(MARKS)]
    metric = headline_metric(rows["metric"])
    rows = rows[(rows["metric"] == metric) & rows["mean"].notna()]
    related = confounds[(confounds["analysis"] == "score_tiv_correlation") & confounds["mean"].notna()]
    if rows.empty:
        with style.drawn(out, 5, 1.2, rows) as figure:
            style.say(figure, "No model was measured.")
        return
    models = sorted(models_of(rows), key=lambda name: ALONE.index(name) + 1 if name in ALONE else 0)
    heights = [0.9 + 0.5 * len(models)] + ([0.65 + 0.28 * len(related)] if len(related) else [])
    with style.drawn(out, 7.2, sum(heights) + 0.4, pd.concat([rows, related])) as figure:
        panels = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
        network = (summary["model"] == models[0]) & (summary["metric"] == metric)
        chance = summary.loc[network, "chance"].astype(float).dropna()
        _draw_scores(panels[0], rows, models, metric, chance)
        if len(related):
            _draw_correlations(panels[1], related)
        style.key_above(figure, panels[:1], columns=3)


def _draw_scores(axes: Axes, rows: pd.DataFrame, models: list[str], metric: str, chance: pd.Series) -> None:
    for analysis, (mark, colour, text, height) in MARKS.items():
        for _, row in rows[rows["analysis"] == analysis].iterrows():
            axes.errorbar(row["mean"], models.index(row["model"]) + height, xerr=reach(row), fmt=mark, color=colour,
                          markersize=5.5, capsize=2.5, linewidth=1.2, label=text)  # fmt: skip
    alone = rows.loc[rows["analysis"] == "tiv_only", "mean"]
    if len(alone):
        axes.axvline(alone.iloc[0], color=style.INK, linestyle=":", linewidth=1.2, label="head size alone", zorder=0)
    if len(chance):
        axes.axvline(chance.iloc[0], label="chance (everybody)", zorder=0, **CHANCE)
    unknown = "" if len(alone) else " (head size is not known)"
    axes.set_title(f"{style.metric_title(metric)}, 95 % interval{unknown}")
    style.name_rows(axes, [style.model_title(model) for model in models])
    if metric in BOUNDED:
        axes.set_xlim(None, min(axes.get_xlim()[1], 1.02))


def _draw_correlations(axes: Axes, related: pd.DataFrame) -> None:
    names = []
    for place, (_, row) in enumerate(related.iterrows()):
        axes.errorbar(row["mean"], place, xerr=reach(row), fmt="o", color=style.BLUE, markersize=5.5, capsize=2.5,
                      linewidth=1.2)  # fmt: skip
        names.append(_correlated(str(row["group"]), str(row["metric"])))
    axes.axvline(0, color=style.MUTED, linewidth=1, zorder=0)
    axes.set_xlim(-1, 1)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_title("Correlation of the network's answer with head size, 95 % interval")
    style.name_rows(axes, names)


def _correlated(group: str, metric: str) -> str:
    """Name who is correlated: the people of one class, or everybody's prediction or error in a regression."""
    if group != "everyone":
        return f"within class {group}"
    return "error of the prediction" if metric == "r_error" else "prediction"
