"""Curves, heat maps and bars."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_table
from voxplain.reporting import curves, overlap, regions


def history(best, validation=True):
    epochs = np.arange(1, 5)
    frame = pd.DataFrame({"epoch": epochs, "train_loss": 1 / epochs, "train_accuracy": 1 - 0.5 / epochs})
    for name in ("loss", "accuracy"):
        frame[f"validation_{name}"] = frame[f"train_{name}"] * 0.9 if validation else np.nan
    return frame.assign(best=[int(epoch == best) for epoch in epochs])


def test_training_draws_every_fold_their_mean_and_the_best_epoch(tmp_path, figures):
    curves.draw_training({0: history(2), 1: history(4)}, tmp_path / "t.svg")
    loss = figures[0].axes[0]
    dots = [line for line in loss.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in dots] == [[2], [4]]
    assert len(loss.lines) == 2 * 2 + 2 + 2  # two folds twice, their dots, two means


def test_the_numbers_of_the_training_are_those_of_all_folds_without_what_is_not_drawn(tmp_path):
    curves.draw_training({0: history(2).assign(seconds=1.5), 1: history(4).assign(seconds=2.5)}, tmp_path / "t.svg")
    table = read_table(tmp_path / "t.tsv")
    losses, accuracies = (["train_" + what, "validation_" + what] for what in ("loss", "accuracy"))
    assert list(table.columns) == ["fold", "epoch", *losses, *accuracies, "best"]
    assert table["fold"].tolist() == [0] * 4 + [1] * 4
    assert table["train_loss"].tolist() == history(2)["train_loss"].tolist() * 2


def test_training_without_validation_or_without_training(tmp_path, figures, texts_of):
    curves.draw_training({0: history(4, validation=False)}, tmp_path / "a.svg")
    assert not any("validation" in text for text in texts_of(figures[0]))
    curves.draw_training({}, tmp_path / "b.svg")
    assert "No training: the network's weights were given." in texts_of(figures[1])


def dice_table():
    return pd.DataFrame(
        {
            "group": ["F", "joint"],
            "method_a": ["b", "a"],
            "method_b": ["a", "b"],
            "dice": [0.25, 0.75],
            "dice_chance": [0.05, 0.06],
        }
    )


def test_dice_is_symmetric_and_joint_comes_first(tmp_path, figures, texts_of):
    matrix = overlap.as_matrix(dice_table()[:1], ["a", "b"], "dice")
    np.testing.assert_array_equal(matrix, [[np.nan, 0.25], [0.25, np.nan]])
    overlap.draw_dice(dice_table(), tmp_path / "d.svg")
    assert [axes.get_title(loc="left") for axes in figures[0].axes[:2]] == ["All people", "Class F"]
    assert texts_of(figures[0]).count("0.75") == 2
    assert "chance 0.06" in texts_of(figures[0])


def test_dice_of_one_method_says_so(tmp_path, figures, texts_of):
    overlap.draw_dice(dice_table()[:0], tmp_path / "d.png")
    assert "One method: there is no pair of masks to compare." in texts_of(figures[0])


def test_regions_are_the_top_ones_in_order_with_planted_ones_marked(tmp_path, figures, region_table):
    regions.draw_regions(region_table, pd.DataFrame({"index": [2]}), tmp_path / "r.svg", top=3)
    shown = [[label.get_text() for label in axes.get_yticklabels()] for axes in figures[0].axes]
    assert shown == [["Region 12", "Region 11", "Region 10"], ["Region 1", "★ Region 2", "Region 3"]]
    assert [axes.get_title(loc="left") for axes in figures[0].axes] == ["Guided backpropagation", "Grad-CAM"]


def test_regions_of_an_unknown_group_are_refused(tmp_path, region_table):
    with pytest.raises(InputError, match="no rows of the group 'X'"):
        regions.draw_regions(region_table, None, tmp_path / "r.svg", group="X")


def test_a_map_of_zeros_has_no_top_regions(tmp_path, figures, region_table, texts_of):
    zero = region_table["method"] == "gradcam"
    regions.draw_regions(
        region_table.assign(share=region_table["share"].mask(zero)).assign(
            rank=region_table["rank"].astype(float).mask(zero)
        ),
        None,
        tmp_path / "r.svg",
    )
    assert "The map is 0 in every region." in texts_of(figures[0])
    assert len(figures[0].axes[0].patches) == 10


def test_figures_are_deterministic_and_take_dollars_and_markup_as_text(tmp_path, figures, region_table, texts_of):
    table = region_table.replace({"region": {"Region 12": "R$_1$ <i>&"}})
    for name in ("a.svg", "b.svg"):
        regions.draw_regions(table, None, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "R$_1$ <i>&" in texts_of(figures[0])
    assert all(not text.get_parse_math() for text in figures[0].axes[0].get_yticklabels())


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        overlap.draw_dice(dice_table(), tmp_path / "d.pdf")
