"""Power as a picture: how well each method finds what was planted, against how much was planted."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from voxplain.reporting import style

DESIGNS = {
    "mixed": "Volume and intensity, place by place",
    "both": "Volume and intensity",
    "volume": "Volume only",
    "intensity": "Intensity only",
    "left": "Left hemisphere only",
    "head_size": "Head size only",
    "none": "No difference at all",
    "planted": "Planted in the cohort's own images",
}
# What needs no network.
ANATOMY = {"anatomy_held_out": "t-map of the same people's images", "anatomy_all": "t-map of all people's images"}
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY)
LINES = ("-", "--", "-.")  # beyond the colours
ACROSS = 3
# Of the distance between two effects: the points of the methods lie side by side.
SPREAD = 0.5


def draw_power(
    table: pd.DataFrame,
    out: str | os.PathLike,
    statistic: str = "t",
    fwhm_mm: float | None = None,
    titles: Mapping[str, str] | None = None,
) -> None:
    """Draw a panel per design: the mean AUC of the population's maps with its SD over seeds, a line per method.

    Designs in which nothing is planted have a single effect, 0, and their methods points side by side. Behind them lie
    the chance level (mean over the misplaced truths, and up to their 95th percentile, means over seeds and methods)
    and the accuracy of the networks.

    Parameters
    ----------
    table : DataFrame
        ``tables/phantom_benchmark.tsv``, see `voxplain.evaluation.power_tables.summarise_cells`.
    out : path-like
    statistic : str
        Of the methods' maps, joined as ``usual``; images themselves have t only.
    fwhm_mm : float, optional
        Which smoothing; default: the largest in the table.
    titles : mapping of str to str, optional
        Of methods whose name is not one of the workflow's own.
    """
    fwhm_mm = table["fwhm_mm"].max() if fwhm_mm is None else fwhm_mm
    rows = table[(table["level"] == "population") & np.isclose(table["fwhm_mm"], fwhm_mm)]
    rows = rows[(rows["usual"].eq(True) & rows["statistic"].eq(statistic)) | rows["method"].isin(ANATOMY)]
    designs = style.in_order(rows["design"], DESIGNS)
    methods = style.in_order(rows["method"], style.METHOD_TITLES)
    methods = [method for method in methods if method not in ANATOMY] + [one for one in ANATOMY if one in methods]
    labels = {method: (titles or {}).get(method, ANATOMY.get(method, style.method_title(method))) for method in methods}
    across = min(ACROSS, max(1, len(designs)))
    with style.drawn(out, 1.0 + 3.1 * across, 1.3 + 2.7 * style.rows_of(len(designs), across), rows) as figure:
        if not designs:
            style.say(figure, "No map was scored with this statistic and smoothing.")
            return
        panels = style.panels(figure, len(designs), across, sharey=True)
        for place, (axes, design) in enumerate(zip(panels, designs, strict=True)):
            _draw_panel(axes, rows[rows["design"] == design], methods, labels)
            axes.set_title(DESIGNS.get(design, design))
            axes.set_xlabel("size of the effect")
            if place % across == 0:
                axes.set_ylabel("AUC (mean and SD over seeds)")
        style.key_above(figure, panels, columns=across)


def _draw_panel(axes: Axes, rows: pd.DataFrame, methods: Sequence[str], labels: Mapping[str, str]) -> None:
    effects = np.sort(rows["effect"].unique())
    gap = np.diff(effects).min() if len(effects) > 1 else 1.0
    by_effect = rows.groupby("effect")[["auc_chance", "auc_chance_95", "accuracy", "accuracy_sd"]].mean()
    # Half a gap beyond the ends, where the points of the methods lie.
    ends = np.concatenate([[effects[0] - gap / 2], effects, [effects[-1] + gap / 2]])
    low, high = (np.interp(ends, effects, by_effect[name]) for name in ("auc_chance", "auc_chance_95"))
    axes.fill_between(ends, low, high, color=style.MUTED, alpha=0.18, linewidth=0, label="chance, up to 95 %")
    axes.plot(ends, low, color=style.MUTED, linewidth=1.0, linestyle=":", label="chance")
    accuracy = by_effect["accuracy"]
    axes.errorbar(
        effects, accuracy, yerr=by_effect["accuracy_sd"].fillna(0), color=style.INK, linestyle=":", marker="_",
        linewidth=1.0, elinewidth=0.6, label="accuracy of the networks",
    )  # fmt: skip
    shifts = SPREAD * gap * (np.arange(len(methods)) / max(len(methods) - 1, 1) - 0.5)
    for place, (method, shift) in enumerate(zip(methods, shifts, strict=True)):
        own = rows[rows["method"] == method].sort_values("effect")
        axes.errorbar(
            own["effect"] + shift, own["auc"], yerr=own["auc_sd"].fillna(0), marker="o", markersize=3, linewidth=1.4,
            elinewidth=0.7, label=labels[method], **_look(place, method),
        )  # fmt: skip
    axes.set_xticks(effects, [f"{effect:g}" for effect in effects])
    axes.set_xlim(ends[0], ends[-1])
    style.light_grid(axes, "y")


def _look(place: int, method: str) -> dict[str, str]:
    if method in ANATOMY:
        return {"color": style.MUTED, "linestyle": "-" if method == "anatomy_held_out" else "--"}
    turn, colour = divmod(place, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": LINES[turn % len(LINES)]}
