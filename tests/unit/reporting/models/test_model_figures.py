"""Accuracy, ROC curves, calibration and confounds of every model."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.reporting import confounds, models


def across(axes):
    """Return the x values of every line of a panel."""
    return [np.asarray(line.get_xdata(), float).tolist() for line in axes.lines]


def rows_of(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def means(axes, mark):
    """Return {row: x} of the means that are drawn with a mark."""
    drawn = [container.lines[0] for container in axes.containers]
    return {round(line.get_ydata()[0]): line.get_xdata()[0] for line in drawn if line.get_marker() == mark}


def test_accuracy_shows_folds_means_and_chance_of_every_model(tmp_path, figures, accuracy_tables):
    folds, summary = accuracy_tables(mean=0.8, chance=0.55, others=("svm",))
    # The network comes first wherever it stands.
    models.draw_accuracy(folds[::-1], summary[::-1], tmp_path / "a.png")
    panels = figures[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["Accuracy", "Balanced accuracy", "AUC"]
    assert rows_of(panels[0]) == ["3D CNN", "SVM on voxels"]
    assert means(panels[0], "D") == pytest.approx({0: 0.8, 1: 0.7})
    assert [round(x, 2) for x in across(panels[0])[0]] == [0.83, 0.77]
    assert [0.55, 0.55] in across(panels[0])
    assert across(panels[2])[0] == [0.8]  # a fold without AUC is left out


@pytest.mark.parametrize("known", [True, False])
def test_an_interval_is_named_only_where_there_is_one(tmp_path, figures, texts_of, accuracy_tables, known):
    folds, summary = accuracy_tables()
    summary = summary if known else summary.assign(ci_low=np.nan, ci_high=np.nan)
    models.draw_accuracy(folds, summary, tmp_path / "a.svg")
    assert ("mean, 95 % interval" in texts_of(figures[0])) == known
    assert ("mean" in texts_of(figures[0])) != known


def test_an_interval_is_drawn_where_it_is_known(tmp_path, figures, accuracy_tables):
    folds, summary = accuracy_tables(mean=0.95)
    for name, table in (("a", summary), ("b", summary.assign(ci_low=np.nan, ci_high=np.nan))):
        models.draw_accuracy(folds, table, tmp_path / f"{name}.svg")
    known, unknown = (figure.axes[0].containers[0].lines[2][0].get_segments()[0][:, 0] for figure in figures)
    assert known.tolist() == pytest.approx([0.85, 1.05])
    assert unknown.tolist() == pytest.approx([0.95, 0.95])
    assert figures[0].axes[0].get_xlim()[1] <= 1.02


def test_an_error_may_lie_above_one(tmp_path, figures, texts_of):
    folds = pd.DataFrame({"model": "cnn", "fold": [0, 1], "mae": [4.0, 5.0], "r": [0.5, np.nan]})
    summary = pd.DataFrame({"model": "cnn", "metric": ["mae", "r"], "mean": [4.5, 0.5], "chance": [9, np.nan]})
    models.draw_accuracy(folds, summary.assign(ci_low=np.nan, ci_high=np.nan), tmp_path / "a.svg")
    assert len(figures[0].axes) == 2
    assert figures[0].axes[0].get_xlim()[1] > 9
    assert "Mean absolute error" in texts_of(figures[0])


def test_accuracy_without_a_metric_is_refused(tmp_path, accuracy_tables):
    with pytest.raises(InputError, match="holds none of accuracy"):
        models.draw_accuracy(pd.DataFrame({"model": ["cnn"], "fold": [0]}), accuracy_tables()[1], tmp_path / "a.svg")


def test_roc_has_a_panel_a_model_with_the_network_behind(tmp_path, figures, texts_of, model_tables, accuracy_tables):
    summary = accuracy_tables(mean=0.9, others=("svm",))[1]
    models.draw_roc(model_tables["roc"], summary, tmp_path / "r.svg")
    network, svm = figures[0].axes
    assert [len(network.lines), len(svm.lines)] == [2, 3]  # chance, the curve, and the network's behind it
    np.testing.assert_array_equal(svm.lines[1].get_ydata(), network.lines[1].get_ydata())
    band = svm.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() >= 0
    assert band.max() <= 1
    assert {"AUC 0.90", "AUC 0.80"} <= set(texts_of(figures[0]))


def test_roc_of_several_classes_has_a_line_each(tmp_path, figures, texts_of, model_tables, accuracy_tables):
    # Classes that look like numbers are read as numbers.
    roc = pd.concat([model_tables["roc"].assign(label=label) for label in (0, 1, 2)])
    models.draw_roc(roc, accuracy_tables()[1], tmp_path / "r.svg")
    assert [len(axes.lines) for axes in figures[0].axes] == [4, 4]
    assert {"0 against rest", "2 against rest"} <= set(texts_of(figures[0]))


def test_one_fold_has_a_curve_without_a_spread(tmp_path, figures, texts_of, model_tables, accuracy_tables):
    models.draw_roc(model_tables["roc"].assign(sd=np.nan), accuracy_tables()[1], tmp_path / "r.svg")
    assert "ROC curve" in texts_of(figures[0])
    assert "mean over folds ± SD" not in texts_of(figures[0])


def test_without_curves_the_figures_say_so(tmp_path, figures, texts_of, model_tables, accuracy_tables):
    summary = accuracy_tables()[1]
    models.draw_roc(model_tables["roc"][:0], summary, tmp_path / "r.svg")
    models.draw_calibration(model_tables["calibration"][:0], model_tables["calibration_summary"], tmp_path / "c.svg")
    confounds.draw_confounds(model_tables["confounds"][:0], summary, tmp_path / "f.svg")
    said = [texts_of(figure) for figure in figures]
    assert [len(texts) for texts in said] == [1, 1, 1]
    assert said[0][0].startswith("There is no ROC curve")


def test_calibration_draws_bins_against_the_diagonal(tmp_path, figures, texts_of, model_tables):
    models.draw_calibration(model_tables["calibration"], model_tables["calibration_summary"], tmp_path / "c.svg")
    panel = figures[0].axes[1]
    assert panel.get_title(loc="left") == "SVM on voxels"
    assert panel.collections[-1].get_offsets().tolist() == [[0.1, 0.2], [0.9, 0.8]]
    areas = panel.collections[-1].get_sizes()
    assert areas[0] < areas[1]  # 18 and 22 people
    assert "ECE 0.10\nBrier 0.12" in texts_of(figures[0])


def test_calibration_of_values_has_the_unit_of_the_target(tmp_path, figures, texts_of, model_tables):
    columns = ["predicted", "observed", "ci_low", "ci_high"]
    bins = model_tables["calibration"]
    bins[columns] = 100 * bins[columns]
    measures = model_tables["calibration_summary"]
    models.draw_calibration(bins, measures[measures["metric"].isin(["slope", "intercept"])], tmp_path / "c.svg")
    assert figures[0].axes[0].get_xlim()[1] > 89
    assert {"observed mean", "slope 0.80"} <= set(texts_of(figures[0]))


def test_confounds_have_a_row_a_model_and_one_number_comes_last(tmp_path, figures, texts_of, model_tables):
    table = model_tables["confounds"]
    summary = pd.DataFrame({"model": ["cnn"], "metric": "accuracy", "chance": 0.5})
    confounds.draw_confounds(table, summary, tmp_path / "c.svg")
    scores, correlations = figures[0].axes
    assert rows_of(scores) == ["3D CNN", "SVM on voxels", "Head size alone", "Age alone"]
    assert means(scores, "o") == {0: 0.9, 1: 0.85, 2: 0.8, 3: 0.5}
    assert means(scores, "D") == {0: 0.75, 1: 0.7, 2: 0.52}
    assert means(scores, "s") == {1: 0.65}
    assert [0.8, 0.8] in across(scores)
    assert rows_of(correlations) == ["within class F", "within class M"]
    assert means(correlations, "o") == {0: 0.1, 1: -0.2}


def test_confounds_of_an_unknown_head_size(tmp_path, figures, texts_of, model_tables):
    table = model_tables["confounds"]
    table.loc[table["analysis"].str.contains("tiv"), ["mean", "ci_low", "ci_high"]] = np.nan
    summary = pd.DataFrame({"model": ["cnn"], "metric": "accuracy", "chance": 0.5})
    confounds.draw_confounds(table, summary, tmp_path / "c.svg")
    assert len(figures[0].axes) == 1
    assert rows_of(figures[0].axes[0]) == ["3D CNN", "SVM on voxels", "Age alone"]
    assert "Accuracy, 95 % interval (head size is not known)" in texts_of(figures[0])


def test_confounds_of_a_regression(tmp_path, figures):
    table = pd.DataFrame(
        {
            "analysis": ["raw", "tiv_only", "score_tiv_correlation", "score_tiv_correlation"],
            "model": ["cnn", "tiv", "cnn", "cnn"],
            "group": [np.nan, np.nan, "everyone", "everyone"],
            "metric": ["mae", "mae", "r", "r_error"],
            "mean": [5.0, 9.0, 0.2, -0.1],
        }
    ).assign(ci_low=np.nan, ci_high=np.nan)
    confounds.draw_confounds(
        table, pd.DataFrame({"model": ["cnn"], "metric": "mae", "chance": 9.1}), tmp_path / "c.svg"
    )
    assert means(figures[0].axes[0], "o") == {0: 5.0, 1: 9.0}
    assert rows_of(figures[0].axes[1]) == ["prediction", "error of the prediction"]
