"""Ages as numbers, and the table of head sizes and ages."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_table
from voxplain.cohort.ages import ages_in_years
from voxplain.cohort.confounders import COLUMNS, collect_confounders
from voxplain.cohort.participants import summarise_report

SCRIPT = Path(__file__).resolve().parents[3] / "workflow" / "scripts" / "collect_confounders.py"
INDEX = pd.DataFrame({"participant_id": ["03", "01", "02"], "brain_volume_ml": [1300.0, 1100, 1200], "scale": 0.7})


def people_of(sizes, ages=("30", "22-25", "36+", "40")):
    return pd.DataFrame({"participant_id": ["04", "03", "02", "01"], "size": sizes, "age": list(ages)})


def test_ages_in_closed_form():
    texts = ["31", "22.5", "22-25", "26 - 30", "36+", " 40 ", None, np.nan, "old", "30-22", "-3", "inf", "", 7, 8.5]
    expected = [31, 22.5, 23.5, 28, 36, 40] + [np.nan] * 7 + [7, 8.5]
    np.testing.assert_array_equal(ages_in_years(texts), expected)


def test_ages_keep_their_index():
    ages = ages_in_years(pd.Series(["1", "2-3"], index=["b", "a"], name="age"))
    assert ages.to_dict() == {"b": 1, "a": 2.5}
    assert ages.dtype == float


def test_sizes_of_the_table_are_never_mixed_with_estimates():
    table = collect_confounders(people_of([np.nan, 5.0, np.nan, 7.0]), INDEX, "ICV", "auto", "affine", "mni")
    assert tuple(table.columns) == COLUMNS
    assert table["participant_id"].tolist() == ["01", "02", "03"]
    np.testing.assert_array_equal(table["tiv_mm3"], [7, np.nan, 5])
    np.testing.assert_array_equal(table["age_years"], [40, 36, 23.5])
    assert table["tiv_source"].tolist() == ["ICV"] * 3


@pytest.mark.parametrize(
    ("align", "expected", "source"),
    [("rigid", [1.1e6, 1.2e6, 1.3e6], "brain mask"), ("affine", [0.7 * 1.883e6] * 3, "affine determinant")],
)
def test_estimates_when_the_table_has_nobody_of_the_stack(align, expected, source):
    # 04 has a size, but no image in the stack.
    table = collect_confounders(people_of([5.0, np.nan, np.nan, np.nan]), INDEX, "ICV", "auto", align, "mni")
    np.testing.assert_allclose(table["tiv_mm3"], expected)
    assert set(table["tiv_source"]) == {source}


def test_unknown_head_sizes_and_ages():
    people = people_of([np.nan] * 4, ages=[None] * 4)
    table = collect_confounders(people, INDEX, "None", "auto", "none", "mni")
    assert len(table) == 3
    assert table[["tiv_mm3", "age_years", "tiv_source"]].isna().all(axis=None)
    with pytest.raises(InputError, match="MNI space"):
        collect_confounders(people, INDEX, "None", "mask", "none", "mni")


def test_people_whom_the_table_does_not_have():
    with pytest.raises(InputError, match=r"2 people .* not in the participants table\n  - 02\n  - 03\n"):
        collect_confounders(people_of([1.0] * 4).iloc[[0, 3]], INDEX, "ICV", "auto", "none", "mni")


@pytest.mark.parametrize(("sizes", "source"), [([5.0, np.nan, 6.25, 7.0], "ICV"), ([np.nan] * 4, None)])
def test_the_script_from_files_to_a_file(tmp_path, capsys, sizes, source):
    spec = importlib.util.spec_from_file_location("workflow_script_collect_confounders", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    nothing = {"target": "x", "group": None, "image": "a.nii", "mask": None}
    write_table(people_of(sizes).assign(**nothing), tmp_path / "participants.tsv")
    write_table(INDEX.assign(dice=0.95), tmp_path / "index.tsv")
    write_table(summarise_report({"rows": 4, "size_source": source, "classes": None}), tmp_path / "cohort.tsv")
    script.run(
        tmp_path / "participants.tsv", tmp_path / "index.tsv", tmp_path / "cohort.tsv", tmp_path / "confounders.tsv",
        estimate="auto", align="none", space="mni",
    )  # fmt: skip
    table = read_table(tmp_path / "confounders.tsv")
    assert list(table.columns) == list(COLUMNS)
    assert table["participant_id"].tolist() == ["01", "02", "03"]
    assert table["age_years"].tolist() == [40, 36, 23.5]
    printed = capsys.readouterr().out
    if source:
        np.testing.assert_array_equal(table["tiv_mm3"], [7, 6.25, np.nan])
        assert table["tiv_source"].tolist() == ["ICV"] * 3
        assert "Head size (ICV): 2 of 3 people" in printed
    else:
        assert table[["tiv_mm3", "tiv_source"]].isna().all(axis=None)
        assert "Head size (no source): 0 of 3 people" in printed
