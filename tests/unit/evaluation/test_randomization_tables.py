"""The randomisation test over folds, and who survives it."""

import numpy as np
import pandas as pd
import pytest

from voxplain.evaluation.randomization_tables import summarise_folds, survives
from voxplain.evaluation.similarity import MEASURES


def steps_of(method, values, level="people", absolute=None):
    table = pd.DataFrame({"method": method, "test": "cascade", "layers": range(len(values)), "layer": "x"})
    measures = {f"{measure}{end}": np.nan for measure in MEASURES for end in ("", "_sd")}
    measures |= {"spearman": values, "spearman_absolute": absolute or values}
    return table.assign(level=level, **measures, people=4, undefined=0)


def test_half_of_the_layers_decide():
    """Of 3 layers 2 and 3 count; a similarity below 0 counts by its size, and the threshold itself is not above it."""
    table = pd.concat(
        [
            steps_of("early", [1, 0.9, 0.2, 0.1]),
            steps_of("late", [1, 0.1, 0.2, -0.7]),
            steps_of("edge", [1, 0.1, 0.5, 0.2]),
            steps_of("dead", [1, 0.9, np.nan, np.nan]),
            steps_of("early", [1, 1, 1, 1], level="population"),
        ]
    )
    verdict = survives(table).set_index("method")
    assert verdict["similarity"].round(6).fillna(-1).to_dict() == {"early": 0.2, "late": 0.7, "edge": 0.5, "dead": -1}
    assert verdict["layers"].fillna(-1).to_dict() == {"early": 2, "late": 3, "edge": 2, "dead": -1}
    assert [value if pd.notna(value) else None for value in verdict["survives"]] == [False, True, False, None]
    assert survives(table, threshold=0.1).set_index("method")["survives"]["early"]


def test_signs_count_where_a_method_has_them():
    """Maps that share the image as a factor have absolute ranks in common, whatever the network knows."""
    image_alone = {"values": [1, 0.02, 0.01, 0.03], "absolute": [1, 0.6, 0.6, 0.6]}
    verdict = survives(pd.concat([steps_of("lrp", **image_alone), steps_of("perturbation", **image_alone)]))
    assert verdict["measure"].tolist() == ["spearman", "spearman_absolute"]
    assert verdict["survives"].tolist() == [False, True]


def test_folds_are_joined():
    folds = [steps_of("a", [1.0, 0.2]), steps_of("a", [0.8, 0.4]), steps_of("a", [0.6, np.nan])]
    table = summarise_folds(folds)
    assert table["spearman_absolute"].tolist() == pytest.approx([0.8, 0.3])
    assert table["spearman_absolute_sd"].tolist() == pytest.approx([0.2, np.sqrt(0.02)])
    assert table[["people", "folds"]].to_numpy().tolist() == [[12, 3], [12, 3]]
    assert summarise_folds(folds[:1])["spearman_absolute_sd"].isna().all()


def test_folds_with_opposite_signs_are_not_taken_for_no_likeness():
    folds = [steps_of("lrp", [1, value, value]) for value in (0.9, -0.9)]
    summary = summarise_folds(folds)
    assert summary["spearman"].abs().min() < 1e-9
    verdict = survives(summary).set_index("method").loc["lrp"]
    assert verdict["survives"]
    assert verdict["similarity"] == pytest.approx(0.9)
