"""One table that says of every method which tests its maps pass: the measured value, the chance level, a plain word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxplain.attribution import NON_NEGATIVE
from voxplain.evaluation.randomization_tables import SHUFFLED, over_folds
from voxplain.population.maps import JOINT

PASSES, FAILS, NOT_TESTABLE = "passes", "fails", "not testable"
COLUMNS = ["method", "criterion", "measure", "value", "chance", "threshold", "verdict", "why"]
FEW_PLACES = "too few other places of the truth for the level (evaluation.localization.shuffles, or the brain's size)"
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Thresholds:
    """What the words mean; config/README.md gives the reasons.

    Attributes
    ----------
    alpha : float
        Largest p of a test that is passed.
    people_auc : float
        Least mean AUC of single people's maps.
    similarity : float
        Least Spearman correlation of maps of networks that were trained again.
    reliability : float
        Least intraclass correlation of people's maps, voxel by voxel.
    randomization : float
        Largest similarity to maps of randomised networks.
    """

    alpha: float = 0.05
    people_auc: float = 0.6
    similarity: float = 0.5
    reliability: float = 0.4
    randomization: float = 0.5


@dataclass(frozen=True)
class Finding:
    """What one criterion found of one method; `passed` is None where it could not be tested, for the reason `why`."""

    measure: str
    value: float = np.nan
    chance: float = np.nan
    threshold: float = np.nan
    passed: bool | None = None
    why: str = ""


def judge_methods(tables: Tables, methods: Sequence[str], thresholds: Thresholds) -> pd.DataFrame:
    """Judge every method by every criterion.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The result tables that were made, by name: ``localization, faithfulness, randomization,
        randomization_verdicts, retraining, masked_accuracy, reproducibility, inference, agreement``.
    methods : sequence of str
    thresholds : Thresholds

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a method and criterion of `CRITERIA`. ``value`` is what was measured, ``chance`` what it is
        worth by chance, ``threshold`` what it must reach (missing where a p decides), ``verdict`` one of ``passes``,
        ``fails`` and ``not testable``, ``why`` the reason of the last. All are about the map of all people unless the
        criterion names single people.
    """
    rows = []
    for method in methods:
        for name, criterion in CRITERIA.items():
            found = criterion(tables, method, thresholds)
            word = NOT_TESTABLE if found.passed is None else PASSES if found.passed else FAILS
            rows.append((method, name, found.measure, found.value, found.chance, found.threshold, word, found.why))
    return pd.DataFrame(rows, columns=COLUMNS)


def _localization(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    row = _only(tables.get("localization"), method=method, group=JOINT, level="population")
    if row is None or np.isnan(row["auc_p"]):
        auc = np.nan if row is None else row["auc"]
        return Finding("AUC", auc, why="no truth is known, or it fits nowhere else in the brain")
    if 1 / (1 + row["places"]) > thresholds.alpha:
        return Finding("AUC", row["auc"], row["auc_chance_95"], why=FEW_PLACES)
    return Finding("AUC", row["auc"], row["auc_chance_95"], passed=row["auc_p"] <= thresholds.alpha)


def _localization_of_people(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    row = _only(tables.get("localization"), method=method, group=JOINT, level="people")
    if row is None or np.isnan(row["auc"]):
        return Finding("mean AUC of people", why="no truth is known")
    least = thresholds.people_auc
    return Finding("mean AUC of people", row["auc"], row["auc_chance"], least, row["auc"] >= least)


def _no_false_alarm(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    row = _only(tables.get("localization"), method=method, group=JOINT, level=SHUFFLED)
    if row is None or np.isnan(row["auc_p"]):
        return Finding("AUC", why="no truth is known, or no network was trained on shuffled labels")
    if 1 / (1 + row["places"]) > thresholds.alpha:
        return Finding("AUC", row["auc"], row["auc_chance_95"], why=FEW_PLACES)
    return Finding("AUC", row["auc"], row["auc_chance_95"], passed=row["auc_p"] > thresholds.alpha)


def _faithfulness(kind: str) -> Callable[[Tables, str, Thresholds], Finding]:
    def criterion(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
        table, measure = tables.get("faithfulness"), f"area beyond random order, {kind}"
        if table is None:
            return Finding(measure, why="not asked for (evaluation.faithfulness.people)")
        own = table[table["measure"].isin(("probability", "change")) & (table["order"] == "map")]
        own = own[(own["method"] == method) & (own["kind"] == kind)]
        if own.empty:
            return Finding(measure, why="nobody was tested")
        row = own.iloc[0]  # the first replacement of the config
        if 2.0 ** (1 - row["people"]) > thresholds.alpha:  # p when the order is the better one in everybody
            why = "too few people for the level (evaluation.faithfulness.people)"
            return Finding(measure, row["difference_to_random"], 0.0, why=why)
        beyond = [
            # The p is that of the ranks: mean and ranks must point the same way.
            min(row[f"difference_to_{order}"], row[f"ranks_{order}"]) > 0 and row[f"p_{order}"] <= thresholds.alpha
            for order in ("random", "intensity")
        ]
        return Finding(measure, row["difference_to_random"], 0.0, passed=all(beyond))

    return criterion


def _randomization(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    measure, most = "largest similarity to maps of randomised networks", thresholds.randomization
    row = _only(tables.get("randomization_verdicts"), method=method)
    if row is None or pd.isna(row["similarity"]):
        return Finding(measure, threshold=most, why="not asked for (evaluation.randomization.people), or not possible")
    return Finding(measure, row["similarity"], 0.0, most, row["similarity"] <= most)


def _shuffled_labels(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    measure, most = "similarity to maps of a network trained on shuffled labels", thresholds.randomization
    row = _only(tables.get("randomization"), method=method, test=SHUFFLED, level="people")
    name = "spearman_absolute" if method in NON_NEGATIVE else "spearman"
    if row is None or pd.isna(row[name]):
        why = "not asked for (evaluation.randomization.people and evaluation.reproducibility.shuffled)"
        return Finding(measure, threshold=most, why=why)
    similarity = float(over_folds(row.to_frame().T, name).iloc[0])
    return Finding(measure, similarity, 0.0, most, similarity <= most)


def _retraining(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    table, measure = tables.get("retraining"), "score lost beyond random maps, retrained"
    own = None if table is None else table[(table["method"] == method) & (table["mode"] == "removed")]
    own = None if own is None else own[own["metric"].isin(("accuracy", "mae"))]
    if own is None or own.empty:
        return Finding(measure, why="not asked for (evaluation.retraining.networks, and removed among its modes)")
    row = own.iloc[0]  # the first share of the config
    if np.isnan(row["p_corrected_t"]):
        return Finding(measure, row["difference_to_random"], 0.0, why="needs several folds that differ")
    better = row["difference_to_random"] > 0 and row["p_corrected_t"] <= thresholds.alpha
    return Finding(measure, row["difference_to_random"], 0.0, passed=better)


def _masked_accuracy(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    table = tables.get("masked_accuracy")
    if table is None:
        return Finding("score on masked images", why="not asked for (evaluation.masked_accuracy.people)")
    metrics = [metric for metric in ("accuracy", "mae") if metric in set(table["metric"])]
    row = _only(table, method=method, group=JOINT, mask="threshold", metric=metrics[0]) if metrics else None
    if row is None:
        return Finding("score on masked images", why="nobody was tested")
    measure = f"{row['metric']} on masked images"
    if 1 / (1 + row["draws"]) > thresholds.alpha or np.isnan(row["p"]):
        why = "too few random masks for the level (evaluation.masked_accuracy.draws)"
        return Finding(measure, row["mean"], row["random_mean"], why=why)
    return Finding(measure, row["mean"], row["random_95"], passed=row["p"] <= thresholds.alpha)


def _reproducibility(
    level: str, name: str, change: str, least: str, measure: str
) -> Callable[[Tables, str, Thresholds], Finding]:
    def criterion(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
        threshold = getattr(thresholds, least)
        row = _only(tables.get("reproducibility"), method=method, change=change, level=level, measure=name)
        if row is None or np.isnan(row["value"]):
            why = f"not asked for (evaluation.reproducibility.people and {change}), or not possible"
            return Finding(measure, threshold=threshold, why=why)
        return Finding(measure, row["value"], row["chance"], threshold, row["value"] >= threshold)

    return criterion


def _inference(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    table, measure = tables.get("inference"), "share of the brain that differs beyond chance"
    own = None if table is None else table[(table["method"] == method) & (table["contrast"] != "mean")]
    if own is None or own.empty:
        return Finding(measure, why="not asked for (evaluation.inference.permutations)")
    best = own.loc[own["min_p"].idxmin()]
    if (own["smallest_p"] > thresholds.alpha).all():
        return Finding(measure, best["share"], 0.0, why="too few people or permutations for the level")
    # Of several classes against the others p is that of the largest of all contrasts already.
    return Finding(measure, own["share"].max(), 0.0, passed=best["min_p"] <= thresholds.alpha)


def _agreement(tables: Tables, method: str, thresholds: Thresholds) -> Finding:
    table, measure = tables.get("agreement"), "share of the other methods that it resembles"
    if table is None:
        return Finding(measure, why="not asked for (evaluation.agreement.surrogates)")
    pairs = table[(table["group"] == JOINT) & (table["measure"] == "spearman_absolute")]
    pairs = pairs[(pairs["first"] == method) | (pairs["second"] == method)]
    pairs = pairs[pairs["p"].notna()]  # nothing can be said beside a map that is constant
    if pairs.empty:
        return Finding(measure, why="there is no other method to compare with, or a map is constant")
    share = float((pairs["p"] <= thresholds.alpha).mean())
    return Finding(measure, share, thresholds.alpha, 0.5, share >= 0.5)


CRITERIA: dict[str, Callable[[Tables, str, Thresholds], Finding]] = {
    "localization": _localization,
    "localization_people": _localization_of_people,
    "no_false_alarm": _no_false_alarm,
    "randomization": _randomization,
    "shuffled_labels": _shuffled_labels,
    "deletion": _faithfulness("deletion"),
    "insertion": _faithfulness("insertion"),
    "retraining": _retraining,
    "masked_accuracy": _masked_accuracy,
    "reproducibility": _reproducibility(
        "population", "spearman", "seed", "similarity", "Spearman, another seed, map of all people"
    ),
    "reproducibility_folds": _reproducibility(
        "population", "spearman", "folds", "similarity", "Spearman, other folds, map of all people"
    ),
    "reproducibility_people": _reproducibility(
        "people", "spearman", "seed", "similarity", "Spearman, another seed, maps of people"
    ),
    "reliability": _reproducibility(
        "voxels", "icc_consistency", "seed", "reliability", "ICC(3,1), another seed, median over voxels"
    ),
    "inference": _inference,
    "agreement": _agreement,
}


def _only(table: pd.DataFrame | None, **values: str) -> pd.Series | None:
    """Return the first row with these values; None where there is none."""
    if table is None:
        return None
    for name, value in values.items():
        table = table[table[name] == value]
    return None if table.empty else table.iloc[0]
