"""The participants table and the report on how it came about."""

import stat

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import write_table
from voxplain.cohort.participants import (
    PARTICIPANT_COLUMNS,
    check_participants,
    hash_groups,
    private_salt,
    read_private,
    summarise_report,
    tabulate,
)
from voxplain.cohort.people import parse_people

TABLE = """participant_id\tdx\tfamily\ttiv\tyears\tt1\tbrain
sub-04\t01\tBaker\t1500000.5\t70\tt1/4.nii\tn/a
sub-03\t1\tBaker\tn/a\t61.5\tt1/3.nii\tm/3.nii
sub-02\tn/a\tCook\t1400000\tn/a\tt1/2.nii\tm/2.nii
sub-01\t1\tn/a\t1600000\t50\tt1/1.nii\tm/1.nii
sub-05\t01\tCook\t1600000\t50\tt1/5.nii\tm/5.nii
"""


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "people.tsv").write_text(TABLE)
    for name in ("t1/1", "t1/2", "t1/3", "t1/4", "m/1", "m/2", "m/3"):
        (tmp_path / f"{name}.nii").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.nii").touch()
    table = {"file": str(tmp_path / "people.tsv"), "root": None, "image_column": "t1", "mask_column": "brain"}
    table |= {"group_column": "family", "size_column": "tiv", "age_column": "years"}
    return {
        "source": "table",
        "target": "dx",
        "task": "classification",
        "labels": ["01", "1"],
        "limit": None,
        "min_found": 0.7,
        "on_missing_target": "drop",
        "restricted_target": False,
        "table": table,
    }


def test_table_and_report(cohort):
    participants, report = tabulate(cohort, seed=1, salt="salt")
    assert tuple(participants.columns) == PARTICIPANT_COLUMNS == ("participant_id", "target", "group", "image", "mask")
    assert participants["participant_id"].tolist() == ["01", "03", "04"]
    assert participants["target"].tolist() == ["1", "1", "01"]
    assert participants["group"].isna().tolist() == [True, False, False]
    assert participants["group"][1] == participants["group"][2]
    assert participants["mask"].isna().tolist() == [False, False, True]
    assert report == {
        "rows": 5,
        "dropped": ["02"],
        "found": 3,
        "missing": {"05": "no image t1/5.nii"},
        "used": 3,
        "classes": {"01": 1, "1": 2},
        "grouped": True,
        "groups": 1,
        "restricted_target": False,
    }
    assert "Baker" not in participants.to_csv() + str(report)


def test_head_size_and_age_change_nothing(cohort, tmp_path):
    """Folds and networks are made anew when this table changes."""
    (tmp_path / "sizes.tsv").write_text("participant_id\tICV\n01\t1.3e6\n")
    table = {key: value for key, value in cohort["table"].items() if key not in ("size_column", "age_column")}
    plain = tabulate(cohort | {"table": table}, seed=1, salt="salt")
    with_file = cohort | {"size": {"file": str(tmp_path / "sizes.tsv"), "column": "ICV"}}
    for other in (cohort, with_file):
        participants, report = tabulate(other, seed=1, salt="salt")
        pd.testing.assert_frame_equal(participants, plain[0])
        assert report == plain[1]


def test_limit_is_applied_after_looking_for_images(cohort):
    participants, report = tabulate(cohort | {"limit": 2}, seed=1, salt="salt")
    assert sorted(participants["target"]) == ["01", "1"]
    assert (report["found"], report["used"]) == (3, 2)
    assert report["classes"] == {"01": 1, "1": 1}


def test_a_target_called_restricted_has_no_counts_in_the_report(cohort):
    report = tabulate(cohort | {"restricted_target": True}, seed=1, salt="salt")[1]
    assert report["restricted_target"] is True
    assert report["classes"] is None


def test_written_and_read_back_unchanged(cohort, tmp_path):
    participants, _ = tabulate(cohort, seed=1, salt="salt")
    path = tmp_path / "private" / "participants.tsv"
    write_table(participants, path)
    assert path.read_text().splitlines()[1] == "01\t1\tn/a\tt1/1.nii\tm/1.nii"
    again = read_private(path, cohort["task"])
    check_participants(again, cohort)
    pd.testing.assert_frame_equal(again, participants, check_dtype=False)
    assert again["target"].tolist() == ["1", "1", "01"]


