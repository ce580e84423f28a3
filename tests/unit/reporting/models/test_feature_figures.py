"""Importances, the first layer, and maps against morphometry."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from voxplain.base.files import write_table
from voxplain.reporting import first_layer, importance, morphometry, style


def load_script(name):
    place = Path(__file__).resolve().parents[4] / "workflow" / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"workflow_script_{name}", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_importances_are_relative_to_the_largest_in_order_of_rank(tmp_path, figures, texts_of, model_tables):
    table = model_tables["morphometry_importance"].sample(frac=1, random_state=0)
    importance.draw_importance(table, tmp_path / "i.svg", ["F", "M"], top=3)
    logistic, knn = figures[0].axes
    assert logistic.get_title(loc="left") == "Logistic regression\ncoefficients"
    assert [label.get_text() for label in knn.get_yticklabels()] == ["FS_1_Vol", "FS_2_Vol", "FS_3_Vol"]
    lengths = [[bar.get_width() for bar in axes.patches] for axes in (logistic, knn)]
    assert lengths[0] == pytest.approx([1, 1 / 2, 1 / 3])
    assert lengths[1] == pytest.approx([1, 1 / 2, 1 / 3])
    colours = [bar.get_facecolor() for bar in logistic.patches]
    assert colours == [to_rgba(style.BLUE), to_rgba(style.ORANGE), to_rgba(style.BLUE)]
    spread = logistic.collections[-1].get_segments()[0][:, 0]
    assert spread.tolist() == pytest.approx([0.9, 1.1])  # an SD of 0.05 beside a mean of 0.5
    assert {"coefficient for M", "coefficient for F"} <= set(texts_of(figures[0]))


@pytest.mark.parametrize(
    ("kind", "ranked"),
    [("coefficient", ["a", "b"]), ("gain", ["a"]), ("permutation", ["a"])],
)
def test_what_a_model_does_not_use_ranks_nowhere(kind, ranked):
    rows = pd.DataFrame({"kind": kind, "feature": [*"abcde"], "mean": [0.5, -0.2, 0, -0.0, np.nan], "sd": 0.1})
    rows = rows.assign(rank=range(1, 6))
    assert importance.top_features(rows, 20)["feature"].tolist() == ranked
    # What does not count takes no place among the first.
    assert importance.top_features(rows.assign(rank=[5, 4, 3, 2, 1]), 1)["feature"].tolist() == ranked[-1:]


def test_a_model_without_important_features_says_so_beside_the_others(tmp_path, figures, texts_of, model_tables):
    table = model_tables["morphometry_importance"]
    table["mean"] = table["mean"].where(table["model"] == "logistic", -0.1)
    importance.draw_importance(table, tmp_path / "i.svg")
    logistic, knn = figures[0].axes
    assert [len(axes.patches) for axes in (logistic, knn)] == [20, 0]
    assert [text.get_text() for text in knn.texts] == ["No feature's importance is above 0."]
    assert knn.get_title(loc="left").startswith("k nearest neighbours")
    assert "coefficient negative" in texts_of(figures[0])


def test_one_fold_has_no_spread_of_importances(tmp_path, figures, texts_of, model_tables):
    importance.draw_importance(model_tables["morphometry_importance"].assign(sd=np.nan), tmp_path / "i.svg")
    assert "relative to the largest" in texts_of(figures[0])
    assert not any("SD" in text for text in texts_of(figures[0]))


def test_names_that_look_like_numbers_stay_names(tmp_path, figures, model_tables):
    table = model_tables["morphometry_importance"].assign(feature=lambda rows: [f"{r:03d}" for r in rows["rank"]])
    write_table(table, tmp_path / "i.tsv")
    script = load_script("draw_importance")
    script.run(tmp_path / "i.tsv", tmp_path / "i.svg", ["F", "M"])
    assert [label.get_text() for label in figures[0].axes[0].get_yticklabels()][:2] == ["001", "002"]
    regions, correlation = (
        model_tables[name].assign(atlas="007") for name in ("morphometry_vs_maps", "morphometry_correlation")
    )
    write_table(regions, tmp_path / "r.tsv")
    write_table(correlation, tmp_path / "c.tsv")
    load_script("draw_morphometry").run(tmp_path / "r.tsv", tmp_path / "c.tsv", tmp_path / "m.svg")
    assert figures[1].axes[0].get_ylabel() == "Logistic regression\n007"


def test_importances_of_nothing(tmp_path, figures, texts_of, model_tables):
    table = model_tables["morphometry_importance"]
    importance.draw_importance(table[:0], tmp_path / "a.svg")
    importance.draw_importance(table.assign(mean=0.0), tmp_path / "b.svg")
    assert texts_of(figures[0]) == ["No model of morphometry was asked for."]
    assert texts_of(figures[1]).count("No feature's importance is above 0.") == 1
    assert texts_of(figures[1]).count("Every coefficient is 0.") == 1
    assert not any(text.startswith("coefficient ") for text in texts_of(figures[1]))


def test_features_are_sorted_within_each_fold_and_constant_ones_left_out(tmp_path, figures, texts_of, model_tables):
    table = model_tables["first_layer"]
    table.loc[table["fold"] == 1, "hedges_g"] *= -1
    first_layer.draw_first_layer(table, tmp_path / "f.svg")
    panels = np.reshape(figures[0].axes, (4, 2))
    drawn = [{line.get_label(): list(line.get_xdata()) for line in axes.lines} for axes in panels[0]]
    assert drawn[0]["larger in M"] == [0.9]
    assert drawn[1]["larger in F"] == [-0.9]
    assert [fold["not significant (FDR 5 %)"] for fold in drawn] == [[-0.1], [0.1]]
    heights = {line.get_label(): list(line.get_ydata()) for line in panels[0, 1].lines}
    assert heights["larger in F"] == [0]
    assert heights["not significant (FDR 5 %)"] == [1]
    hollow = [line for line in panels[0, 0].lines if line.get_label().startswith("not")]
    assert hollow[0].get_markerfacecolor() == style.PAPER
    said = texts_of(figures[0])
    assert {"Fold 0", "Fold 1", "Mean activation\nhead size taken out", "Entropy\nas it is"} <= set(said)
    assert "Hedges' g, M minus F, 95 % interval" in said


def test_no_features_compared(tmp_path, figures, texts_of, model_tables):
    first_layer.draw_first_layer(model_tables["first_layer"][:0], tmp_path / "f.svg")
    assert texts_of(figures[0]) == ["No features of the first layer were compared."]


def test_maps_stand_against_permutation_importance_where_there_is_one(tmp_path, figures, texts_of, model_tables):
    regions, correlation = model_tables["morphometry_vs_maps"], model_tables["morphometry_correlation"]
    only_gain = regions["model"].eq("knn")
    regions.loc[only_gain, "kind"] = "gain"
    regions.loc[only_gain, "importance"] = 0.5
    morphometry.draw_morphometry(regions, correlation, tmp_path / "m.svg")
    panels = np.reshape(figures[0].axes, (2, 2))
    assert [axes.get_title(loc="left") for axes in panels[0]] == ["Guided backpropagation", "Grad-CAM"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == [
        "Logistic regression\nparcels",
        "k nearest neighbours\nparcels",
    ]
    sides = {dots.get_label(): dots.get_offsets().data.tolist() for dots in panels[0, 0].collections}
    assert sides["left"] == [pytest.approx([300 / 21, 400 / 21]), pytest.approx([600 / 21, 100 / 21])]
    assert set(sides) == {"left", "right", "both or neither side"}
    assert all(dots.get_offsets()[:, 0].tolist() == [50, 50] for dots in panels[1, 0].collections)
    # A model without permutation importances has no correlation with them either.
    assert texts_of(figures[0]).count("ρ = −0.25, 6 regions") == 2


def test_a_map_of_zeros_cannot_be_compared(tmp_path, figures, texts_of, model_tables):
    regions, correlation = model_tables["morphometry_vs_maps"], model_tables["morphometry_correlation"]
    regions.loc[regions["method"] == "gradcam", "map_share"] = np.nan
    correlation.loc[correlation["method"] == "gradcam", "spearman"] = np.nan
    morphometry.draw_morphometry(regions, correlation, tmp_path / "m.svg")
    assert texts_of(figures[0]).count("nothing to compare:\none side is 0") == 2
    assert texts_of(figures[0]).count("ρ = −0.25, 6 regions") == 2


def test_too_few_matched_regions(tmp_path, figures, texts_of, model_tables):
    empty = model_tables["morphometry_vs_maps"][:0]
    morphometry.draw_morphometry(empty, model_tables["morphometry_correlation"][:0], tmp_path / "m.svg")
    assert texts_of(figures[0]) == ["No atlas has enough regions that bear the names of morphometric features."]


def test_equal_tables_give_equal_files(tmp_path, model_tables):
    for name in ("a.svg", "b.svg"):
        first_layer.draw_first_layer(model_tables["first_layer"], tmp_path / f"f{name}")
        importance.draw_importance(model_tables["morphometry_importance"], tmp_path / f"i{name}")
    for kind in "fi":
        assert (tmp_path / f"{kind}a.svg").read_bytes() == (tmp_path / f"{kind}b.svg").read_bytes()
