from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.matching import match_pairs, matched_metrics, pooled_sd

LABELS = ["F", "M"]


def brute_force(tiv, classes, caliper):
    """Return the largest number of pairs and the smallest sum of distances with that many."""
    women = [n for n, name in enumerate(classes) if name == "F"]
    men = [n for n, name in enumerate(classes) if name == "M"]
    for count in range(min(len(women), len(men)), 0, -1):
        sums = [
            sum(abs(tiv[i] - tiv[j]) for i, j in zip(some, others, strict=True))
            for some in combinations(women, count)
            for others in permutations(men, count)
            if all(abs(tiv[i] - tiv[j]) <= caliper for i, j in zip(some, others, strict=True))
        ]
        if sums:
            return count, min(sums)
    return 0, 0.0


@pytest.mark.parametrize("seed", range(12))
def test_as_good_as_trying_every_matching(seed):
    rng = np.random.default_rng(seed)
    classes = rng.permutation(list("FFFFMMMMM"[: rng.integers(5, 10)]))
    tiv = rng.normal(0, 1, len(classes)) + (classes == "M")
    caliper = rng.uniform(0.1, 1)
    pairs = match_pairs(tiv, classes, LABELS, caliper)
    count, total = brute_force(tiv, classes, caliper)
    assert len(pairs) == count
    assert sum(abs(tiv[i] - tiv[j]) for i, j in pairs) == pytest.approx(total)
    assert all(classes[i] == "F" and classes[j] == "M" for i, j in pairs)
    assert len({person for pair in pairs for person in pair}) == 2 * count


def test_pairs_come_before_distance():
    """The nearest pair (2, 2.1) alone would be closer, and greedy matching would stop there."""
    assert match_pairs([1.0, 2.0, 2.1, 3.1], list("FFMM"), LABELS, 1.2) == [(0, 2), (1, 3)]


def test_the_caliper_is_inclusive_and_in_the_unit_of_head_size():
    tiv = [1_400_000.0, 1_420_000.0]
    assert match_pairs(tiv, ["F", "M"], LABELS, 20_000) == [(0, 1)]
    assert match_pairs(tiv, ["F", "M"], LABELS, 19_999) == []
    assert match_pairs([5.0, 5.0, 6.0], ["F", "M", "M"], LABELS, 0) == [(0, 1)]


def test_who_finds_no_partner():
    assert match_pairs([1.0, np.nan, 1.1, 1.0], ["F", "M", "M", "X"], LABELS, 1) == [(0, 2)]
    assert match_pairs([1.0, 1.0], ["F", "F"], LABELS, 1) == []
    assert match_pairs([], [], LABELS, 1) == []


def test_settings_that_make_no_pairs():
    with pytest.raises(InputError, match="two classes, not 3"):
        match_pairs([1.0], ["A"], ["A", "B", "C"], 1)
    with pytest.raises(InputError, match="caliper"):
        match_pairs([1.0], ["F"], LABELS, -1)
    with pytest.raises(InputError, match="caliper"):
        match_pairs([1.0], ["F"], LABELS, float("nan"))


def test_pooled_sd_is_within_classes():
    assert pooled_sd([1, 3, 101, 103, 105, np.nan], list("FFMMMM")) == pytest.approx(np.sqrt((2 + 8) / 3))
    assert np.isnan(pooled_sd([1, 2], ["F", "M"]))


@pytest.fixture
def people():
    """Eight people in two folds, three pairs of equal head size, men larger otherwise. Pooled SD: 100."""
    ids = [f"p{n}" for n in range(8)]
    frame = pd.DataFrame({"participant_id": ids, "fold": [0] * 4 + [1] * 4, "target": list("FMFMFMFM")})
    sizes = pd.Series([1000, 1000, 1100, 1100, 1200, 1200, 1000, 1300], index=ids, dtype=float) * 1000
    return frame, sizes


def predictions(people, guesses, scores):
    frame = people.assign(prediction=list(guesses), score=scores)
    return [frame[frame["fold"] == fold] for fold in (0, 1)]


def rows_of(tables, people, sizes, caliper_sd=0.2):
    rows, note = matched_metrics(tables, people, sizes, LABELS, caliper_sd)
    return pd.DataFrame(rows).set_index(["model", "metric"]), note


