"""A cell of the benchmark on tiny cohorts: what was planted is found, whichever way the work went."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from voxplain.base.errors import InputError
from voxplain.evaluation import power
from voxplain.evaluation.localization import MEASURES
from voxplain.evaluation.power import score_cohort
from voxplain.evaluation.power_scores import SCORE_COLUMNS, population_maps
from voxplain.models.settings import TrainingSettings
from voxplain.population.summary import STATISTICS

SHAPE, LABELS = (20, 20, 20), ("A", "B")
TRAINING = TrainingSettings(
    arguments={"channels": 4, "blocks": 1, "dropout": 0.0}, labels=LABELS, epochs=6, batch_size=8, learning_rate=0.01,
    milestones=(), checkpoint="last",
)  # fmt: skip
METHODS = {
    "smooth": {"method": "smoothgrad", "samples": 2},
    "lrp": {"method": "lrp", "people": 6},
    "masks": {"method": "perturbation", "iterations": 3, "people": 4},
}
SCORING = {"fwhms_mm": (0.0, 2.0), "shuffles": 30, "affine": np.eye(4), "seed": 3}


@pytest.fixture(scope="module")
def cohort():
    """Forty people in pairs of siblings; those of class B have a bright cube."""
    rng = np.random.default_rng(0)
    brain, truth = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    brain[2:-2, 2:-2, 2:-2] = True
    truth[5:10, 5:10, 5:10] = True
    targets = np.array(["A", "B", "B", "A"] * 10)
    images = rng.standard_normal((40, *SHAPE), dtype=np.float32) * brain
    images[np.ix_(targets == "B", *map(np.flatnonzero, (truth.any((1, 2)), truth.any((0, 2)), truth.any((0, 1)))))] += 1
    ids = [f"{i:03d}" for i in range(40)]
    people = pd.DataFrame({"participant_id": ids, "target": targets, "group": [f"f{i // 2}" for i in range(40)]})
    return images, people, truth, brain


def cell_of(cohort, folder, methods=METHODS, **changes):
    return score_cohort(*cohort, TRAINING, methods, state_folder=folder, **{**SCORING, **changes})


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("cell")


@pytest.fixture(scope="module")
def cell(cohort, state):
    return cell_of(cohort, state)


def one(scores, **where):
    rows = scores
    for column, value in where.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, where
    return rows.iloc[0]


def test_a_bright_cube_is_found(cell):
    scores = cell.scores
    assert cell.accuracy["accuracy"].item() > 0.85
    found = one(scores, method="smooth", statistic="t", joint="mean", fwhm_mm=2.0, level="population")
    assert found["auc"] > 0.9
    assert found["auc_p"] == pytest.approx(1 / 31)
    assert found["auc"] > found["auc_chance_95"] > 0.5
    assert one(scores, method="anatomy_all", fwhm_mm=2.0)["auc"] > 0.95
    single = one(scores, method="smooth", fwhm_mm=2.0, level="people")
    assert (single["auc"] > 0.9, single["n"], single["auc_sd"] < 0.1) == (True, 10, True)


def test_every_combination_has_its_row_and_no_row_names_a_person(cohort, cell):
    scores = cell.scores
    assert list(scores) == SCORE_COLUMNS
    own = scores[scores["method"].isin(METHODS)]
    combinations = [
        ("mean_rectified", "mean"), ("mean_absolute", "mean"), ("mean_signed", "mean"), ("mean_signed", "difference"),
        ("t", "mean"), ("t", "difference"),
    ]  # fmt: skip
    for name, people in (("smooth", 10), ("lrp", 6), ("masks", 4)):
        rows = own[(own["method"] == name) & (own["level"] == "population")]
        assert list(zip(rows["statistic"], rows["joint"], strict=True))[::2] == combinations
        assert rows["n"].eq(people).all()
        assert rows["fwhm_mm"].tolist() == [0.0, 2.0] * 6
        usual = rows[rows["usual"].eq(True) & rows["statistic"].isin(["mean_signed", "t"])]
        # Only what LRP says has the sign of a person's own class: a gradient's is alike in everybody.
        assert set(usual["joint"]) == {"difference" if name == "lrp" else "mean"}
    anatomy = scores[scores["method"].str.startswith("anatomy")]
    assert anatomy.groupby("method")["n"].first().to_dict() == {"anatomy_all": 40, "anatomy_held_out": 10}
    assert (scores["level"] == "people").sum() == 2 * len(METHODS)
    assert scores[["auc", "dice"]].notna().all(axis=None)
    for table in cell:
        assert not set(table.astype(str).to_numpy().ravel()) & set(cohort[1]["participant_id"])
    assert set(cell.cost["step"]) == {"training", *METHODS, *(f"{name} scored" for name in METHODS)}
    assert (cell.cost["seconds"] > 0).all()
    assert cell.accuracy[["n_train", "n_test"]].to_numpy().tolist() == [[30, 10]]


def test_a_killed_cell_goes_on_and_gives_the_same(cohort, cell, state, monkeypatch):
    def never(*_, **__):
        raise AssertionError("was done before")

    monkeypatch.setattr(power, "attribute", never)
    monkeypatch.setattr("voxplain.models.training._Training._train_epoch", never)
    again = cell_of(cohort, state)
    for before, after in zip(cell, again, strict=True):
        pd.testing.assert_frame_equal(before, after)
    with pytest.raises(AssertionError, match="was done before"):
        cell_of(cohort, state, {"lrp": {"method": "lrp", "people": 8}})


def test_neither_a_methods_name_nor_its_company_changes_its_scores(cohort, cell, state):
    alone = cell_of(cohort, state, {"other": METHODS["lrp"]}).scores
    for name, other in (("other", "lrp"), ("anatomy_all", "anatomy_all")):
        own = alone[alone["method"] == name].drop(columns="method").reset_index(drop=True)
        known = cell.scores[cell.scores["method"] == other].drop(columns="method").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, known)


def test_families_are_not_torn_and_classes_are_balanced(cohort, state, monkeypatch):
    seen = {}
    train = power.train_and_test

    def watched(images, people, *rest):
        seen["people"] = people
        return train(images, people, *rest)

    monkeypatch.setattr(power, "train_and_test", watched)
    cell_of(cohort, state, {})
    people = seen["people"]
    assert people.groupby("group")["fold"].nunique().eq(1).all()
    assert people[people["fold"] == 0]["target"].value_counts().to_dict() == {"A": 5, "B": 5}


def test_population_maps_are_those_of_scipy():
    rng = np.random.default_rng(5)
    maps, targets = rng.normal(0.2, 1, (9, 3, 4, 5)), np.array(list("ABABABBBA"))
    first, second = maps[targets == "A"], maps[targets == "B"]
    expected = {
        ("mean_rectified", "mean"): (first.clip(0).mean(0) + second.clip(0).mean(0)) / 2,
        ("mean_absolute", "mean"): (np.abs(first).mean(0) + np.abs(second).mean(0)) / 2,
        ("mean_signed", "mean"): (first.mean(0) + second.mean(0)) / 2,
        ("mean_signed", "difference"): second.mean(0) - first.mean(0),
        ("t", "mean"): (stats.ttest_1samp(first, 0).statistic + stats.ttest_1samp(second, 0).statistic) / 2,
        ("t", "difference"): stats.ttest_ind(second, first, equal_var=False).statistic,
    }
    found = {(name, how): volume for name, how, volume in population_maps(maps, targets, LABELS, STATISTICS)}
    assert set(found) == set(expected)
    for key, volume in found.items():
        np.testing.assert_allclose(volume, expected[key], rtol=2e-5, atol=1e-6, err_msg=str(key))


def test_what_is_usual_follows_the_target(cohort, state):
    """As `voxplain.configuration.joining` has it: maps of a person's own class do not cancel in a mean."""
    scores = cell_of(cohort, state, {"own": {"method": "lrp", "target": "true", "people": 6}}).scores
    rows = scores[scores["statistic"].isin(["mean_signed", "t"]) & scores["usual"].eq(True)]
    rows = rows[rows["method"] == "own"]
    assert set(rows["joint"]) == {"mean"}


