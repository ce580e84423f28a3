"""Folds: balanced, families whole, independent of order and of salts, and refused when impossible."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.cohort.folds import assign_folds
from voxplain.cohort.participants import hash_groups


def participants_of(targets, groups=None):
    ids = [f"{n:04d}" for n in range(len(targets))]
    return pd.DataFrame({"participant_id": ids, "target": targets, "group": groups or [None] * len(ids)})


def twins(families, seed=0):
    """Families of one to three people whose sexes are drawn."""
    rng = np.random.default_rng(seed)
    groups = [f"family{n}" for n in range(families) for _ in range(rng.integers(1, 4))]
    return participants_of(rng.choice(["F", "M"], len(groups)).tolist(), groups)


def test_everyone_is_tested_once_and_classes_are_balanced():
    people = participants_of(["F"] * 30 + ["M"] * 20)
    folds = assign_folds(people, people["participant_id"], 5, "classification", 42)
    assert folds.columns.tolist() == ["participant_id", "fold", "target"]
    assert folds["participant_id"].tolist() == people["participant_id"].tolist()
    counts = pd.crosstab(folds["fold"], folds["target"])
    assert counts.index.tolist() == [0, 1, 2, 3, 4]
    assert (counts["F"] == 6).all()
    assert (counts["M"] == 4).all()


def test_people_who_failed_quality_control_are_left_out():
    people = participants_of(["F", "M"] * 10)
    ids = people["participant_id"][3:]
    folds = assign_folds(people, ids, 3, "classification", 42)
    assert folds["participant_id"].tolist() == ids.tolist()
    assert folds["target"].tolist() == people["target"][3:].tolist()


def test_families_are_never_torn_apart_and_folds_stay_balanced():
    people = twins(60)
    people.loc[::7, "group"] = None
    folds = assign_folds(people, people["participant_id"], 5, "classification", 42).merge(people)
    assert (folds.dropna(subset="group").groupby("group")["fold"].nunique() == 1).all()
    share = folds.assign(male=folds["target"] == "M").groupby("fold")["male"].agg(["mean", "size"])
    assert share["mean"].max() - share["mean"].min() < 0.1
    assert share["size"].max() - share["size"].min() <= 4
    torn = assign_folds(people, people["participant_id"], 5, "classification", 42, grouped=False).merge(people)
    assert (torn.dropna(subset="group").groupby("group")["fold"].nunique() > 1).any()


def test_unknown_families_are_not_one_family():
    people = participants_of(["F", "M"] * 10, ["one", "one"] + [None] * 18)
    folds = assign_folds(people, people["participant_id"], 5, "classification", 42)
    assert folds["fold"].value_counts().between(3, 5).tolist() == [True] * 5
    assert folds["fold"][0] == folds["fold"][1]


def test_neither_order_nor_salt_matters_but_the_seed_does():
    people = twins(40)
    first = assign_folds(people, people["participant_id"], 4, "classification", 42)
    mixed = people.sample(frac=1, random_state=5)
    assert assign_folds(mixed, mixed["participant_id"].sample(frac=1), 4, "classification", 42).equals(first)
    for salt in ("one", "two"):
        hashed = people.assign(group=hash_groups(people["group"], salt))
        assert assign_folds(hashed, people["participant_id"], 4, "classification", 42).equals(first)
    assert not assign_folds(people, people["participant_id"], 4, "classification", 43).equals(first)
    assert len(assign_folds(people, people["participant_id"], 4, "classification", 2**40 + 1)) == len(people)


def test_regression_folds_span_the_targets():
    rng = np.random.default_rng(1)
    people = participants_of(rng.permutation(np.arange(100.0)).tolist())
    folds = assign_folds(people, people["participant_id"], 5, "regression", 42)
    assert folds["fold"].value_counts().tolist() == [20] * 5
    for _, targets in folds.groupby("fold")["target"]:
        assert np.histogram(targets, bins=np.linspace(0, 100, 11))[0].tolist() == [2] * 10
    few = assign_folds(people, people["participant_id"][:7], 5, "regression", 42)
    assert sorted(few["fold"].value_counts()) == [1, 1, 1, 2, 2]


def test_regression_with_families():
    people = twins(60)
    people["target"] = np.arange(len(people), dtype=float)
    folds = assign_folds(people, people["participant_id"], 5, "regression", 42).merge(people)
    assert (folds.groupby("group")["fold"].nunique() == 1).all()
    assert folds.groupby("fold")["target"].mean().between(0.35 * len(people), 0.65 * len(people)).all()


@pytest.mark.parametrize("k", [1, 0, -3, 2.5, True, None])
def test_number_of_folds(k):
    people = participants_of(["F", "M"] * 10)
    with pytest.raises(InputError, match="at least 2 folds"):
        assign_folds(people, people["participant_id"], k, "classification", 42)


def test_fewer_people_members_or_families_than_folds():
    people = participants_of(["F", "M"] * 4)
    with pytest.raises(InputError, match="10 folds were asked for, but there are only 8 people"):
        assign_folds(people, people["participant_id"], 10, "classification", 42)
    with pytest.raises(InputError, match="only 8 people"):
        assign_folds(people.assign(target=1.0), people["participant_id"], 10, "regression", 42)
    rare = participants_of(["A"] * 10 + ["B"] * 4 + ["C"] * 3)
    with pytest.raises(InputError, match=r"classes have fewer people\n  - B: 4 people\n  - C: 3 people\n"):
        assign_folds(rare, rare["participant_id"], 5, "classification", 42)
    with pytest.raises(InputError, match="everyone belongs to the class 'A'"):
        assign_folds(rare, rare["participant_id"][:10], 5, "classification", 42)
    families = participants_of(["F", "M"] * 10, ["a", "a", "b", "b", "c"] * 4)
    with pytest.raises(InputError, match="all 20 people belong to 3 families"):
        assign_folds(families, families["participant_id"], 5, "classification", 42)
    assert len(assign_folds(families, families["participant_id"], 5, "classification", 42, grouped=False)) == 20


def test_a_class_within_one_family():
    people = participants_of(["F"] * 12 + ["M"] * 4, [*"abcdefghijkl", "m", "m", "m", "m"])
    with pytest.raises(InputError, match=r"the largest has 4 of 16 people\n  - without fold \d nobody of class M"):
        assign_folds(people, people["participant_id"], 3, "classification", 42)


def test_strangers_and_repeated_ids_in_the_index():
    people = participants_of(["F", "M"] * 10)
    with pytest.raises(InputError, match=r"2 people of the image stack are not in .*\n  - 8888\n  - 9999\n"):
        assign_folds(people, [*people["participant_id"], "9999", "8888"], 5, "classification", 42)
    with pytest.raises(InputError, match=r"more than once\n  - 0003"):
        assign_folds(people, [*people["participant_id"], "0003"], 5, "classification", 42)
