"""Tables of morphometry: what becomes a feature, what does not, and who is left out."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.baselines.feature_columns import read_numbers, rename_repeats
from voxplain.baselines.features import read_features

PEOPLE = pd.DataFrame({"participant_id": ["103", "101", "102", "104", "105"], "target": ["F", "F", "M", "M", "F"]})
HCP = {"source": "hcp", "target": "Gender", "task": "classification", "hcp": {}}
TABLE = {"source": "table", "target": "sex", "task": "classification", "table": {"group_column": "family"}}
AGES = {"source": "table", "target": "age_days", "task": "regression", "table": {"age_column": "years"}}


def write(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(tables, people=PEOPLE, cohort=TABLE, **settings):
    features, dropped = read_features(tables, people, cohort, {"id_column": "participant_id", **settings})
    return features, dict(zip(dropped["feature"], dropped["reason"], strict=True))


@pytest.fixture
def volumes(tmp_path):
    """A row more and a row less than the cohort, BIDS ids, single cells missing."""
    return write(
        tmp_path / "volumes.csv",
        "participant_id,sex,family,left,right",
        "sub-101,F,a,1.5,9",
        "sub-102,M,a,2.5,7",
        "sub-999,M,b,x,8.5",
        "sub-103,F,b,n/a,8",
        "sub-104,M,c,1.25,",
    )


def test_numbers_of_the_cohort_sorted_by_id(volumes):
    features, dropped = read([volumes])
    assert list(features.columns) == ["participant_id", "left", "right"]
    assert features["participant_id"].tolist() == ["101", "102", "103", "104"]
    assert features["left"].tolist() == pytest.approx([1.5, 2.5, np.nan, 1.25], nan_ok=True)
    assert features["right"].tolist() == pytest.approx([9, 7, 8, np.nan], nan_ok=True)
    group = {"(a restricted field)": "cohort.table.group_column"}  # family
    assert dropped == {"participant_id": "the id", "sex": "the target"} | group


def test_people_without_values(volumes):
    imputed, _ = read([volumes], on_missing="impute")
    assert imputed["participant_id"].tolist() == ["101", "102", "103", "104", "105"]
    assert imputed.iloc[4, 1:].isna().all()
    with pytest.raises(
        InputError, match=r"1 of 5 people lack all values of one of the tables\n  - 105: no value in .*volumes\.csv"
    ):
        read([volumes], on_missing="fail")


def test_someone_whom_one_of_two_tables_lacks(volumes, tmp_path):
    """FreeSurfer failed for 102, but the volumes are there: on_missing decides, not a silent median."""
    rows = [f"{person},{2 + person / 7:.3f}" for person in (101, 103, 104, 105)]
    thickness = write(tmp_path / "thickness.csv", "participant_id,thickness", *rows, "102,NaN")
    assert read([volumes, thickness])[0]["participant_id"].tolist() == ["101", "103", "104"]
    imputed, _ = read([volumes, thickness], on_missing="impute")
    assert imputed.set_index("participant_id").loc["102"].isna().tolist() == [False, False, True]
    with pytest.raises(InputError, match=r"102: no value in \S*thickness\.csv\n(.|\n)*105: no value in \S*volumes"):
        read([volumes, thickness], on_missing="fail")


def test_freesurfer_columns_of_the_hcp_with_their_quirks(tmp_path):
    table = write(
        tmp_path / "expanded.csv",
        "Subject,Release,Gender,FS_InterCranial_Vol,FS_L_Cerebellum_Cort_Vol,FS_L_Cerebellum_Cort_Vol,"
        "FS_L_Cerebellum_Cort_Range,FS_L_Cerebellum_Cort_Range.1,FS_Const,FS_None,PicVocab",
        *(
            f"{100 + n},S1200,{'FFMFM'[n]},{1e6 + 7 * n**2},{5.5 + n},{6.5 - n},{n / 3},{n / 7},4,,{n * 1.5}"
            for n in range(5)
        ),
    )
    people = pd.DataFrame({"participant_id": [str(100 + n) for n in range(5)], "target": list("FFMFM")})
    features, dropped = read([table], people, HCP)
    assert list(features.columns)[1:] == [
        "FS_InterCranial_Vol",
        "FS_L_Cerebellum_Cort_Vol",
        "FS_R_Cerebellum_Cort_Vol",
        "FS_L_Cerebellum_Cort_Range",
        "FS_R_Cerebellum_Cort_Range",
    ]
    assert features["FS_R_Cerebellum_Cort_Vol"].tolist() == [6.5, 5.5, 4.5, 3.5, 2.5]
    assert set(dropped) == {"Subject", "Release", "Gender", "FS_Const", "FS_None", "PicVocab"}
    assert dropped["FS_Const"] == "constant"
    assert dropped["FS_None"] == "empty"
    assert dropped["PicVocab"] == "not a FS_ column"
    chosen, _ = read([table], people, HCP, include="Vocab|_Vol$", exclude="^FS_R")
    assert list(chosen.columns)[1:] == ["FS_InterCranial_Vol", "FS_L_Cerebellum_Cort_Vol", "PicVocab"]


def test_names_that_stand_twice(tmp_path):
    assert rename_repeats(["FS_L_Hippo_Vol"] * 2) == ["FS_L_Hippo_Vol"] * 2
    table = write(tmp_path / "twice.csv", "participant_id,a,a,b,b", "101,1,2,3,4", "102,5,1,4,8", "103,2,2,2,1")
    with pytest.raises(InputError, match=r"2 columns stand more than once(.|\n)*- a\n  - b"):
        read([table])
    with pytest.raises(InputError, match="1 columns stand more than once"):
        read([table], exclude="b")


def test_never_features(tmp_path):
    """Ids, row numbers, releases, restricted fields, text, and the class under other names."""
    columns = {
        "participant_id": ["a101", "a102", "a103", "a104", "a105", "a106"],
        "": [0, 1, 2, 3, 4, 5],
        "shuffled": [12, 15, 11, 10, 14, 13],
        "number": [101, 102, 103, 104, 105, 106],
        "Release_S500": [0, 1, 1, 0, 0, 1],
        "SESSION": [1, 2, 2, 1, 2, 2],
        "Age": [30, 22, 22, 41, 35, 41],
        "BMI": [21.5, 22.5, 20.5, 23.5, 24.5, 20.5],
        "Sex": [1, 1, 2, 2, 1, 2],
        "code": [7, 7, 3, 3, 7, 3],
        "site": ["x", "y", "x", "y", "x", "y"],
        "volume": [4.5, 5.5, 4.5, 6.5, 5.5, 7.5],
    }
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "table.csv", index=False)
    people = pd.DataFrame({"participant_id": columns["participant_id"], "target": list("FFMMFM")})
    features, dropped = read([tmp_path / "table.csv"], people)
    assert list(features.columns) == ["participant_id", "volume"]
    assert set(dropped) == set(columns) - {"volume", "BMI"} | {"(a restricted field)"}
    assert dropped["code"].startswith("it gives the class away")
    assert dropped["(a restricted field)"] == "restricted field"
    assert dropped["site"] == "not numbers"
    assert dropped["shuffled"] == dropped["number"] == "it numbers the rows or repeats the ids"


def test_ids_and_ages_never_get_in(tmp_path):
    ids = ["002S0295", "002S0413", "011S0016", "127S5132", "002S0001", "011S0021"]
    rows = [f"{person},{int(person[-4:])},{31.5 + n * n},{n % 2},{2.5 + n**2 % 5}" for n, person in enumerate(ids)]
    table = write(tmp_path / "t.csv", "participant_id,number,age_at_scan,is_male,volume", *rows)
    people = pd.DataFrame({"participant_id": ids, "target": list("FFFMMM")})
    features, dropped = read([table], people, include="number|age|male|volume")
    assert list(features.columns) == ["participant_id", "volume"]
    assert dropped["number"] == "it numbers the rows or repeats the ids"


def test_restricted_fields_have_no_names(tmp_path):
    ages = [31, 22, 25, 36, 28]
    rows = [f"{101 + n},a,{age},{20 + n**2},{1.5 + n**2 % 7}" for n, age in enumerate(ages)]
    table = write(tmp_path / "t.csv", "participant_id,Family,Age_in_Yrs,bmi,volume", *rows)
    people = pd.DataFrame({"participant_id": [str(101 + n) for n in range(5)], "target": np.array(ages, dtype=float)})
    cohort = {"source": "table", "target": "Age_in_Yrs", "task": "regression", "table": {"group_column": "Family"}}
    _, dropped = read_features([table], people, cohort, {"id_column": "participant_id"})
    assert dropped["feature"].tolist() == ["participant_id", *["(a restricted field)"] * 3]
    with pytest.raises(InputError, match="no feature is left") as error:
        read_features([table], people, cohort, {"id_column": "participant_id", "exclude": "volume"})
    assert not any(name in str(error.value) for name in ("Family", "Age_in_Yrs", "bmi"))


def test_only_what_tells_morphometry_from_the_rest_is_asked_for(volumes):
    """A change of anything else in the cohort's section must not make the features anew."""

    class Known(dict):
        def __getitem__(self, key):
            return super().__getitem__(key) if key in self else pytest.fail(f"{key} was asked for")

        def get(self, key, default=None):
            return super().get(key, default) if key in self else pytest.fail(f"{key} was asked for")

    section = Known(
        id_column="participant_id", group_column="family", age_column=None, image_column="t1", mask_column="m"
    )
    cohort = Known(source="table", target="sex", task="classification", table=section)
    pd.testing.assert_frame_equal(read([volumes], cohort=cohort)[0], read([volumes])[0])


