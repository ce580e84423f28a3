"""Tables of models, confounds, morphometry and the first layer as the page shows them."""

import numpy as np
import pandas as pd
import pytest

from voxplain.reporting import model_tables as shown


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def titles(table):
    return [title for title, _ in table.columns]


def test_models_are_compared_metric_by_metric_with_the_network_first(accuracy_tables):
    folds, summary = accuracy_tables(mean=0.9, others=("svm", "knn"))
    table = shown.show_models({"accuracy": folds, "accuracy_summary": summary[::-1]})["accuracy_summary"]
    rows = texts(table)
    assert [row[0] for row in rows[:3]] == ["3D CNN", "k nearest neighbours", "SVM on voxels"]
    assert [row[1] for row in rows] == ["Accuracy"] * 3 + ["Balanced accuracy"] * 3 + ["AUC"] * 3
    first = dict(zip(titles(table), rows[1], strict=True))
    assert first == {
        "Model": "k nearest neighbours",
        "Metric": "Accuracy",
        "Mean": "0.700",
        "SD": "0.050",
        "95 % interval": "0.600 to 0.800",
        "Chance": "0.50",
        "Difference to the CNN": "−0.20",
        "p, corrected t-test": "0.040",
    }


def test_settings_that_differ_between_folds_stand_with_the_number_of_folds(accuracy_tables):
    settings = pd.DataFrame(
        {
            "model": ["svm"] * 4 + ["knn"] * 6 + ["xgboost"] * 2,
            "fold": [0, 1, 2, 2, 0, 0, 1, 1, 2, 2, 0, 1],
            "setting": ["C"] * 3 + ["gamma_used"] + ["n_train", "n_neighbors"] * 3 + ["max_leaves"] * 2,
            "value": ["1", "1", "1", "2e-5", "20", "5", "20", "11", "20", "5", np.nan, np.nan],
        }
    )
    folds, summary = accuracy_tables()
    frames = {"accuracy": folds, "accuracy_summary": summary, "hyperparameters": settings}
    assert texts(shown.show_models(frames)["hyperparameters"]) == [
        ["SVM on voxels", "C", "1"],
        ["k nearest neighbours", "n_neighbors", "5 (2 folds), 11 (1 fold)"],
        ["XGBoost", "max_leaves", "n/a"],
    ]


def test_calibration_has_a_row_a_model(accuracy_tables, model_tables):
    folds, summary = accuracy_tables()
    frames = {"accuracy": folds, "accuracy_summary": summary} | model_tables
    table = shown.show_models(frames)["calibration_summary"]
    assert titles(table) == ["Model", "Expected calibration error", "Brier score", "Slope", "Intercept"]
    assert texts(table)[0] == ["3D CNN", "0.10", "0.12", "0.80", "0.00"]


def test_confounds_stand_in_blocks_and_each_note_once(model_tables):
    blocks, notes = shown.show_confounds(model_tables["confounds"])
    assert [row[0] for row in texts(blocks["confounds_alone"])] == ["Head size alone", "Age alone"]
    matched = blocks["confounds_matched"]
    assert dict(zip(titles(matched), texts(matched)[0], strict=True)) == {
        "Model": "3D CNN",
        "Metric": "Accuracy",
        "Mean": "0.750",
        "95 % interval": "0.600 to 0.900",
        "On everybody of these folds": "0.900",
        "Pairs": "11",
        "People": "22",
    }
    assert [row[0] for row in texts(matched)] == ["3D CNN", "SVM on voxels", "Head size alone"]
    assert texts(blocks["confounds_correlation"])[1] == ["class M", "−0.200", "−0.500 to 0.100", "0.400", "20"]
    assert [note for block in notes.values() for note in block] == ["head size: FS_IntraCranial_Vol"]


