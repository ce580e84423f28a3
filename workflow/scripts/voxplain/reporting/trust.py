"""What the page says of the tests of the maps: do they follow the network, and does the network follow them?"""

from collections.abc import Mapping, Sequence

import pandas as pd

from voxplain.population.maps import JOINT
from voxplain.reporting import style
from voxplain.reporting.masked import MASKS, RANDOM
from voxplain.reporting.reading import flags, headline_metric
from voxplain.reporting.reproducibility import CHANGES
from voxplain.reporting.tables import Table, arrange, show
from voxplain.reporting.verdicts import interval, number

VERDICTS = ["method", "measure", "layers", "similarity", "threshold", "survives"]
AREAS = [
    *("method", "replacement", "kind", "measure", "auc", "sd", "people"),
    *("difference_to_random", "p_random", "difference_to_intensity", "p_intensity"),
]
# One a task: the others are in the table of results.
HEADLINES = ("probability", "change")
# column of the page -> (its title, level and measure of reproducibility.tsv, column there)
REPRODUCED = {
    "people_spearman": ("Single people: Spearman", "people", "spearman", "value"),
    "another_person": ("to another person's map", "people", "spearman", "chance"),
    "population_spearman": ("All people: Spearman", "population", "spearman", "value"),
    "icc": ("ICC, median over voxels", "voxels", "icc_consistency", "value"),
    "top_regions": ("Top regions in common", "regions", "overlap", "value"),
    "top_regions_chance": ("by chance", "regions", "overlap", "chance"),
}
MASKED = [
    *("method", "group", "mask", "metric", "volume", "mean", "sd", "random_mean", "random_95", "p"),
    *("whole", "chance", "draws", "people"),
]
RETRAINED = [
    *("method", "mode", "percent_of_brain", "metric", "mean", "sd", "random_mean", "difference_to_random"),
    *("p_corrected_t", "whole", "chance", "folds"),
]
NETWORKS = ["change", "variant", "metric", "mean", "sd", "chance", "original", "folds", "people"]


def show_trust(frames: Mapping[str, pd.DataFrame], methods: Sequence[str], groups: Sequence[str]) -> dict[str, Table]:
    """Return the tables of the tests that were made.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``randomization_verdicts, faithfulness, reproducibility, reproducibility_networks, masked_accuracy`` and
        ``retraining``, where they are.
    methods, groups : sequence of str
        In the order to be shown.
    """
    shown = {}
    if "randomization_verdicts" in frames:
        shown["randomization_verdicts"] = show(frames["randomization_verdicts"], VERDICTS)
    if "faithfulness" in frames:
        areas = frames["faithfulness"]
        own = areas[(areas["order"] == "map") & areas["measure"].isin(HEADLINES)]
        shown["faithfulness"] = show(own, AREAS, titles={"auc": "Area under the curve", "kind": "Voxels"})
    if "reproducibility" in frames:
        shown["reproducibility"] = _show_reproducibility(frames["reproducibility"], methods)
    if "reproducibility_networks" in frames:
        shown["reproducibility_networks"] = show(_headline(frames["reproducibility_networks"]), NETWORKS)
    if "masked_accuracy" in frames:
        rows = _headline(frames["masked_accuracy"])
        rows = rows.assign(mask=rows["mask"].map(lambda mask: MASKS.get(mask, mask)))
        ordered = arrange(rows, methods, ["group", "method"], groups)
        shown["masked_accuracy"] = show(ordered, MASKED, {"draws": "Random masks"})
    if "retraining" in frames:
        rows = _headline(frames["retraining"]).rename(columns={"share": "percent_of_brain"})
        titles = {"difference_to_random": "More faithful than random by"}
        ordered = arrange(rows, [*methods, RANDOM], ["method", "mode", "percent_of_brain"], groups)
        shown["retraining"] = show(ordered.replace({"method": {RANDOM: "Random maps"}}), RETRAINED, titles)
    return shown


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of accuracy, or of a regression's error; all where there is neither."""
    metric = headline_metric(table["metric"])
    return table if metric is None else table[table["metric"] == metric]


def _show_reproducibility(table: pd.DataFrame, methods: Sequence[str]) -> Table:
    """Return a row a method and change with the main measure of every level; columns without a number are left out."""
    keys = ["method", "change"]
    wide = table.groupby(keys, sort=False)[["n", "variants"]].min()
    for column, (_, level, measure, source) in REPRODUCED.items():
        rows = table[(table["level"] == level) & (table["measure"] == measure)]
        wide[column] = rows.drop_duplicates(keys).set_index(keys)[source].astype(float)
    spread = table[table["level"] == "voxels"].pivot_table(index=keys, columns="measure", values="value")
    quartiles = ["icc_consistency_q25", "icc_consistency_q75"]
    if set(quartiles) <= set(spread):
        low_high = spread[quartiles].reindex(wide.index).itertuples(index=False)
        wide.insert(wide.columns.get_loc("icc") + 1, "quartiles", [interval(*both) or None for both in low_high])
    wide = wide.dropna(axis=1, how="all").reset_index()
    order = list(CHANGES)
    wide["place"] = wide["change"].map(lambda change: order.index(change) if change in order else len(order))
    wide = arrange(wide, methods, ["method", "place"], []).drop(columns=["place"])
    titles = {column: title for column, (title, *_) in REPRODUCED.items()}
    columns = [*keys, *(column for column in wide if column not in (*keys, "n", "variants")), "variants", "n"]
    return show(wide, columns, titles, others=number)


def survivors(frames: Mapping[str, pd.DataFrame]) -> list[str] | None:
    """Return the titles of the methods whose maps survive randomised layers; None when that was not tested."""
    if "randomization_verdicts" not in frames:
        return None
    verdicts = frames["randomization_verdicts"]
    return [style.method_title(method) for method in verdicts.loc[flags(verdicts["survives"]), "method"]]


def undecidable_masks(frames: Mapping[str, pd.DataFrame], alpha: float | None) -> bool:
    """Tell whether there were too few random masks for any p to be as small as `alpha`."""
    if "masked_accuracy" not in frames or alpha is None:
        return False
    own = frames["masked_accuracy"]
    draws = own.loc[own["group"] == JOINT, "draws"]
    return not draws.empty and bool((1 / (1 + draws) > alpha).all())