def test_row_numbers_are_those_of_the_table_not_of_the_cohort(tmp_path):
    rows = [f"{100 + n},{n},{(n * 7) % 10}.5" for n in range(10)]
    table = write(tmp_path / "t.csv", "participant_id,row,volume", *rows)
    features, dropped = read([table], PEOPLE[PEOPLE["participant_id"].isin(["101", "104", "105"])])
    assert list(features.columns) == ["participant_id", "volume"]
    assert "row" in dropped


def test_age_under_another_name_for_a_regression(tmp_path):
    rows = [
        f"{person},{days},{days / 365.25},{size}"
        for person, days, size in zip(range(101, 106), DAYS, SIZES, strict=True)
    ]
    table = write(tmp_path / "t.csv", "participant_id,age_days,months,volume", *rows)
    people = pd.DataFrame({"participant_id": [str(p) for p in range(101, 106)], "target": [float(d) for d in DAYS]})
    features, dropped = read([table], people, AGES)
    assert list(features.columns) == ["participant_id", "volume"]
    assert dropped["age_days"] == "the target"
    assert dropped["months"].startswith("it gives the target away")


DAYS, SIZES = (9000, 12000, 8000, 15000, 11000), (1.5, 1.25, 1.75, 1.5, 1.125)


def test_cells_that_are_no_numbers(tmp_path):
    values, unreadable = read_numbers(["1e3", None, "1_000", "inf", "two", "-0.5"])
    assert values.tolist() == pytest.approx([1000, np.nan, np.nan, np.nan, np.nan, -0.5], nan_ok=True)
    assert unreadable.tolist() == [False, False, True, True, True, False]
    rows = ["101,1.5,3.5", "102,12 mm,4.5", "103,2.5,5.5", "104,4.5,#DIV/0!"]
    table = write(tmp_path / "t.csv", "participant_id,left,right", *rows)
    with pytest.raises(InputError, match=r"2 cells(.|\n)*102, left: '12 mm'(.|\n)*104, right: '#DIV/0!'"):
        read([table])
    features, _ = read([table], PEOPLE[PEOPLE["participant_id"].isin(["101", "103"])])  # cells of others do not matter
    assert features["left"].tolist() == [1.5, 2.5]