def test_on_pairs_balanced_accuracy_is_not_said_twice(model_tables):
    table = model_tables["confounds"]
    more = [table.assign(metric=metric) for metric in ("balanced_accuracy", "auc")]
    blocks, _ = shown.show_confounds(pd.concat([table, *more]))
    rows = {name: {row[1] for row in texts(block)} for name, block in blocks.items()}
    assert rows["confounds_matched"] == {"Accuracy", "AUC"}
    assert rows["confounds_alone"] == {"Accuracy", "Balanced accuracy", "AUC"}


def test_rows_without_a_value_say_why(model_tables):
    rows = [
        {"analysis": "tiv_only", "model": "tiv", "note": "head size is not known"},
        {"analysis": "tiv_matched", "model": "cnn", "metric": "accuracy", "note": "no pairs within 30 ml"},
    ]
    table = pd.DataFrame(rows).reindex(columns=model_tables["confounds"].columns)
    blocks, notes = shown.show_confounds(table)
    assert blocks == {}
    assert [note for block in notes.values() for note in block] == ["no pairs within 30 ml"]
    assert shown.pairs_of(table) == ""


@pytest.mark.parametrize(("pairs", "said"), [([11, 11], "11"), ([11, 9], "9 to 11"), ([np.nan, 9], "9")])
def test_the_number_of_pairs(model_tables, pairs, said):
    table = model_tables["confounds"]
    table.loc[(table["analysis"] == "tiv_matched") & (table["model"] != "tiv"), "pairs"] = pairs
    assert shown.pairs_of(table) == said


def test_shuffled_labels_in_numbers(model_tables):
    table = model_tables["permutations"]
    assert shown.count_permutations(table, "accuracy") == {"times": 4, "mean": "0.51", "best": "0.60"}
    errors = table.assign(metric="mae", value=[9.0, 10, 11, 12])
    assert shown.count_permutations(errors, "mae") == {"times": 4, "mean": "10.50", "best": "9.00"}
    assert shown.count_permutations(table, "auc") is None


def test_dropped_columns_are_listed_with_their_reason(model_tables):
    table = shown.show_morphometry({"features_dropped": model_tables["features_dropped"]})["features_dropped"]
    assert titles(table) == ["Column", "Why"]
    assert texts(table) == [["Subject", "the id"], ["FS_a", "constant"], ["FS_b", "constant"]]


def test_a_restricted_field_among_dropped_columns_has_no_name():
    dropped = pd.DataFrame({"feature": ["Family_ID", "FS_a"], "reason": ["restricted field", "constant"]})
    table = shown.show_morphometry({"features_dropped": dropped})["features_dropped"]
    assert [row[0] for row in texts(table)] == ["(a restricted field)", "FS_a"]


def test_correlations_have_a_column_a_method(model_tables):
    correlation = model_tables["morphometry_correlation"]
    correlation.loc[correlation["method"] == "gradcam", "spearman"] = 0.5
    table = shown.show_morphometry({"morphometry_correlation": correlation[:-1]})["morphometry_correlation"]
    assert titles(table) == ["Atlas", "Model", "Importance", "Regions", "Guided backpropagation", "Grad-CAM"]
    assert texts(table) == [
        ["parcels", "Logistic regression", "coefficients", "6", "−0.25", "0.50"],
        ["parcels", "Logistic regression", "permutation, held-out", "6", "−0.25", "0.50"],
        ["parcels", "k nearest neighbours", "permutation, held-out", "6", "−0.25", "n/a"],
    ]


def test_first_layer_counts_as_table_and_in_words(model_tables):
    counts = model_tables["first_layer_counts"].assign(higher_F=[0, 2])
    table = shown.show_first_layer(counts)
    assert titles(table) == ["Fold", "Statistic", "Head size", "Features", "Larger in F", "Larger in M"]
    assert texts(table)[1] == ["1", "Mean activation", "as it is", "3", "2", "1"]
    assert shown.first_layer_in_words(counts) == [
        "Mean activation, as it is: 1 to 3 of 3 features differ (0 to 2 larger in F, 1 larger in M)."
    ]
