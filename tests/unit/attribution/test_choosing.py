import numpy as np
import pandas as pd
import pytest

from voxplain.attribution.choosing import choose_people, people_of_part
from voxplain.base.errors import InputError


def table(n=60, women=0.5, folds=5):
    targets = ["F"] * round(n * women) + ["M"] * (n - round(n * women))
    return pd.DataFrame(
        {"participant_id": [f"{i:03d}" for i in range(n)], "fold": np.arange(n) % folds, "target": targets}
    )


@pytest.mark.parametrize("n", [2, 10, 21, 40])
def test_stratified_by_target_and_fold(n):
    chosen = choose_people(table(), n, seed=1)
    assert len(chosen) == n
    assert chosen["participant_id"].is_monotonic_increasing
    assert chosen["target"].value_counts().max() - chosen["target"].value_counts().min() <= 1
    within = chosen.groupby(["target", "fold"]).size().unstack(fill_value=0)
    within = within.reindex(columns=range(5), fill_value=0)
    assert (within.max(axis=1) - within.min(axis=1)).max() <= 1


def test_unequal_classes_keep_their_share():
    chosen = choose_people(table(women=0.8), 20, seed=1)
    assert chosen["target"].value_counts().to_dict() == {"F": 16, "M": 4}


@pytest.mark.parametrize("kind", [float, str])
def test_regression_is_stratified_by_quarters(kind):
    folds = table(80).assign(target=np.random.default_rng(0).normal(size=80))
    chosen = choose_people(folds.astype({"target": kind}), 16, seed=1)
    edges = folds["target"].quantile([0, 0.25, 0.5, 0.75, 1])
    quarters = pd.cut(chosen["target"].astype(float), edges, include_lowest=True)
    assert quarters.value_counts().tolist() == [4, 4, 4, 4]


def test_order_of_rows_plays_no_part_and_seeds_differ():
    folds = table()
    shuffled = folds.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(choose_people(folds, 15, 3), choose_people(shuffled, 15, 3))
    assert set(choose_people(folds, 15, 3).participant_id) != set(choose_people(folds, 15, 4).participant_id)
    assert list(folds.columns) == ["participant_id", "fold", "target"]


def test_subsets_are_nested_and_all_means_all():
    folds = table()
    small, large = (set(choose_people(folds, n, 3)["participant_id"]) for n in (9, 30))
    assert small < large
    assert len(choose_people(folds, None, 3)) == len(choose_people(folds, 100, 3)) == 60
    with pytest.raises(InputError, match="people: 0 must be at least 1"):
        choose_people(folds, 0, 3)


def test_parts_cover_a_fold_once():
    folds = table(23, folds=2).sample(frac=1, random_state=0)
    parts = [people_of_part(folds, 1, p, 4)["participant_id"].tolist() for p in range(4)]
    assert parts[1][:2] == ["003", "011"]
    assert sorted(i for part in parts for i in part) == sorted(folds.loc[folds["fold"] == 1, "participant_id"])
    assert people_of_part(folds, 7, 0, 4).empty