def test_one_column_in_two_tables(tmp_path, volumes):
    same = write(tmp_path / "same.csv", "participant_id,left,more", "101,1.50,1.5", "103,3.75,2.5", "104,n/a,9.5")
    features, _ = read([volumes, same])
    assert list(features.columns) == ["participant_id", "left", "right", "more"]
    assert features.set_index("participant_id")["left"].to_dict() == {"101": 1.5, "103": 3.75, "104": 1.25}
    other = write(tmp_path / "other.csv", "participant_id,left,more", "101,1.51,1.5", "103,3.75,2.5", "104,1.25,9.5")
    with pytest.raises(InputError, match=r"left: differs for 1 people between \S*volumes.csv and \S*other.csv"):
        read([volumes, other])


def test_column_that_is_constant_once_people_are_left_out(tmp_path):
    one = write(tmp_path / "one.csv", "participant_id,a,b", "101,1.5,3.5", "102,1.5,4.5", "103,7.5,5.5", "104,1.5,1.5")
    two = write(tmp_path / "two.csv", "participant_id,c", "101,1.5", "102,4.5", "104,2.5")
    features, dropped = read([one, two])
    assert list(features.columns) == ["participant_id", "b", "c"]
    assert dropped["a"] == "constant"


def test_nothing_to_work_with(tmp_path, volumes):
    with pytest.raises(InputError, match="no table of features"):
        read([])
    with pytest.raises(InputError, match=r"no feature is left(.|\n)*sex: the target(.|\n)*left: not in"):
        read([volumes], include="thickness")
    with pytest.raises(InputError, match=r"include: '\(' is not a regular expression"):
        read([volumes], include="(")
    with pytest.raises(InputError, match=r"none of the 1 people(.|\n)*in the cohort: 777(.|\n)*in the table: 101, 102"):
        read([volumes], pd.DataFrame({"participant_id": ["777"], "target": ["F"]}))
    with pytest.raises(InputError, match=r"id_column: there is no column 'Subject_ID'"):
        read([volumes], id_column="Subject_ID")
    rest = write(tmp_path / "rest.csv", "participant_id,c", "105,1.5", "106,4.5", "998,2.5")
    more = pd.concat([PEOPLE, pd.DataFrame({"participant_id": ["106"], "target": ["F"]})])
    with pytest.raises(InputError, match="every one of the 6 people lacks all values of at least one table"):
        read([volumes, rest], more)
