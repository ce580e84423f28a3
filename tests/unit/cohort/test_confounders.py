"""Ages as numbers, and the table of head sizes and ages."""

import numpy as np
import pandas as pd
import pytest

import collect_confounders as script
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_table
from voxplain.cohort.ages import ages_in_years
from voxplain.cohort.confounders import COLUMNS, collect_confounders
from voxplain.cohort.people import parse_people

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


@pytest.fixture
def collect(tmp_path):
    """Return a function that runs the script on a cohort and gives its table."""

    def start(cohort, index=INDEX, tables=None, estimate="auto", align="none"):
        write_table(index.assign(dice=0.95), tmp_path / "index.tsv")
        script.run(
            tmp_path / "index.tsv", tmp_path / "confounders.tsv",
            cohort=cohort, tables=tables or {}, seed=5, estimate=estimate, align=align, space="mni",
        )  # fmt: skip
        return read_table(tmp_path / "confounders.tsv")

    return start


@pytest.fixture
def table_cohort(tmp_path):
    """Four people, one of whom has no image in the stack and one no head size."""
    rows = ["sub-04\tF\t1.4e6\t30", "sub-03\tM\tn/a\t22-25", "sub-02\tF\t1.25e6\t36+", "sub-01\tM\t1.6e6\t40"]
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tsex\tICV\tyears", *rows]) + "\n")
    table = {"file": str(tmp_path / "people.tsv"), "image_pattern": "{id}.nii", "size_column": "ICV"}
    cohort = {"source": "table", "target": "sex", "task": "classification", "labels": ["F", "M"], "limit": None}
    return cohort | {"table": table | {"age_column": "years"}}


def test_from_the_tables_of_the_cohort(collect, table_cohort, capsys):
    table = collect(table_cohort)
    assert list(table.columns) == list(COLUMNS)
    assert table["participant_id"].tolist() == ["01", "02", "03"]
    assert table["age_years"].tolist() == [40, 36, 23.5]
    np.testing.assert_array_equal(table["tiv_mm3"], [1.6e6, 1.25e6, np.nan])
    assert table["tiv_source"].tolist() == ["ICV"] * 3
    assert "Head size (ICV): 2 of 3 people" in capsys.readouterr().out


def test_without_head_sizes_and_ages(collect, table_cohort, capsys):
    table_cohort["table"] |= {"size_column": None, "age_column": None}
    table = collect(table_cohort)
    assert len(table) == 3
    assert table[["tiv_mm3", "age_years", "tiv_source"]].isna().all(axis=None)
    assert "Head size (no source): 0 of 3 people" in capsys.readouterr().out
    table = collect(table_cohort, align="rigid")
    assert table["tiv_mm3"].tolist() == [1.1e6, 1.2e6, 1.3e6]
    assert set(table["tiv_source"]) == {"brain mask"}


def test_a_table_of_head_sizes_comes_first(collect, table_cohort, tmp_path):
    (tmp_path / "sizes.tsv").write_text("participant_id\tmine\n01\t1.3e6\n")
    table = collect(table_cohort | {"size": {"file": str(tmp_path / "sizes.tsv"), "column": "mine"}})
    np.testing.assert_array_equal(table["tiv_mm3"], [1.3e6, np.nan, np.nan])
    assert set(table["tiv_source"]) == {"mine"}


def test_people_of_the_stack_whom_the_cohort_lacks(collect, table_cohort):
    index = INDEX.assign(participant_id=["77", "01", "02"])
    with pytest.raises(InputError, match=r"1 people of the image stack are not in the participants table\n  - 77\n"):
        collect(table_cohort, index)


@pytest.fixture
def phantom(tmp_path):
    """A phantom, six of its people in the stack, and the tables that it would write for them alone."""
    cohort = {"source": "phantom", "target": "Gender", "task": "classification", "labels": ["F", "M"], "limit": 6}
    cohort["phantom"] = {"people": 12}
    people = parse_people(cohort, seed=5).iloc[::2]
    unrestricted = pd.DataFrame({"Subject": people["participant_id"], "Gender": people["target"]})
    unrestricted["FS_IntraCranial_Vol"] = 1.4e6 + np.arange(6)
    unrestricted.to_csv(tmp_path / "unrestricted.csv", index=False)
    restricted = pd.DataFrame({"Subject": people["participant_id"], "Age_in_Yrs": people["age"], "Family_ID": "a"})
    restricted.to_csv(tmp_path / "restricted.csv", index=False)
    index = pd.DataFrame({"participant_id": people["participant_id"], "brain_volume_ml": 1200.0, "scale": 0.7})
    tables = {"unrestricted_csv": tmp_path / "unrestricted.csv", "restricted_csv": tmp_path / "restricted.csv"}
    return cohort, people, index, tables


def test_the_phantom_measures_its_heads(collect, phantom):
    cohort, people, index, tables = phantom
    table = collect(cohort, index, tables)
    assert table["participant_id"].tolist() == people["participant_id"].tolist()
    assert table["tiv_mm3"].tolist() == [1.4e6 + n for n in range(6)]
    assert set(table["tiv_source"]) == {"FS_IntraCranial_Vol"}
    assert table["age_years"].tolist() == people["age"].astype(float).tolist()
    assert collect(cohort, index)["tiv_mm3"].isna().all()


def test_the_phantom_measures_unless_a_table_says_otherwise(collect, phantom, tmp_path):
    cohort, people, index, tables = phantom
    sizes = pd.DataFrame({"participant_id": people["participant_id"][:4], "mine": 1.3e6})
    sizes.to_csv(tmp_path / "sizes.csv", index=False)
    cohort["size"] = {"file": str(tmp_path / "sizes.csv"), "column": "mine"}
    table = collect(cohort, index, tables)
    np.testing.assert_array_equal(table["tiv_mm3"], [1.3e6] * 4 + [np.nan] * 2)
    assert set(table["tiv_source"]) == {"mine"}


def test_tables_of_another_phantom_are_refused(collect, phantom, tmp_path):
    cohort, people, index, tables = phantom
    text = tables["unrestricted_csv"].read_text().replace(people["participant_id"].iloc[2], "999999")
    tables["unrestricted_csv"].write_text(text)
    with pytest.raises(InputError, match=f"{people['participant_id'].iloc[2]}: not in phantom.unrestricted_csv"):
        collect(cohort, index, tables)
