"""The verdict on every method as a table."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table
from voxplain.evaluation.verdicts import CRITERIA, Thresholds, judge_methods
from voxplain.reporting.verdict_matrix import GROUPS, build_matrix, fails_randomisation

WHY = "needs several folds that differ"


@pytest.fixture
def verdicts(tmp_path):
    """Two methods; read back from a file, as the page reads it."""
    rows = [
        ("lrp", "localization", 0.91, 0.77, np.nan, "passes", ""),
        ("lrp", "randomization", 0.02, 0.0, 0.5, "passes", ""),
        ("lrp", "inference", 0.28, 0.0, np.nan, "passes", ""),
        ("lrp", "retraining", np.nan, np.nan, np.nan, "not testable", WHY),
        ("lrp", "masked_accuracy", np.nan, np.nan, np.nan, "not testable", "nobody was tested"),
        ("gradcam", "localization", 0.55, 0.62, np.nan, "fails", ""),
        ("gradcam", "randomization", 0.73, 0.0, 0.5, "fails", ""),
        ("gradcam", "inference", 0.001, 0.0, np.nan, "not testable", "too few people"),
        ("gradcam", "retraining", np.nan, np.nan, np.nan, "not testable", WHY),
        ("gradcam", "masked_accuracy", 0.5, 0.6, np.nan, "not testable", "too few random masks"),
    ]
    columns = ["method", "criterion", "value", "chance", "threshold", "verdict", "why"]
    write_table(pd.DataFrame(rows, columns=columns).assign(measure="x"), tmp_path / "verdicts.tsv")
    return read_table(tmp_path / "verdicts.tsv")


def rows_of(matrix):
    return {row.title: row for _, rows in matrix.groups for row in rows}


def test_every_criterion_has_a_title_and_a_group():
    assert [name for criteria in GROUPS.values() for name in criteria] == list(CRITERIA)
    assert all(one.title and one.measure and one.rule for criteria in GROUPS.values() for one in criteria.values())


def test_a_cell_has_word_sign_numbers_and_the_row_says_when_it_is_passed(verdicts):
    matrix = build_matrix(verdicts, ["gradcam", "lrp", "noise"], alpha=0.05)
    assert matrix.methods == ["Grad-CAM", "Layer-wise relevance propagation"]
    assert [title for title, _ in matrix.groups] == ["Truth", "Follows the network", "Statistics"]
    row = rows_of(matrix)["Finds the truth (map of all people)"]
    assert row.rule.replace("\xa0", " ") == "p ≤ 0.05"
    worse, better = row.cells
    assert (worse.word, worse.sign, worse.look, worse.value, worse.chance) == ("fails", "✗", "fails", "0.55", "0.62")
    assert (better.word, better.sign, better.value) == ("passes", "✓", "0.91")
    assert rows_of(matrix)["Changes when the network is randomised"].rule.replace("\xa0", " ") == "≤ 0.50"
    assert rows_of(matrix)["Classes differ beyond chance"].cells[1].value == "28.0 %"


def test_what_is_not_testable_for_one_method_has_a_footnote_and_for_all_stands_below(verdicts):
    matrix = build_matrix(verdicts, ["gradcam", "lrp"], alpha=0.05)
    cell = rows_of(matrix)["Classes differ beyond chance"].cells[0]
    assert (cell.word, cell.look, cell.sign, cell.value) == ("not testable", "not-testable", "–", "0.1 %")
    assert matrix.footnotes == ["too few people"]
    assert cell.footnote == 1
    assert matrix.untested == [
        ("Retraining without it", WHY),
        ("Masked images", "too few random masks; nobody was tested"),
    ]


def test_methods_are_counted_by_what_could_be_tested_and_warned_of(verdicts):
    matrix = build_matrix(verdicts, ["lrp", "gradcam"])
    assert matrix.counts == [("Layer-wise relevance propagation", 3, 3), ("Grad-CAM", 0, 2)]
    assert list(matrix.warnings) == ["gradcam"]
    assert "randomised and its map does not find the truth" in matrix.warnings["gradcam"]
    assert rows_of(matrix)["Finds the truth (map of all people)"].rule == ""  # the level is not known


def test_a_regression_has_no_classes_and_unknown_criteria_come_last(verdicts):
    more = pd.concat([verdicts, verdicts[:1].assign(criterion="new_test")])
    matrix = build_matrix(more, ["lrp"], 0.01, regression=True)
    assert "Follows the number beyond chance" in rows_of(matrix)
    assert matrix.groups[-1][0] == "Others"
    assert matrix.groups[-1][1][0].title == "new test"


def test_a_method_without_a_row_of_a_criterion_was_not_tested(verdicts):
    fewer = verdicts[~((verdicts["method"] == "lrp") & (verdicts["criterion"] == "localization"))]
    row = rows_of(build_matrix(fewer, ["lrp", "gradcam"]))["Finds the truth (map of all people)"]
    assert [cell.word for cell in row.cells] == ["not testable", "fails"]


def test_with_nothing_tested_every_criterion_stands_below():
    verdicts = judge_methods({}, ["lrp"], Thresholds())
    matrix = build_matrix(verdicts, ["lrp"], 0.05)
    assert matrix.groups == []
    assert len(matrix.untested) == len(CRITERIA)
    assert matrix.counts == [("Layer-wise relevance propagation", 0, 0)]


def test_who_fails_randomisation_is_read_from_the_verdicts_or_else_from_the_test(verdicts):
    tested = pd.DataFrame({"method": ["lrp", "smoothgrad"], "survives": [True, False]})
    assert fails_randomisation({"verdicts": verdicts, "randomization_verdicts": tested}) == ["gradcam"]
    assert fails_randomisation({"randomization_verdicts": tested}) == ["lrp"]
    assert fails_randomisation({}) == []