def test_targets_of_a_regression_come_back_exactly(cohort, tmp_path):
    cohort = cohort | {"target": "years", "task": "regression", "labels": None}
    participants, report = tabulate(cohort, seed=1, salt="salt")
    assert report["classes"] is None
    participants["target"] += 0.1
    write_table(participants, tmp_path / "participants.tsv")
    again = read_private(tmp_path / "participants.tsv", cohort["task"])
    check_participants(again, cohort)
    assert again["target"].tolist() == participants["target"].tolist()


def test_hashes_depend_on_the_salt_and_hide_the_name():
    groups = pd.Series(["51_62", "51_62", "53_64", None])
    one, other = hash_groups(groups, "one"), hash_groups(groups, "other")
    assert one[0] == one[1] != one[2]
    assert pd.isna(one[3])
    assert not set(one.dropna()) & set(other.dropna())
    assert one.dropna().str.fullmatch("[0-9a-f]{16}").all()
    # RFC 4231, test case 2, first 16 digits.
    assert hash_groups(pd.Series(["what do ya want for nothing?"]), "Jefe")[0] == "5bdcc146bf60754e"
    with pytest.raises(ValueError, match="empty salt"):
        hash_groups(groups, "")


def test_salt_is_made_once_and_private(tmp_path):
    salt = private_salt(tmp_path / "private" / "salt")
    assert len(salt) == 32
    assert private_salt(tmp_path / "private" / "salt") == salt
    assert private_salt(tmp_path / "other") != salt
    assert stat.S_IMODE((tmp_path / "private" / "salt").stat().st_mode) == 0o600


def test_every_broken_cell_is_named(cohort):
    good, _ = tabulate(cohort, seed=1, salt="salt")
    check_participants(good, cohort)
    bad = good.assign(
        target=["1", "2", "01"],
        group=["Baker", None, None],
        image=["/etc/1.nii", "a/../../b.nii", "fine.nii"],
        mask=[None, None, "../m.nii"],
    )
    with pytest.raises(InputError) as error:
        check_participants(bad, cohort)
    assert "5 cells are wrong" in str(error.value)
    for problem in (
        "03: target is not one of ['01', '1']",
        "01: group is not a hash",
        "01: image is not a path below the root",
        "03: image is not a path below the root",
        "04: mask is not a path below the root",
    ):
        assert f"  - {problem}\n" in str(error.value)
    assert "Baker" not in str(error.value)


def test_broken_tables(cohort):
    good, _ = tabulate(cohort, seed=1, salt="salt")
    with pytest.raises(InputError, match="other columns than expected"):
        check_participants(good.drop(columns="mask"), cohort)
    with pytest.raises(InputError, match="no rows"):
        check_participants(good.iloc[:0], cohort)
    with pytest.raises(InputError, match=r"more than once\n  - 01"):
        check_participants(good.assign(participant_id=["01", "01", "03"]), cohort)
    regression = cohort | {"task": "regression"}
    with pytest.raises(InputError, match="03: target is not a finite number"):
        check_participants(good.assign(target=[1.0, np.nan, 2.0]), regression)


def test_folds_are_read_with_the_same_types(tmp_path):
    folds = pd.DataFrame({"participant_id": ["01", "02"], "fold": [0, 1], "target": ["01", "1"]})
    write_table(folds, tmp_path / "folds.tsv")
    pd.testing.assert_frame_equal(read_private(tmp_path / "folds.tsv", "classification"), folds, check_dtype=False)


def test_only_hcp_and_phantom_take_csv_paths(cohort):
    with pytest.raises(TypeError, match="the source table takes no restricted_csv"):
        tabulate(cohort, seed=1, salt="salt", restricted_csv="x.csv")


