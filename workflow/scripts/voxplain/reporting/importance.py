"""Which morphometric features the models lean on."""

import os
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from voxplain.reporting import style
from voxplain.reporting.reading import models_of

ACROSS = 2  # panels in a row
SIGNED = "coefficient"
NONE_LEFT = {False: "No feature's importance is above 0.", True: "Every coefficient is 0."}
KINDS = {
    "coefficient": "coefficients",
    "gain": "gain",
    "permutation": "permutation, held-out",
}


def kind_title(kind: str) -> str:
    """Return how an importance was measured, as people write it."""
    return KINDS.get(kind, kind)


def draw_importance(
    importance: pd.DataFrame, out: str | os.PathLike, labels: Sequence[str] = (), top: int = 20
) -> None:
    """Draw the features that every model ranks first as bars relative to its largest, with their SD over folds.

    A panel without any (see `top_features`) says so.

    Parameters
    ----------
    importance : DataFrame
        ``tables/morphometry_importance.tsv``: ``model, kind, feature, mean, sd, folds, rank``.
    out : path-like
    labels : sequence of str
        The classes; with two of them a coefficient's sign is named by the class that it speaks for.
    top : int
        Features per panel.
    """
    pairs = list(dict.fromkeys(zip(importance["model"].astype(str), importance["kind"].astype(str), strict=True)))
    order = models_of(importance)
    pairs.sort(key=lambda pair: (list(KINDS).index(pair[1]) if pair[1] in KINDS else len(KINDS), order.index(pair[0])))
    if not pairs:
        with style.drawn(out, 5, 1.2, importance) as figure:
            style.say(figure, "No model of morphometry was asked for.")
        return
    chosen = {
        pair: top_features(importance[(importance["model"] == pair[0]) & (importance["kind"] == pair[1])], top)
        for pair in pairs
    }
    most = max(4, *map(len, chosen.values()))
    across = min(ACROSS, len(pairs))
    height = style.rows_of(len(pairs), across) * (0.9 + 0.17 * most) + 0.3
    with style.drawn(out, 3.9 * across, height, pd.concat(chosen.values())) as figure:
        for axes, ((model, kind), rows) in zip(style.panels(figure, len(pairs), across), chosen.items(), strict=True):
            axes.set_title(f"{style.model_title(model)}\n{kind_title(kind)}")
            if rows.empty:
                axes.axis("off")
                axes.text(0.5, 0.5, NONE_LEFT[kind == SIGNED], ha="center", color=style.MUTED)
                continue
            _draw_bars(axes, rows, signed=kind == SIGNED)
        signs = {mean > 0 for (_, kind), rows in chosen.items() if kind == SIGNED for mean in rows["mean"]}
        if signs:
            up, down = (f"for {labels[1]}", f"for {labels[0]}") if len(labels) == 2 else ("positive", "negative")
            keys = {True: (style.BLUE, up), False: (style.ORANGE, down)}
            key = [Patch(color=keys[sign][0], label=f"coefficient {keys[sign][1]}") for sign in sorted(signs)[::-1]]
            figure.legend(handles=key, loc="outside lower center", ncols=2, fontsize=8)


def top_features(rows: pd.DataFrame, top: int) -> pd.DataFrame:
    """Return the `top` features of best rank that count at all, with mean and SD relative to the first.

    A coefficient counts unless it is 0, any other importance where it is above 0: what a model does not use, or does
    as well without, ranks nowhere.
    """
    counts = (rows["mean"] > 0) | ((rows["mean"] < 0) & (rows["kind"] == SIGNED))
    rows = rows[counts].sort_values(["rank", "feature"], kind="stable").head(top)
    largest = rows["mean"].abs().max()
    return rows.assign(mean=rows["mean"] / largest, sd=rows["sd"] / largest)


def _draw_bars(axes: Axes, rows: pd.DataFrame, signed: bool) -> None:
    colours = [style.ORANGE if signed and mean < 0 else style.BLUE if signed else style.SKY for mean in rows["mean"]]
    length = rows["mean"].abs()
    axes.barh(range(len(rows)), length, height=0.72, color=colours)
    axes.errorbar(length, range(len(rows)), xerr=rows["sd"].fillna(0), fmt="none", ecolor=style.INK, elinewidth=0.8,
                  capsize=1.5, capthick=0.8)  # fmt: skip
    style.name_rows(axes, [style.shorten(str(name), 36) for name in rows["feature"]], room=0.7)
    axes.tick_params(axis="y", labelsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(0, None)
    spread = ", ± SD over folds" if rows["sd"].notna().any() else ""
    axes.set_xlabel(f"relative to the largest{spread}", fontsize=7)
