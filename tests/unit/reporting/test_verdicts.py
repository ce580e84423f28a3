"""The answers that the page begins with."""

import math

import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.reporting.verdicts import (
    Performance,
    chance_of_error,
    conservation,
    explained_in_words,
    interval,
    judge,
    number,
)


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


def test_other_models_do_not_count(accuracy_tables):
    performance = judge(*accuracy_tables(mean=0.9, others=("svm", "knn")))
    assert (performance.folds, performance.people) == (2, 40)
    assert performance.score == "0.90 ± 0.05"
    assert performance.interval == "0.80 to 1.00"


@pytest.mark.parametrize(
    ("alone", "said", "no_better"),
    [
        (0.8, "; head size alone 0.80)", False),
        (0.86, "; head size alone 0.86)", True),
        (math.nan, "; head size not known)", False),
    ],
)
def test_head_size_alone_stands_in_the_headline(accuracy_tables, alone, said, no_better):
    confounds = pd.DataFrame(
        {"analysis": ["tiv_only", "tiv_only", "age_only"], "metric": ["auc", "accuracy", "accuracy"]}
    ).assign(mean=[0.99, alone, 0.99])
    performance = judge(*accuracy_tables(mean=0.9, sd=0.05, chance=0.5), confounds)
    assert performance.headline == "accuracy 0.90 ± 0.05 (chance 0.50" + said
    assert performance.beside_chance == "accuracy 0.90 ± 0.05 (chance 0.50)"
    assert performance.no_better_than_size is no_better
    assert performance.size_known is not math.isnan(alone)


def test_for_an_error_head_size_is_as_good_when_it_is_lower():
    assert Performance("mae", 5, 1, 9, 5, 100, head_size=5.5).no_better_than_size
    assert not Performance("mae", 5, 1, 9, 5, 100, head_size=6.5).no_better_than_size


def test_confounds_without_a_row_of_head_size_or_none_at_all(accuracy_tables):
    nobody_asked = judge(*accuracy_tables())
    assert nobody_asked.headline == nobody_asked.beside_chance
    unknown = judge(*accuracy_tables(), pd.DataFrame({"analysis": ["age_only"], "metric": "accuracy", "mean": 0.9}))
    assert unknown.headline.endswith("head size not known)")


def test_a_summary_without_a_headline_metric_is_refused(accuracy_tables):
    folds, summary = accuracy_tables()
    with pytest.raises(InputError, match="neither accuracy nor mae"):
        judge(folds, summary[summary["metric"] == "auc"])


def test_what_was_explained_in_words():
    assert [explained_in_words(text) for text in ("M-F", "regression", math.nan)] == [
        "M-F", "the predicted value", "nothing",
    ]  # fmt: skip


def test_conservation_is_told_by_the_median_and_the_quartiles():
    row = pd.Series({"conservation_q25": 0.5, "conservation_median": 0.6, "conservation_q75": -4000})
    assert conservation(row) == "median 0.60, quartiles 0.50 and −4000"
    assert conservation(row * math.nan) == ""


def test_numbers_for_reading():
    assert [number(x) for x in (0.944, -0.2, 1234.5, math.nan)] == ["0.94", "−0.20", "1234", "n/a"]


def test_intervals_and_p_values_for_reading():
    assert [interval(0.9, 1.02), interval(-0.1, 0.1), interval(math.nan, 1)] == ["0.90 to 1.02", "−0.10 to 0.10", ""]
    assert [chance_of_error(p) for p in (0.0004, 0.0499, math.nan)] == ["< 0.001", "0.050", "n/a"]
