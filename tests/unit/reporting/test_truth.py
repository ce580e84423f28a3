"""Which method finds most of the truth, and may be believed."""

import numpy as np
import pandas as pd
import pytest

from voxplain.reporting.truth import best_localiser, find_planted, found_in_words

METHODS = ["gradcam", "guided_backprop", "lrp"]


@pytest.fixture
def planted():
    """Guided backpropagation finds both regions, LRP one, Grad-CAM none."""
    rows = [("gradcam", 40, False), ("gradcam", 60, False), ("guided_backprop", 1, True), ("guided_backprop", 2, True)]
    rows += [("lrp", 3, True), ("lrp", 30, False)]
    return pd.DataFrame(rows, columns=["method", "rank", "in_top"]).assign(group="joint", regions=150)


@pytest.fixture
def localization():
    table = pd.DataFrame({"method": METHODS, "auc": [0.6, 0.95, 0.8], "auc_chance_95": [0.65, 0.7, np.nan]})
    others = table.assign(level="people", auc=[1.0, 0.0, 0.0]), table.assign(group="M", auc=[1.0, 0.0, 0.0])
    return pd.concat([*others, table]).fillna({"group": "joint", "level": "population"}).reset_index(drop=True)


def test_planted_regions_are_counted_over_all_people_best_method_first():
    planted = pd.DataFrame(
        {
            "method": ["gradcam", "gradcam", "guided_backprop", "guided_backprop", "gradcam"],
            "group": ["joint", "joint", "joint", "joint", "M"],
            "rank": [7, 9, 1, 30, 1],
            "regions": 150,
            "in_top": [False, False, True, False, True],
        }
    )
    best, worst = find_planted(planted, ["gradcam", "guided_backprop"])
    assert (best.method, best.found, best.planted, best.best_rank) == ("guided_backprop", 1, 2, 1)
    assert (worst.method, worst.found, worst.best_rank) == ("gradcam", 0, 7)


def test_the_best_method_is_named_and_nothing_is_said_of_better_ones_where_it_is_sound(planted, localization):
    answer = best_localiser({"planted_regions": planted, "localization": localization}, METHODS, [])
    assert (answer.method, answer.sound, answer.better) == ("guided_backprop", True, ())
    assert answer.auc == "0.95 (misplaced truth: up to 0.70)"
    assert (answer.regions.found, answer.regions.planted) == (2, 2)


def test_a_method_that_fails_randomisation_is_not_recommended_but_named_beside(planted, localization):
    frames = {"planted_regions": planted, "localization": localization}
    answer = best_localiser(frames, METHODS, ["guided_backprop", "gradcam"])
    # Grad-CAM fails too, but does worse than LRP: nothing needs to be said of it.
    assert (answer.method, answer.sound, answer.better) == ("lrp", True, ("guided_backprop",))
    assert answer.auc == "0.80"


def test_where_every_method_fails_the_best_is_named_as_unsound(planted):
    answer = best_localiser({"planted_regions": planted}, METHODS, METHODS)
    assert (answer.method, answer.sound, answer.better, answer.auc) == ("guided_backprop", False, (), "")


def test_equal_regions_are_told_apart_by_the_auc(planted, localization):
    equal = planted.assign(rank=5, in_top=True)
    answer = best_localiser({"planted_regions": equal, "localization": localization}, METHODS, ["guided_backprop"])
    assert (answer.method, answer.better) == ("lrp", ("guided_backprop",))


def test_of_a_truth_that_the_user_knows_the_auc_decides(localization):
    answer = best_localiser({"localization": localization}, METHODS, [])
    assert (answer.method, answer.regions) == ("guided_backprop", None)
    assert best_localiser({"localization": localization.assign(auc=np.nan)}, METHODS, []) is None


def test_without_a_truth_there_is_no_answer(planted):
    assert best_localiser({}, METHODS, []) is None
    assert best_localiser({"planted_regions": planted[:0]}, METHODS, []) is None
    assert found_in_words(None) == ""
