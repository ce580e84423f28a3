"""Cells of the benchmark joined over seeds; and the scripts from one cell to the table."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import score_phantom_design
import tabulate_power
from voxplain.base.errors import InputError
from voxplain.base.files import read_table
from voxplain.evaluation.power import Cell
from voxplain.evaluation.power_scores import SCORE_COLUMNS
from voxplain.evaluation.power_tables import COLUMNS, summarise_cells


def scores_of(seed, auc, design="both", effect=1.0):
    """Return a population's and the people's row of one cell."""
    base = {"method": "lrp", "fwhm_mm": 8.0, "n": 32, "dice": 0.2, "inside": 0.1, "pointing": 1.0, "auc": auc}
    base |= {"average_precision": 0.3, "auc_chance": 0.5}
    population = base | {"statistic": "t", "joint": "difference", "usual": True, "level": "population"}
    population |= {"auc_chance_95": 0.7, "auc_p": 0.01, "dice_chance": 0.05}
    rows = pd.DataFrame([population, base | {"level": "people", "auc": auc - 0.2, "auc_sd": 0.1}])
    return rows.reindex(columns=SCORE_COLUMNS).assign(design=design, effect=effect, seed=seed)


def accuracy_of(seed, accuracy, design="both", effect=1.0):
    return pd.DataFrame({"design": [design], "effect": effect, "seed": seed, "accuracy": accuracy, "auc": 1.0})


AUCS, ACCURACIES = (0.9, 0.8, 0.69), (0.95, 1.0, 0.9)


def cells(aucs=AUCS):
    return (
        [scores_of(seed, auc) for seed, auc in enumerate(aucs)],
        [accuracy_of(seed, value) for seed, value in enumerate(ACCURACIES)],
    )


def test_means_intervals_and_power():
    table = summarise_cells(*cells())
    assert list(table) == COLUMNS
    assert list(table["level"]) == ["population", "people"]
    found, single = table.iloc[0], table.iloc[1]
    assert found["auc"] == pytest.approx(np.mean(AUCS))
    assert found["auc_sd"] == pytest.approx(np.std(AUCS, ddof=1))
    interval = stats.t.interval(0.95, 2, np.mean(AUCS), stats.sem(AUCS))
    assert found["auc_low"] == pytest.approx(interval[0])
    assert found["auc_high"] == pytest.approx(min(interval[1], 1))
    assert found["power"] == pytest.approx(2 / 3), "0.69 is below 0.7"
    assert found["seeds"] == 3
    assert found["accuracy"] == pytest.approx(0.95)
    assert found["accuracy_sd"] == pytest.approx(0.05)
    assert np.isnan(found["dice_low"]), "dice does not differ between seeds"
    assert np.isnan(single["power"])
    assert single["auc"] == pytest.approx(np.mean(AUCS) - 0.2)


def test_designs_effects_and_the_order_of_seeds():
    scores, accuracies = cells()
    scores += [scores_of(0, 0.55, "none", 0.0), scores_of(0, 0.6, effect=0.5)]
    accuracies += [accuracy_of(0, 0.5, "none", 0.0), accuracy_of(0, 0.7, effect=0.5)]
    table = summarise_cells(scores, accuracies)
    assert len(table) == 6
    nothing = table[table["design"] == "none"]
    assert nothing["accuracy"].eq(0.5).all()
    assert nothing[["auc_sd", "auc_low", "accuracy_sd"]].isna().all(axis=None), "one seed has no spread"
    turned = summarise_cells(scores[::-1], accuracies)
    pd.testing.assert_frame_equal(
        turned.sort_values(["design", "effect", "level"], ignore_index=True),
        table.sort_values(["design", "effect", "level"], ignore_index=True),
    )


def test_cells_that_do_not_fit_are_named():
    scores, accuracies = cells()
    with pytest.raises(InputError, match=r"design both, effect 1\.0, seed 1"):
        summarise_cells([*scores, scores[1]], accuracies)
    with pytest.raises(InputError, match=r"design both, effect 1\.0, seed 2"):
        summarise_cells(scores, accuracies[:2])
    with pytest.raises(InputError, match="no cell"):
        summarise_cells([], [])


def test_from_cells_to_the_table(tmp_path, monkeypatch):
    asked = []

    def cell(design, effect, seed, people, **known):
        asked.append((design, effect, seed, people, sorted(known)))
        table = scores_of(seed, 0.8 + seed / 100)[SCORE_COLUMNS]
        accuracy = pd.DataFrame({"accuracy": [0.9], "auc": [1.0], "n_train": [9], "n_test": [3]})
        return Cell(table, accuracy, pd.DataFrame({"step": ["training"], "seconds": [1.5]}))

    monkeypatch.setattr(score_phantom_design, "phantom_cell", cell)
    outputs = {}
    for design, effect, seed in (("both", 0.5, 1), ("both", 0.5, 2), ("none", 1.0, 1)):
        paths = [tmp_path / f"{name}_{design}_{seed}.tsv" for name in ("scores", "accuracy", "cost")]
        (tmp_path / "cell_old").mkdir(exist_ok=True)
        score_phantom_design.run(
            *paths, design=design, effect=effect, seed=seed, settings={"people": 12, "methods": {}, "training": {}},
            device=("cpu", 1), partial=tmp_path / "cell", code="new",
        )  # fmt: skip
        assert not (tmp_path / "cell_old").exists()
        outputs[design, seed] = paths
    assert asked[0] == ("both", 0.5, 1, 12, ["device", "methods", "state_folder", "training"])
    for number in range(3):
        table = read_table(outputs["none", 1][number])
        assert list(table)[:3] == ["design", "effect", "seed"]
        assert table["effect"].eq(0).all(), "nothing was planted"
    scores, accuracies, _ = zip(*outputs.values(), strict=True)
    tabulate_power.run(scores, accuracies, tmp_path / "benchmark.tsv")
    table = read_table(tmp_path / "benchmark.tsv")
    assert table.groupby(["design", "effect"])["seeds"].first().to_dict() == {("both", 0.5): 2, ("none", 0.0): 1}
    assert table.loc[0, "auc"] == pytest.approx(0.815)
