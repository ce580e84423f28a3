import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.age_gap import gaps, summarise_gaps


def frames_of(target, prediction, folds=3):
    target, prediction = np.asarray(target, dtype=float), np.asarray(prediction, dtype=float)
    ids = [f"p{number:03d}" for number in range(len(target))]
    frame = pd.DataFrame({"participant_id": ids, "fold": np.arange(len(target)) % folds, "target": target})
    return [own for _, own in frame.assign(prediction=prediction).groupby("fold")]


def test_what_is_pulled_to_the_mean_alone_has_no_corrected_gap():
    age = np.arange(20.0, 80.0, 2)
    people = gaps(frames_of(age, 50 + 0.6 * (age - 50)))
    assert people["gap"].to_numpy() == pytest.approx(-0.4 * (age - 50))
    assert people["gap_corrected"].to_numpy() == pytest.approx(np.zeros(30), abs=1e-9)


def test_the_line_is_that_of_the_other_folds():
    """Six people, two folds; the line through (20, 30), (40, 40), (60, 50) is 20 + age / 2."""
    age, predicted = [20, 10, 40, 50, 60, 80], [30, 0, 40, 99, 50, 10]
    people = gaps(frames_of(age, predicted, folds=2)).set_index("participant_id")
    assert people.loc[["p001", "p003", "p005"], "gap_corrected"].tolist() == pytest.approx([-25, 54, -50])
    # Whatever the people of a fold are like, their own line does not change.
    other = gaps(frames_of(age, [30, 7, 40, -5, 50, 3], folds=2)).set_index("participant_id")
    assert other.loc["p001", "gap_corrected"] == pytest.approx(7 - 25)


def test_the_corrected_gap_does_not_follow_age():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 300)
    table = summarise_gaps({"cnn": frames_of(age, 50 + 0.5 * (age - 50) + rng.normal(0, 5, 300))}).set_index("gap")
    assert table.loc["raw", "r_with_target"] < -0.7
    assert abs(table.loc["corrected", "r_with_target"]) < 0.1
    assert table.loc["corrected", "sd"] == pytest.approx(5, rel=0.1)
    assert table.loc["corrected", "ci_low"] < 0 < table.loc["corrected", "ci_high"]


def test_order_of_people_changes_nothing():
    rng = np.random.default_rng(1)
    frames = frames_of(rng.uniform(20, 80, 30), rng.uniform(20, 80, 30))
    mixed = [frame.sample(frac=1, random_state=2) for frame in frames[::-1]]
    pd.testing.assert_frame_equal(gaps(frames), gaps(mixed))


def test_too_few_people_elsewhere():
    with pytest.raises(InputError, match="fold 0"):
        gaps(frames_of([20, 30, 40], [21, 30, 41], folds=2))
