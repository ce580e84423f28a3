"""What the plain words rest on: each criterion passes, fails and is not testable where it should."""

import numpy as np
import pandas as pd
import pytest

from voxplain.evaluation.verdicts import COLUMNS, CRITERIA, Thresholds, judge_methods

NAN = np.nan


def localization(**changes):
    row = {"method": "lrp", "group": "joint", "level": "population"}
    row |= {"auc": 0.9, "auc_chance": 0.5, "auc_chance_95": 0.7, "auc_p": 0.001, "places": 99}
    return pd.DataFrame([row | changes])


def faithfulness(**changes):
    row = {"method": "lrp", "replacement": "mean", "kind": "deletion", "order": "map", "measure": "probability"}
    row |= {"difference_to_random": 0.2, "p_random": 0.01, "difference_to_intensity": 0.1, "p_intensity": 0.02}
    row |= {"people": 6, "ranks_random": 21.0, "ranks_intensity": 15.0}
    return pd.DataFrame([{**row, "order": "random", "difference_to_random": NAN}, row | changes])


def randomization(**changes):
    row = {"method": "lrp", "test": "shuffled labels", "level": "people", "spearman": 0.1, "spearman_absolute": 0.9}
    return pd.DataFrame([row | changes])


def retraining(**changes):
    row = {"method": "lrp", "mode": "removed", "share": 5, "metric": "accuracy"}
    row |= {"difference_to_random": 0.1, "p_corrected_t": 0.01}
    other = {**row, "share": 20, "difference_to_random": -1} | {key: changes[key] for key in changes if key != "share"}
    return pd.DataFrame([row | changes, other])


def masked(**changes):
    row = {"method": "lrp", "group": "joint", "mask": "threshold", "metric": "accuracy", "mean": 0.8}
    return pd.DataFrame([row | {"random_mean": 0.5, "random_95": 0.6, "p": 0.05, "draws": 19} | changes])


def reproducibility(**changes):
    row = {"method": "lrp", "change": "seed", "level": "population", "measure": "spearman"}
    return pd.DataFrame([row | {"value": 0.6, "chance": 0.0} | changes])


def inference(**changes):
    row = {"method": "lrp", "contrast": "difference", "share": 0.02, "min_p": 0.01, "smallest_p": 0.001}
    return pd.DataFrame([{**row, "contrast": "mean", "min_p": 0.001, "share": 0.5}, row | changes])


def agreement(**changes):
    row = {"group": "joint", "first": "lrp", "second": "gradcam", "measure": "spearman_absolute", "p": 0.01}
    row |= {name: value for name, value in changes.items() if name == "group"}
    return pd.DataFrame([row | changes, {**row, "first": "smoothgrad", "second": "lrp", "p": 0.5}])


def verdicts_of(**changes):
    row = {"method": "lrp", "similarity": 0.1}
    return pd.DataFrame([row | changes])


