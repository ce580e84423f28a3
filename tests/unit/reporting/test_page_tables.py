"""Result tables as the page shows them."""

import base64
import gzip
import json

import numpy as np
import pandas as pd

from voxplain.reporting.region_tables import show_atlases
from voxplain.reporting.tables import arrange, pivot_planted, show, show_cohort


def test_rows_follow_groups_methods_and_ranks_as_numbers():
    frame = pd.DataFrame(
        {
            "group": ["F", "joint", "joint", "joint", "joint"],
            "method": ["b", "a", "b", "b", "b"],
            "rank": ["1", "1", "10", "9", "1"],
        }
    )
    ordered = arrange(frame, ["b", "a"], ["group", "method", "rank"], ["joint", "F"])
    assert ordered.to_numpy().tolist() == [
        ["joint", "b", "1"],
        ["joint", "b", "9"],
        ["joint", "b", "10"],
        ["joint", "a", "1"],
        ["F", "b", "1"],
    ]


def test_folds_sort_as_numbers_and_external_is_kept():
    assert arrange(pd.DataFrame({"fold": ["10", "9"]}), [], ["fold"], [])["fold"].tolist() == ["9", "10"]
    assert arrange(pd.DataFrame({"fold": ["external"]}), [], ["fold"], [])["fold"].tolist() == ["external"]


def test_only_asked_columns_are_shown_and_missing_cells_sort_last():
    frame = pd.DataFrame({"secret": [1, 2], "fold": [0, 1], "n_test": [7.0, 8.0], "auc": [0.875, np.nan]})
    table = show(frame, ["fold", "n_test", "auc", "mae"])
    assert [title for title, _ in table.columns] == ["Fold", "Test people", "AUC"]
    assert [[cell.text for cell in row] for row in table.rows] == [["0", "7", "0.88"], ["1", "8", "n/a"]]
    assert [row[2].sort for row in table.rows] == ["0.875", ""]


def test_planted_regions_have_a_row_each_and_a_column_a_method():
    planted = pd.DataFrame(
        {
            "method": ["gradcam", "lrp", "gradcam", "gradcam"],
            "group": ["joint", "joint", "joint", "F"],
            "index": [5, 5, 3, 3],
            "region": ["five", "five", "three", "three"],
            "kind": ["volume", "volume", "both", "both"],
            "rank": [20, 2, 1, 9],
            "in_top": [False, True, True, False],
        }
    )
    table = pivot_planted(planted, ["lrp", "gradcam"])
    assert [title for title, _ in table.columns][2:] == ["Rank: Layer-wise relevance propagation", "Rank: Grad-CAM"]
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts == [["three", "both", "n/a", "1 ★"], ["five", "volume", "2 ★", "20"]]


def test_the_cohort_reads_as_sentences():
    table = show_cohort(pd.DataFrame({"key": ["used", "class_F", "grouped", "other"], "value": [40, 19, "True", None]}))
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts == [["Used", "40"], ["Class F", "19"], ["Families known", "yes"], ["other", "n/a"]]


def test_all_regions_are_there_for_those_who_search_and_the_first_ones_stand_in_the_page():
    every = pd.DataFrame(
        {
            "group": "joint",
            "method": "lrp",
            "index": range(1, 31),
            "region": [f"Region <{index}>" for index in range(1, 31)],
            "share": [0.5 / index for index in range(1, 31)],
            "rank": range(1, 31),
        }
    )
    of_atlases = {"top_regions": {"boxes": every.head(3)}, "regions": {"boxes": every}, "anatomy_regions": {}}
    (shown,) = show_atlases({}, of_atlases, {}, ["lrp"], ["joint"])
    assert [row[3].text for row in shown["table"].rows] == ["Region <1>", "Region <2>", "Region <3>"]
    rows = json.loads(gzip.decompress(base64.b64decode(shown["whole"]["packed"])))
    assert shown["whole"]["rows"] == len(rows) == 30
    titles = [title for title, _ in shown["table"].columns]
    last = dict(zip(titles, rows[-1], strict=True))
    assert last["Region"] == ["Region <30>"]
    assert float(last["Share of the map"][1]) == 0.5 / 30
    del of_atlases["regions"]
    assert show_atlases({}, of_atlases, {}, ["lrp"], ["joint"])[0]["whole"] is None
