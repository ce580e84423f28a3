"""Tables of the page on maps beside one another, beside plain anatomy, and beyond the people who were explained."""

from collections.abc import Mapping, Sequence

import pandas as pd

from voxplain.population.maps import JOINT
from voxplain.reporting.tables import Table, arrange, show
from voxplain.reporting.verdicts import number

DICE = [
    *("group", "method_a", "method_b", "dice", "dice_chance", "spearman", "agreement"),
    *("voxels_a", "voxels_b"),
]
AGREEMENT = [
    *("group", "first", "second", "measure", "percent_of_brain", "found", "dice_chance", "corrected"),
    *("null_mean", "null_95", "p"),
]
INFERENCE = [
    *("method", "contrast", "compared", "significant", "max_t", "threshold_t", "min_p", "smallest_p"),
    *("people", "clusters", "permutations"),
]
# Of anatomy.tsv: (measure, its column) -> title; those without a number in any row are left out.
ANATOMY = {
    ("spearman_absolute", "value"): "Spearman, absolute values",
    ("spearman_absolute", "null_95"): "95th percentile of random maps",
    ("spearman_absolute", "p"): "p",
    ("not_significant", "value"): "Of the strongest 5 %: not significant",
    ("not_significant", "chance"): "by chance",
    ("overlooked", "value"): "Significant, but not in the strongest 20 %",
    ("overlooked", "chance"): "by chance",
    ("spearman", "value"): "Spearman, with signs",
    ("dice", "value"): "Dice of the strongest 5 %",
    ("auc", "value"): "AUC for significant voxels",
}
SHARES = ("not_significant", "overlooked")


def show_comparisons(
    frames: Mapping[str, pd.DataFrame], methods: Sequence[str], groups: Sequence[str]
) -> dict[str, Table]:
    """Return the tables of agreement, inference and anatomy that there are.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``dice, agreement, inference, anatomy``, where they are; empty ones are not shown.
    methods, groups : sequence of str
        In the order to be shown.
    """
    filled = {name: frame for name, frame in frames.items() if not frame.empty}
    shown = {}
    if "dice" in filled:
        shown["dice"] = show(arrange(filled["dice"], methods, ["group", "method_a", "method_b"], groups), DICE)
    if "agreement" in filled:
        table = filled["agreement"]
        everything = arrange(table, methods, ["group", "first", "second"], groups)
        named = {"value": "found", "chance": "dice_chance", "volume": "percent_of_brain"}
        titles = {"found": "Found", "percent_of_brain": "Strongest, % of the brain"}
        shown["agreement_all"] = show(everything.rename(columns=named), AGREEMENT, titles, others=number)
        shown["agreement"] = _agreement_of_everybody(everything[everything["group"] == JOINT])
    if "inference" in filled:
        named = {"groups": "compared", "share": "significant"}
        rows = arrange(filled["inference"].rename(columns=named), methods, ["method"], groups)
        shown["inference"] = show(rows.dropna(axis=1, how="all"), INFERENCE)
    if "anatomy" in filled:
        shown["anatomy"] = _anatomy(filled["anatomy"], methods)
    return shown


def _agreement_of_everybody(rows: pd.DataFrame) -> Table:
    """Return a row a pair: the correlation of absolute maps, and Dice of the middle volume, beside their nulls."""
    keys = ["first", "second"]
    wide = rows[rows["measure"] == "spearman_absolute"].set_index(keys)[["value", "null_95", "p"]]
    wide = wide.rename(columns={"value": "found"})
    titles = {"found": "Spearman, absolute values", "null_95": "95th percentile of random maps"}
    overlaps = rows[rows["measure"] == "dice"]
    volumes = sorted(overlaps["volume"].dropna().unique())
    if volumes:
        volume = volumes[len(volumes) // 2]
        own = overlaps[overlaps["volume"] == volume].set_index(keys)
        wide = wide.assign(dice=own["value"], dice_null=own["null_95"])
        titles |= {"dice": f"Dice, strongest {volume:g} %", "dice_null": "95th percentile of random maps"}
    return show(wide.reset_index(), [*keys, "found", "null_95", "p", "dice", "dice_null"], titles, others=number)


def _anatomy(table: pd.DataFrame, methods: Sequence[str]) -> Table:
    """Return a row a method with the measures side by side."""
    wide = pd.DataFrame(index=pd.Index(dict.fromkeys(table["method"]), name="method"))
    titles = {}
    for (measure, source), title in ANATOMY.items():
        values = table[table["measure"] == measure].set_index("method")[source].astype(float)
        if values.notna().any():
            name = source if source == "p" else f"{measure}_{source}"
            wide[name] = 100 * values if measure in SHARES else values
            titles[name] = f"{title}, %" if measure in SHARES else title
    rows = arrange(wide.reset_index(), methods, ["method"], [])
    return show(rows, ["method", *titles], titles, others=number)
