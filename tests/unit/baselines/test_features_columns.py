"""What gives a column away that is no morphometry: its name, the ids, and the answer itself."""

import numpy as np
import pytest

from voxplain.baselines.feature_columns import numbers_rows, why_not_by_name, why_not_by_values


def test_row_numbers():
    ids = ["s1", "s2", "s3", "s4"]
    assert numbers_rows(np.array([3.0, 1, 2, 4]), ids)
    assert numbers_rows(np.array([10.0, np.nan, 12, 11]), ids)
    assert numbers_rows(np.array([5.0, 70, 900]), ["sub05", "sub70", "sub900"])
    assert not numbers_rows(np.array([3.0, 1, 2, 6]), ids)
    assert not numbers_rows(np.array([1.5, 2.5, 3.5, 4.5]), ids)
    assert not numbers_rows(np.array([1.0, 1, 2, 3]), ids)


def test_numbers_within_the_ids():
    ids = ["002S0295", "002S0413", "011S0016", "127S5132"]
    assert numbers_rows(np.array([295.0, 413, 16, 5132]), ids)
    assert numbers_rows(np.array([2.0, 2, 11, 127]), ids)  # the site: it repeats
    assert numbers_rows(np.array([20295.0, np.nan, 110016, 1275132]), ids)
    assert not numbers_rows(np.array([295.0, 413, 16, 5131]), ids)
    assert numbers_rows(np.array([5.0, 70, 900]), ["a5", "b70x1", "c900"])  # one more number in some
    assert not numbers_rows(np.array([5.0, 70, 900]), ["a5", "b", "c900"])


@pytest.mark.parametrize(
    "name",
    ["id", "RID", "eid", "IID", "PTID", "subject_id", "Image_ID", "scan id", "participant_id"]
    + [
        "age_at_scan",
        "Age.Months",
        "birth_year",
        "BIRTHDATE",
        "mother-dob",
        "is_male",
        "Female",
        "sex_M",
        "GENDER code",
    ],
)
def test_names_of_ids_and_of_what_tells_age_or_sex(name):
    assert why_not_by_name(name, {}, None, None, False).startswith("it says who")


@pytest.mark.parametrize(
    "name",
    ["Vol_Stage", "cortical_thickness_average", "essex", "Vol_Amygdaloid", "midbrain", "Dice", "FS_Age_Vol", "Vol_Mid"],
)
def test_names_that_only_look_like_it(name):
    assert why_not_by_name(name, {}, None, None, False) == ""


def test_copies_of_the_answer():
    sex = np.array(["F", "F", "M", "M", "X", "X"])
    assert "class" in why_not_by_values(np.array([1.0, 1, 2, 2, 5, 5]), sex)
    assert "class" in why_not_by_values(np.array([0.0, 0, 0, 0, 1, 1]), sex)  # a one-hot column
    assert why_not_by_values(np.array([0.0, 0, 0, 1, 1, 1]), sex) == ""
    days = np.array([10.0, 20, 40, 80, 85, 90])
    assert "target" in why_not_by_values(days / 365.25 - 3, days)
    assert "target" in why_not_by_values(-days, days)
    assert why_not_by_values(days**2, days) == ""
    assert why_not_by_values(days) == ""


def test_answers_with_some_people_miscoded():
    sex = np.array(["F", "M"] * 20)
    code = (sex == "M") * 3.0 + 1
    code[5] = 1  # 39 of 40
    assert "class" in why_not_by_values(code, sex)
    assert "class" in why_not_by_values(-code, sex)
    code[[0, 7]] = 4, np.nan  # 37 of 39
    assert why_not_by_values(code, sex) == ""
    code = (sex == "M") * 3.0 + 1
    code[5] = 2  # a third value is a measure, not a code
    assert why_not_by_values(code, sex) == ""


def test_classes_of_which_one_is_rare():
    group = np.array(["patient"] * 4 + ["control"] * 96)
    lesion = np.zeros(100)
    lesion[50] = 1  # agrees with "control" in 95 people, and tells nothing
    assert why_not_by_values(lesion, group) == ""
    lesion[:3], lesion[50] = 1, 0
    assert "class" in why_not_by_values(lesion, group)


def test_one_class_of_three_against_the_others():
    dx = np.repeat(["CN", "MCI", "AD"], 10)
    demented = (dx == "AD").astype(float)
    demented[3] = 1
    assert "class" in why_not_by_values(demented, dx)
    mixed = np.tile([0.0, 1], 15)
    assert why_not_by_values(mixed, dx) == ""


def test_ages_that_were_rounded():
    years = np.random.default_rng(0).uniform(20, 80, 50)
    assert "target" in why_not_by_values(np.round(years), years)
    assert "target" in why_not_by_values(-365.25 * np.floor(years), years)
    assert why_not_by_values(years + 2 * np.tile([1, -1], 25), years) == ""
