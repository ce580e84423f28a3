"""The phantom's people, settings and tables: everything that needs no image."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.names import check_ids
from voxplain.cohort.phantom import PhantomSettings, design, freesurfer_csv, restricted_csv, unrestricted_csv


def test_classes_are_balanced_and_ids_are_six_digits():
    people = design(PhantomSettings(people=128))
    assert people["Gender"].value_counts().to_dict() == {"F": 64, "M": 64}
    assert people["participant_id"].str.fullmatch(r"[1-9]\d{5}").all()
    check_ids(people["participant_id"], "phantom")
    assert len(design(PhantomSettings(people=8000))["participant_id"].unique()) == 8000
    assert people["Gender"].ne(people["Gender"].shift()).mean() < 0.95, "sex must not follow from the row"


def test_a_smaller_cohort_is_the_beginning_of_a_larger_one():
    pd.testing.assert_frame_equal(design(PhantomSettings(people=9)), design(PhantomSettings(people=40))[:9])
    other = design(PhantomSettings(people=9, seed=2))
    assert not other["head_size"].equals(design(PhantomSettings(people=9))["head_size"])


def test_families_have_one_mother_and_different_ages():
    people = design(PhantomSettings(people=300, family_size=4))
    sizes = people.groupby("Family_ID").size()
    assert sizes.max() == 4
    assert sizes.min() == 1
    assert (people.groupby("Family_ID")["Mother_ID"].nunique() == 1).all()
    assert not people.duplicated(["Family_ID", "Age_in_Yrs"]).any()
    assert people["Age_in_Yrs"].between(22, 37).all()
    bands = people.groupby("Age")["Age_in_Yrs"].agg(["min", "max"]).to_dict("index")
    assert bands["22-25"] == {"min": 22, "max": 25}
    assert bands["26-30"] == {"min": 26, "max": 30}
    assert bands["31-35"] == {"min": 31, "max": 35}
    assert bands["36+"]["min"] == 36
    assert design(PhantomSettings(people=50, family_size=1))["Family_ID"].is_unique


def test_head_size_follows_sex_and_family():
    people = design(PhantomSettings(people=2000, family_size=2, family_share=0.6))
    volume = 1883 * people["head_size"] ** 3
    assert volume[people["Gender"] == "F"].mean() == pytest.approx(1400, abs=15)
    assert volume[people["Gender"] == "M"].mean() == pytest.approx(1600, abs=15)
    assert volume[people["Gender"] == "M"].std() == pytest.approx(130, abs=10)
    spread = volume.groupby(people["Gender"]).transform(lambda v: (v - v.mean()) / v.std())
    pairs = [spread[rows].to_numpy() for rows in people.groupby("Family_ID").groups.values() if len(rows) == 2]
    assert np.corrcoef(np.array(pairs).T)[0, 1] == pytest.approx(0.6, abs=0.1)


def test_bad_settings_are_all_named():
    with pytest.raises(InputError) as error:
        PhantomSettings(people=0, space="scanner", noise="much", effect=-1.0, seed=1.5)
    message = str(error.value)
    for part in ("people: 0", "'scanner'", "mni, acpc", "'much'", "effect: -1.0", "seed: 1.5", "5 settings"):
        assert part in message


def test_drawing_the_people_imports_nothing_heavy():
    code = (
        "import sys; from voxplain.cohort.phantom import PhantomSettings, design; design(PhantomSettings(people=4));"
        "print([m for m in ('torch', 'nibabel', 'nilearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.strip() == "[]"


def measures_of(people):
    return pd.DataFrame(
        {
            "Subject": people["participant_id"],
            "FS_IntraCranial_Vol": 1.5e6,
            "FS_Demo_GM_01_L_Vol": np.arange(len(people)),
        }
    )


def test_tables_have_the_columns_of_the_hcp():
    settings = PhantomSettings(people=5)
    measures = measures_of(design(settings))[::-1].astype({"Subject": int})
    open_table = unrestricted_csv(settings, measures)
    closed = restricted_csv(settings, measures)
    morphometry = freesurfer_csv(settings, measures)
    assert list(open_table) == ["Subject", "Release", "Acquisition", "Gender", "Age", "FS_IntraCranial_Vol"]
    assert list(closed)[:2] == ["Subject", "Age_in_Yrs"]
    assert list(closed)[2:] == ["Family_ID", "Mother_ID", "Father_ID", "ZygositySR", "ZygosityGT"]
    assert list(morphometry) == ["Subject", "Release", "Gender", "FS_InterCranial_Vol", "FS_Demo_GM_01_L_Vol"]
    assert list(open_table["Subject"]) == list(design(settings)["participant_id"])
    assert list(morphometry["FS_Demo_GM_01_L_Vol"]) == [0, 1, 2, 3, 4], "rows must follow their subject"
    assert not {"Family_ID", "Age_in_Yrs"} & {*open_table, *morphometry}, "restricted fields stay in their table"


def test_tables_refuse_measures_of_other_people():
    settings = PhantomSettings(people=3)
    measures = measures_of(design(PhantomSettings(people=4)))
    with pytest.raises(InputError, match=r"twice \(1\) or are not in the design \(1\)(.|\n)*100206\n(.|\n)*100509"):
        unrestricted_csv(settings, pd.concat([measures, measures[:1]]))