def test_models_on_pairs_in_closed_form(people):
    people, sizes = people
    size = (sizes - 1150_000) / 1000
    tables = {
        "cnn": predictions(people, "FMFFFMFM", [-1, 1, -2, -0.5, -1, 1, -1, 3]),
        "tiv": predictions(people, np.where(size > 0, "M", "F"), size.to_numpy()),
    }
    rows, note = rows_of(tables, people, sizes)
    row = rows.loc[("cnn", "accuracy")]
    assert (row["pairs"], row["n"]) == (3, 6)
    assert row["mean"] == pytest.approx(5 / 6)  # p3 is wrong
    assert row["reference"] == pytest.approx(7 / 8)
    assert row["sd"] == pytest.approx(np.std([3 / 4, 1], ddof=1))
    assert rows.loc[("cnn", "auc"), ["mean", "reference"]].tolist() == [1, 1]
    # Partners have one head size: it is right for one of each pair, and its AUC is 1/2, in whatever fold.
    assert rows.loc[("tiv", "accuracy"), "mean"] == 0.5
    assert rows.loc[("tiv", "auc"), "mean"] == pytest.approx((2 * 0.5 + 1 * 0.5) / 3)
    # Before: in fold 0 ties, in fold 1 (F 1200, 1000; M 1200, 1300) 3.5 of 4; weighted by pairs.
    assert rows.loc[("tiv", "auc"), "reference"] == pytest.approx((2 * 0.5 + 1 * 3.5 / 4) / 3)
    assert "among 8 people" in note
    assert "0.0 ml in the pairs, 75.0 ml in all of them" in note


def test_nobody_is_paired_across_folds(people):
    people, sizes = people
    apart = people.assign(fold=np.where(people["target"] == "F", 0, 1))
    rows, note = rows_of({"cnn": predictions(apart, "FMFMFMFM", np.arange(8.0))}, apart, sizes)
    assert (rows["pairs"] == 0).all()
    assert "mean" not in rows or rows["mean"].isna().all()
    assert note.startswith("no pairs within")


def test_pairs_are_of_people_whom_every_model_predicted(people):
    people, sizes = people
    whole = predictions(people, "FMFFFMFM", np.arange(8.0))
    fewer = [frame[frame["participant_id"] != "p3"] for frame in whole]
    rows, _ = rows_of({"cnn": whole, "knn": fewer}, people, sizes)
    assert (rows["pairs"] == 2).all()
    assert rows.loc[("cnn", "accuracy"), "mean"] == 1
    assert rows.loc[("cnn", "accuracy"), "reference"] == 1


def test_people_of_unknown_head_size_are_left_out(people):
    people, sizes = people
    rows, note = rows_of({"cnn": predictions(people, "FMFFFMFM", np.arange(8.0))}, people, sizes.drop("p3"))
    assert (rows["pairs"] == 2).all()
    assert "among 7 people" in note


def test_balanced_reference_where_classes_are_unequal(people):
    people, sizes = people
    mostly = people.assign(target=list("FMFFFMFF"))
    rows, _ = rows_of({"cnn": predictions(mostly, "F" * 8, np.zeros(8))}, mostly, sizes)
    assert rows.loc[("cnn", "accuracy"), "reference"] == 0.75
    assert rows.loc[("cnn", "balanced_accuracy"), "reference"] == 0.5
    assert rows.loc[("cnn", "accuracy"), "mean"] == rows.loc[("cnn", "balanced_accuracy"), "mean"] == 0.5


def test_order_of_people_changes_nothing(people):
    people, sizes = people
    tables = predictions(people, "FMFFFMFM", np.arange(8.0))
    rows, note = rows_of({"cnn": tables}, people, sizes)
    again, note_again = rows_of({"cnn": [frame[::-1] for frame in tables]}, people[::-1], sizes[::-1])
    pd.testing.assert_frame_equal(rows, again)
    assert note == note_again


def test_the_reference_is_of_the_folds_that_have_pairs():
    """A perfect fold without pairs must not make a fall out of a model that is at chance in the other."""
    people = pd.DataFrame({"participant_id": list("abcdefgh"), "fold": [0] * 4 + [1] * 4, "target": ["F", "M"] * 4})
    sizes = pd.Series([1.4e6, 1.4e6, 1.5e6, 1.5e6, 1.3e6, 1.9e6, 1.2e6, 1.8e6], index=people["participant_id"])
    guesses = people.assign(prediction=["F", "F", "M", "M", "F", "M", "F", "M"])
    guesses["score"] = np.where(guesses["prediction"] == "M", 1.0, -1.0)
    frames = [own for _, own in guesses.groupby("fold")]
    rows, _ = matched_metrics({"cnn": frames}, people, sizes, ["F", "M"], caliper_sd=0.1)
    for row in rows:
        assert row["pairs"] == 2
        assert row["mean"] == row["reference"] == 0.5
