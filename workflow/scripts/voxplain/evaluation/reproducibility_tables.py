"""Reproducibility of all methods as one table, and how good the networks are that were trained again."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import chance_levels, split_folds
from voxplain.evaluation.reproducibility import change_of
from voxplain.models.metrics import METRICS, fold_metrics

POOLED = ["method", "change", "level", "measure", "value", "sd", "chance", "dice_chance", "n", "variants"]
NETWORKS = ["change", "variant", "metric", "mean", "sd", "folds", "people", "chance", "original"]
ORIGINAL = "original"


def pool_variants(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the tables of several methods and pool the repeats of each change.

    Parameters
    ----------
    tables : sequence of DataFrame
        Of `voxplain.evaluation.reproducibility.measure`, with ``method``.

    Returns
    -------
    DataFrame
        ``method, change, level, measure, value, sd, chance, dice_chance, n, variants``. ``value``, ``chance`` and
        ``dice_chance`` are means over the repeats in which they are defined. ``sd`` of ``people`` is that over people
        (of several repeats the root of their mean variance); of ``population`` and ``regions`` that over the repeats
        (ddof 1, missing for one); of ``voxels``, which know all repeats at once, missing. ``n``: people of the repeat
        with the fewest. ``variants``: repeats.
    """
    if not tables:
        refuse("There is no table of reproducibility to join.")
    everything = pd.concat(tables, ignore_index=True)
    repeats = everything[everything["variant"] != ""].groupby(["method", "change"])["variant"].nunique()
    keys = ["method", "change", "level", "measure"]
    grouped = everything.groupby(keys, sort=False)
    table = grouped[["value", "chance", "dice_chance"]].mean()
    over_people = grouped["sd"].agg(lambda sd: np.sqrt((sd.astype(float) ** 2).mean()))
    own = table.index.get_level_values("level") == "people"
    table["sd"] = np.where(own, over_people, grouped["value"].std())
    table["n"] = grouped["n"].min()
    table = table.reset_index()
    table["variants"] = [int(repeats[key]) for key in zip(table["method"], table["change"], strict=True)]
    return table[POOLED]


def measure_networks(
    original: Sequence[pd.DataFrame],
    variants: Mapping[str, Sequence[pd.DataFrame]],
    task: str,
    labels: Sequence[str],
) -> pd.DataFrame:
    """Measure the networks whose maps are compared: one that learned nothing has no map to reproduce.

    Parameters
    ----------
    original : sequence of DataFrame
        Predictions of the original networks for the people whom they had not seen, of all folds.
    variants : mapping of str to sequence of DataFrame
        The same of each variant, possibly of some folds only.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``change, variant, metric, mean, sd, folds, people, chance, original``, a row a metric of
        `voxplain.models.metrics.fold_metrics`, first of the original networks (``change`` and ``variant`` both
        ``original``). ``mean`` and ``sd`` (ddof 1) over the network's own folds where the metric is defined, against
        the targets of the original tables, also where labels were shuffled for the training. ``chance``: what needs no
        image among these people. ``original``: mean over the original folds, of the same people.

    Raises
    ------
    InputError
        Naming the variants that predict nobody, or people whom the original networks do not.
    """
    known = pd.concat(original, ignore_index=True)
    truth = known.set_index("participant_id")["target"]
    rows, problems = [], []
    for variant, tables in {ORIGINAL: original, **variants}.items():
        frame = pd.concat(tables, ignore_index=True)
        strange = ~frame["participant_id"].isin(truth.index)
        if frame.empty or strange.any():
            problems.append(f"{variant}: {len(frame)} people, {int(strange.sum())} of them unknown to the original")
            continue
        frame["target"] = truth.loc[frame["participant_id"]].to_numpy()
        same = known[known["participant_id"].isin(frame["participant_id"])]
        here, there = (_metrics_of_folds(one, task, labels) for one in (frame, same))
        chance = chance_levels(frame["target"], task, labels)
        facts = {"change": change_of(variant), "variant": variant, "folds": len(here), "people": len(frame)}
        for metric in METRICS[task]:
            row = {"metric": metric, "mean": here[metric].mean(), "sd": here[metric].std()}
            rows.append(facts | row | {"chance": chance[metric], "original": there[metric].mean()})
    if problems:
        refuse(
            f"The predictions of {len(problems)} variants cannot stand beside those of the original networks.",
            problems,
            "They come from different runs: make them anew.",
        )
    return pd.DataFrame(rows, columns=NETWORKS)


def _metrics_of_folds(predictions: pd.DataFrame, task: str, labels: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([fold_metrics(fold, task, labels) for fold in split_folds([predictions])])