# criterion, table, its maker, and what makes it pass, fail and be not testable
CASES = [
    ("localization", "localization", localization, {}, {"auc_p": 0.06}, {"auc_p": NAN}),
    ("localization", "localization", localization, {}, {"auc_p": 0.06}, {"places": 18}),
    ("localization_people", "localization", localization, {"level": "people"}, {"level": "people", "auc": 0.59},
     {"level": "people", "auc": NAN}),
    ("no_false_alarm", "localization", localization, {"level": "shuffled labels", "auc_p": 0.5},
     {"level": "shuffled labels"}, {}),
    ("deletion", "faithfulness", faithfulness, {}, {"p_intensity": 0.2}, {"kind": "insertion"}),
    ("deletion", "faithfulness", faithfulness, {}, {"difference_to_random": -0.2}, {"method": "gradcam"}),
    ("deletion", "faithfulness", faithfulness, {}, {"ranks_random": -21.0}, {"people": 5}),
    ("insertion", "faithfulness", faithfulness, {"kind": "insertion"}, {"kind": "insertion", "p_random": 0.2}, {}),
    ("deletion", "faithfulness", faithfulness, {}, {"difference_to_intensity": -0.1}, {"people": 5}),
    ("randomization", "randomization_verdicts", verdicts_of, {}, {"similarity": 0.51}, {"similarity": NAN}),
    ("shuffled_labels", "randomization", randomization, {}, {"spearman": -0.8}, {"test": "cascade"}),
    ("retraining", "retraining", retraining, {}, {"difference_to_random": -0.1}, {"p_corrected_t": NAN}),
    ("retraining", "retraining", retraining, {"metric": "mae"}, {"metric": "mae", "p_corrected_t": 0.06},
     {"metric": "auc"}),
    ("retraining", "retraining", retraining, {}, {"difference_to_random": 0.0}, {"mode": "kept"}),
    ("masked_accuracy", "masked_accuracy", masked, {}, {"p": 0.1}, {"draws": 18}),
    ("masked_accuracy", "masked_accuracy", masked, {"metric": "mae"}, {"metric": "mae", "p": 0.1}, {"p": NAN}),
    ("reproducibility", "reproducibility", reproducibility, {}, {"value": 0.4}, {"value": NAN}),
    ("reproducibility_folds", "reproducibility", reproducibility, {"change": "folds"},
     {"change": "folds", "value": 0.4}, {}),
    ("reproducibility_people", "reproducibility", reproducibility, {"level": "people"},
     {"level": "people", "value": 0.4}, {}),
    ("reliability", "reproducibility", reproducibility, {"level": "voxels", "measure": "icc_consistency", "value": 0.4},
     {"level": "voxels", "measure": "icc_consistency", "value": 0.39}, {}),
    ("inference", "inference", inference, {}, {"min_p": 0.06}, {"smallest_p": 0.1}),
    ("agreement", "agreement", agreement, {}, {"p": 0.06}, {"group": "F"}),
]  # fmt: skip


def word(criterion, tables):
    found = judge_methods(tables, ["lrp"], Thresholds()).set_index("criterion").loc[criterion]
    return found["verdict"], found["why"]


@pytest.mark.parametrize(("criterion", "table", "make", "good", "bad", "unknown"), CASES)
def test_each_word(criterion, table, make, good, bad, unknown):
    assert word(criterion, {table: make(**good)}) == ("passes", "")
    assert word(criterion, {table: make(**bad)}) == ("fails", "")
    verdict, why = word(criterion, {table: make(**unknown)})
    assert verdict == "not testable"
    assert why


def test_nothing_was_asked_for():
    table = judge_methods({}, ["lrp", "gradcam"], Thresholds())
    assert list(table) == COLUMNS
    assert table["method"].tolist() == ["lrp"] * len(CRITERIA) + ["gradcam"] * len(CRITERIA)
    assert (table["verdict"] == "not testable").all()
    assert (table["why"].str.len() > 10).all()


def test_values_chance_and_thresholds_stand_beside_the_word():
    tables = {"localization": localization(), "reproducibility": reproducibility(value=0.3)}
    table = judge_methods(tables, ["lrp"], Thresholds(similarity=0.25)).set_index("criterion")
    assert table.loc["localization", ["value", "chance"]].tolist() == [0.9, 0.7]
    assert np.isnan(table.loc["localization", "threshold"])
    row = table.loc["reproducibility", ["value", "chance", "threshold", "verdict"]]
    assert row.tolist() == [0.3, 0, 0.25, "passes"]


def test_absolute_ranks_judge_methods_without_signs():
    table = randomization(method="perturbation")
    found = judge_methods({"randomization": table}, ["perturbation"], Thresholds()).set_index("criterion")
    assert found.loc["shuffled_labels", ["value", "verdict"]].tolist() == [0.9, "fails"]


def test_beside_a_constant_map_nothing_is_said_of_a_method():
    """One of two others has no ranks: it speaks neither for nor against."""
    table = pd.concat([agreement(), agreement(second="occlusion", p=NAN)[:1]], ignore_index=True)
    table = table[table["first"] == "lrp"]
    found = judge_methods({"agreement": table}, ["lrp", "occlusion"], Thresholds()).set_index(["method", "criterion"])
    assert found.loc[("lrp", "agreement"), ["value", "verdict"]].tolist() == [1.0, "passes"]
    assert found.loc[("occlusion", "agreement"), "verdict"] == "not testable"
