import numpy as np
import pandas as pd
import pytest

import compare_morphometry
from voxplain.base.files import read_table, write_table
from voxplain.evaluation.morphometry import COLUMNS, CORRELATION_COLUMNS, compare, region_importance

NAMES = ["Cuneus_L", "Cuneus_R", "Lingual_L", "Lingual_R", "Insula_L", "Insula_R"]


def regions_of(names=NAMES, shares=(0.3, 0.1, 0.1, 0.05, 0.2, 0.25), **columns):
    sides = ["left" if name.endswith("L") else "right" for name in names]
    table = {"method": "gradcam", "group": "joint", "region": names, "hemisphere": sides, "share": shares}
    return pd.DataFrame({**table, **columns})


def importance_of(values, model="logistic", kind="coefficient"):
    return pd.DataFrame({"model": model, "kind": kind, "feature": list(values), "mean": list(values.values())})


def thickness(*values, measure="thickness"):
    sides = {"L": "lh", "R": "rh"}
    names = [f"{sides[name[-1]]}_{name[:-2].lower()}_{measure}" for name in NAMES]
    return dict(zip(names, values, strict=True))


def test_features_of_a_region_are_added_up_and_scaled_to_one():
    features = {"FS_L_Cuneus_Thck": -3.0, "FS_L_Cuneus_Area": 1.0, "FS_R_Insula_Thck": 1.0, "FS_Mask_Vol": 50.0}
    table = region_importance(importance_of(features), regions_of(), "coefficient")
    assert table.to_dict("list") == {
        "region": ["Cuneus_L", "Insula_R"],
        "hemisphere": ["left", "right"],
        "features": [2, 1],
        "importance": [0.8, 0.2],
    }
    assert list(table.index) == [0, 5], "where the regions stood"


def test_negative_permutation_importance_is_none():
    features = importance_of({"lh_cuneus_area": -5.0, "rh_cuneus_area": 1.0, "lh_insula_area": 3.0})
    assert region_importance(features, regions_of(), "permutation")["importance"].tolist() == [0, 0.25, 0.75]


def test_importance_of_nothing_is_missing():
    table = region_importance(importance_of(thickness(*[-1.0] * 6)), regions_of(), "permutation")
    assert table["importance"].isna().all()


def test_two_regions_of_one_name_are_left_out():
    names = ["Cuneus_L", "cuneus area L", "Lingual_L"]
    features = importance_of({"lh_cuneus_thickness": 1.0, "lh_lingual_thickness": 1.0})
    table = region_importance(features, regions_of(names, [1, 1, 1]), "gain")
    assert table["region"].tolist() == ["Lingual_L"]


def test_known_comparison():
    features = importance_of({**thickness(6, 1, 2, 0, 4, 5), "eTIV": 100})
    table, correlation = compare(features, regions_of())
    assert list(table.columns) == COLUMNS
    assert table["region"].tolist() == NAMES
    np.testing.assert_allclose(table["importance"], np.array([6, 1, 2, 0, 4, 5]) / 18)
    np.testing.assert_allclose(table["map_share"], [0.3, 0.1, 0.1, 0.05, 0.2, 0.25])
    assert list(correlation.columns) == CORRELATION_COLUMNS
    (row,) = correlation.to_dict("records")
    assert (row["method"], row["model"], row["kind"], row["regions"]) == ("gradcam", "logistic", "coefficient", 6)
    # Ranks 6 2 3 1 4 5 against 6 2.5 2.5 1 4 5.
    assert row["spearman"] == pytest.approx(17 / np.sqrt(17.5 * 17))


def test_shares_are_taken_over_the_regions_that_have_features():
    features = thickness(6, 1, 2, 0, 4, 5)
    del features["lh_cuneus_thickness"]
    table, correlation = compare(importance_of(features), regions_of())
    assert len(table) == correlation["regions"][0] == 5
    np.testing.assert_allclose(table["map_share"], np.array([0.1, 0.1, 0.05, 0.2, 0.25]) / 0.7)
    assert table["importance"].sum() == pytest.approx(1)


def test_fewer_than_five_regions_are_not_compared():
    features = importance_of(dict(list(thickness(6, 1, 2, 0, 4, 5).items())[:4]))
    table, correlation = compare(features, regions_of())
    assert len(table) == len(correlation) == 0
    assert list(table.columns) == COLUMNS
    assert list(correlation.columns) == CORRELATION_COLUMNS


def test_every_method_model_and_kind_and_the_joint_map_only():
    features = pd.concat(
        [
            importance_of(thickness(6, 1, 2, 0, 4, 5), model, kind)
            for model, kind in (("xgboost", "gain"), ("xgboost", "permutation"), ("knn", "permutation"))
        ]
    )
    women = regions_of(shares=[0, 0, 0, 0, 0, 1.0], group="F")
    regions = pd.concat([women, regions_of(), regions_of(method="hirescam")], ignore_index=True)
    table, correlation = compare(features, regions)
    assert len(correlation) == 6
    assert len(table) == 36
    assert correlation["spearman"].nunique() == 1
    order = np.random.default_rng(0).permutation
    again, _ = compare(features.iloc[order(len(features))], regions.iloc[order(len(regions))])
    keys = ["method", "model", "kind", "region"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True), table.sort_values(keys, ignore_index=True), check_exact=False
    )


def test_a_map_of_zeros_has_no_correlation():
    _, correlation = compare(importance_of(thickness(6, 1, 2, 0, 4, 5)), regions_of(shares=[np.nan] * 6))
    assert correlation[["regions", "spearman"]].isna().to_numpy().tolist() == [[False, True]]


def test_script(tmp_path, capsys):
    write_table(importance_of(thickness(6, 1, 2, 0, 4, 5)), tmp_path / "importance.tsv")
    write_table(regions_of(), tmp_path / "aal.tsv")
    strangers = [f"Network {i} L" for i in range(6)]
    write_table(regions_of(strangers), tmp_path / "strangers.tsv")
    table, correlation = tmp_path / "table.tsv", tmp_path / "correlation.tsv"
    compare_morphometry.run(
        tmp_path / "importance.tsv", [tmp_path / "strangers.tsv", tmp_path / "aal.tsv"], table, correlation,
        atlases=["strangers", "aal"],
    )  # fmt: skip
    assert list(read_table(table).columns) == ["atlas", *COLUMNS]
    assert read_table(table)["atlas"].tolist() == ["aal"] * 6
    assert read_table(correlation)["atlas"].tolist() == ["aal"]
    assert "the atlas strangers is left out: fewer than 5 of its regions" in capsys.readouterr().err
    compare_morphometry.run(
        tmp_path / "importance.tsv", [tmp_path / "strangers.tsv"], table, correlation, atlases=["strangers"]
    )
    assert list(read_table(table).columns) == ["atlas", *COLUMNS]
    assert list(read_table(correlation).columns) == ["atlas", *CORRELATION_COLUMNS]
    assert len(read_table(table)) == 0
