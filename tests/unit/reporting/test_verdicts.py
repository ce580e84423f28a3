"""The answers that the page begins with."""

import math

import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.reporting.verdicts import Performance, count_explained, find_planted, judge, number


@pytest.mark.parametrize(
    ("mean", "sd", "chance", "weak"),
    [(0.9, 0.05, 0.5, False), (0.55, 0.05, 0.5, True), (0.56, 0.05, 0.5, False), (0.5, math.nan, 0.5, True)],
)
def test_a_weak_network_is_one_sd_from_chance(mean, sd, chance, weak):
    assert Performance("accuracy", mean, sd, chance, 5, 100).weak is weak


def test_for_an_error_lower_is_better():
    assert not Performance("mae", 4, 1, 8, 5, 100).weak
    assert Performance("mae", 7.5, 1, 8, 5, 100).weak


def test_the_score_stands_beside_its_sd_and_chance(accuracy_tables):
    performance = judge(*accuracy_tables(mean=0.9, sd=0.05, chance=0.5))
    assert (performance.folds, performance.people) == (2, 40)
    assert performance.beside_chance == "accuracy 0.90 ± 0.05 (chance 0.50)"
    one_fold = Performance("accuracy", 0.9, math.nan, math.nan, 1, 10)
    assert one_fold.beside_chance == "accuracy 0.90 (chance unknown)"


def test_a_summary_without_a_headline_metric_is_refused(accuracy_tables):
    folds, summary = accuracy_tables()
    with pytest.raises(InputError, match="neither accuracy nor mae"):
        judge(folds, summary[summary["metric"] == "auc"])


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


def test_explained_people_are_counted_over_parts():
    part = pd.DataFrame({"participant_id": ["a", "b"], "explained": ["M-F", "M-F"]})
    assert count_explained({"x": [part, part[:0], part[:1]], "y": []}) == {"x": (3, "M-F"), "y": (0, "nothing")}


def test_numbers_for_reading():
    assert [number(x) for x in (0.944, -0.2, 1234.5, math.nan)] == ["0.94", "−0.20", "1234", "n/a"]