def test_the_noise_method_brings_its_own_model(cohort, state):
    options = {"method": "noise", "model": "voxel", "epochs": 1, "people": 4}
    scores = cell_of(cohort, state, {"noise": options}).scores
    assert scores[scores["method"] == "noise"]["auc"].between(0, 1).all()


def test_what_cannot_be_is_refused_before_any_training(cohort, tmp_path):
    methods = {"nameless": {"people": 3}}
    with pytest.raises(InputError, match=r"nameless(.|\n)*'median'(.|\n)*held_out 0.7"):
        cell_of(cohort, tmp_path, methods, statistics=["median"], held_out=0.7)
    with pytest.raises(InputError, match="smoothgrad has no such settings"):
        cell_of(cohort, tmp_path, {"smooth": {"method": "smoothgrad", "sample": 2}})
    with pytest.raises(InputError, match="no attribution method 'crystal'"):
        cell_of(cohort, tmp_path, {"ball": {"method": "crystal"}})
    with pytest.raises(InputError, match="'M' is neither one of"):
        cell_of(cohort, tmp_path, {"lrp": {"method": "lrp", "target": "M"}})
    for people, statistics, least in ((3, STATISTICS, 4), (1, ["mean_signed"], 2)):
        with pytest.raises(InputError, match=f"  - method lrp: people {people}, expected {least} or more"):
            cell_of(cohort, tmp_path, {"lrp": {"method": "lrp", "people": people}}, statistics=statistics)
    images, people, *places = cohort
    few = people.iloc[:8].assign(group=None)
    with pytest.raises(InputError, match=r"  - held-out people of class A: 1, .*\n  - held-out people of class B: 1, "):
        cell_of((images[:8], few, *places), tmp_path)
    assert not list(tmp_path.iterdir())


def test_all_measures_have_a_column():
    assert {*MEASURES, *(f"{name}_sd" for name in MEASURES)} <= set(SCORE_COLUMNS)
    assert torch.get_num_threads() == 1