@pytest.fixture
def phantom(tmp_path):
    """A phantom of 12 people and the tables that it would write."""
    cohort = {"source": "phantom", "target": "Gender", "task": "classification", "labels": ["F", "M"], "limit": None}
    cohort["phantom"] = {"people": 12}
    people = parse_people(cohort, seed=5)
    unrestricted = pd.DataFrame({"Subject": people["participant_id"], "Gender": people["target"], "Age": "26-30"})
    unrestricted["FS_IntraCranial_Vol"] = 1.4e6 + np.arange(12)
    restricted = pd.DataFrame({"Subject": people["participant_id"], "Family_ID": ["a", "b"] * 6})
    unrestricted.iloc[::-1].to_csv(tmp_path / "unrestricted.csv", index=False)
    restricted.to_csv(tmp_path / "restricted.csv", index=False)
    return cohort, people, tmp_path


def test_phantom_with_its_measured_tables(phantom):
    cohort, people, folder = phantom
    files = {"unrestricted_csv": folder / "unrestricted.csv", "restricted_csv": folder / "restricted.csv"}
    participants, report = tabulate(cohort, seed=5, salt="salt", **files)
    assert participants["participant_id"].tolist() == people["participant_id"].tolist()
    assert participants["group"].nunique() == report["groups"] == 2
    assert report["missing"] == {}
    _, report = tabulate(cohort, seed=5, salt="salt")
    assert report["groups"] == people["group"].nunique()


def test_phantom_tables_of_another_seed_or_size_are_refused(phantom):
    cohort, people, folder = phantom
    table = pd.read_csv(folder / "unrestricted.csv", dtype=str)
    swapped, left_out = people["participant_id"][3], people["participant_id"][7]
    table.loc[table["Subject"] == swapped, "Gender"] = {"F": "M", "M": "F"}[people["target"][3]]
    table[table["Subject"] != left_out].to_csv(folder / "other.csv", index=False)
    with pytest.raises(InputError) as error:
        tabulate(cohort, seed=5, salt="salt", unrestricted_csv=folder / "other.csv")
    assert "2 contradictions" in str(error.value)
    assert f"  - {left_out}: not in phantom.unrestricted_csv" in str(error.value)
    assert f"  - {swapped}: another Gender in" in str(error.value)


def test_limited_phantom_needs_tables_of_the_chosen_only(phantom):
    cohort, _, folder = phantom
    chosen, _ = tabulate(cohort | {"limit": 6}, seed=5, salt="salt")
    table = pd.read_csv(folder / "unrestricted.csv", dtype=str)
    table[table["Subject"].isin(chosen["participant_id"])].to_csv(folder / "six.csv", index=False)
    again, report = tabulate(cohort | {"limit": 6}, seed=5, salt="salt", unrestricted_csv=folder / "six.csv")
    pd.testing.assert_frame_equal(again, chosen)
    assert (report["found"], report["used"]) == (12, 6)


def test_phantom_age_agrees_between_design_and_table(phantom):
    cohort, people, folder = phantom
    age = cohort | {"target": "Age_in_Yrs", "task": "regression", "labels": None}
    ages = parse_people(age, seed=5)["target"].astype(int)
    table = pd.DataFrame({"Subject": people["participant_id"], "Age_in_Yrs": ages, "Family_ID": "a"})
    table.to_csv(folder / "ages.csv", index=False)
    participants, _ = tabulate(age, seed=5, salt="salt", restricted_csv=folder / "ages.csv")
    assert participants["target"].tolist() == ages.tolist()
    table.assign(Age_in_Yrs="old").to_csv(folder / "ages.csv", index=False)
    with pytest.raises(InputError, match="12 contradictions"):
        tabulate(age, seed=5, salt="salt", restricted_csv=folder / "ages.csv")


def test_summary_counts_people_and_names_nobody():
    report = {
        "rows": 5,
        "dropped": ["100003"],
        "found": 3,
        "missing": {"100004": "no image"},
        "used": 3,
        "classes": {"F": 2, "M": 1},
        "grouped": False,
        "groups": 0,
        "restricted_target": False,
    }
    summary = summarise_report(report)
    values = dict(zip(summary["key"], summary["value"], strict=True))
    assert values["dropped"] == values["missing"] == "1"
    assert values["class_F"] == "2"
    assert "1000" not in summary.to_csv()
