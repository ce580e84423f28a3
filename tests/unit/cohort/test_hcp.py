"""The HCP's folders and CSV files, with their quirks."""

import re

import pytest

from voxplain.base.errors import InputError
from voxplain.cohort.hcp import read_hcp
from voxplain.cohort.participants import tabulate
from voxplain.cohort.people import found_people, parse_people, target_is_restricted

IMAGE = "{id}/MNINonLinear/T1w_restore_brain.nii.gz"
SEX = dict(zip(["100206", "100307", "100408", "100610", "101006"], "MFMFF", strict=True))


@pytest.fixture
def release(tmp_path):
    """Five people: two siblings, one (101006) without an image, one (100610) without a row in the restricted CSV."""
    unrestricted = "Subject,Release,Acquisition,Gender,Age,FS_IntraCranial_Vol\r\n" + "".join(
        f"{person},S1200,Q01,{sex},26-30,{1.4e6 + place}\r\n" for place, (person, sex) in enumerate(SEX.items())
    )
    (tmp_path / "unrestricted.csv").write_bytes(b"\xef\xbb\xbf" + unrestricted.encode())
    families = {"100206": "51_62", "100307": "51_62", "100408": "53_64", "101006": "55_66"}
    (tmp_path / "restricted.csv").write_text(
        "Subject,Age_in_Yrs,Family_ID,ZygositySR\n"
        + "".join(f"{person},{27 + n},{family},\n" for n, (person, family) in enumerate(families.items()))
    )
    (tmp_path / "freesurfer.csv").write_text(
        "Subject,Release,Gender,FS_InterCranial_Vol,FS_L_Cerebellum_Cort_Vol,FS_L_Cerebellum_Cort_Vol,FS_L_Hippo_Vol\n"
        + "".join(f"{person},S1200,{sex},1500000,1,2,{4000 + n}\n" for n, (person, sex) in enumerate(SEX.items()))
    )
    for person in list(SEX)[:4]:
        image = tmp_path / "data" / IMAGE.replace("{id}", person)
        image.parent.mkdir(parents=True)
        image.touch()
    return tmp_path


def cohort_of(folder, *tables, **changes):
    hcp = {
        "root": str(folder / "data"),
        "unrestricted_csv": str(folder / "unrestricted.csv"),
        "image": IMAGE,
        "ids": None,
    }
    hcp |= {f"{name}_csv": str(folder / f"{name}.csv") for name in tables}
    cohort = {"source": "hcp", "target": "Gender", "task": "classification", "labels": ["F", "M"], "hcp": hcp}
    return cohort | {"limit": None, "min_found": 0.8, "on_missing_target": "drop", "restricted_target": False} | changes


def test_people_from_the_unrestricted_table_alone(release):
    people = parse_people(cohort_of(release), seed=1)
    assert dict(zip(people["participant_id"], people["target"], strict=True)) == SEX
    assert people["image"].tolist() == [IMAGE.replace("{id}", person) for person in SEX]
    assert people["size"].tolist() == [1.4e6 + n for n in range(5)]
    assert people["age"].tolist() == ["26-30"] * 5
    assert people["group"].isna().all()
    assert people["mask"].isna().all()


def test_rows_without_an_image_are_normal_and_listed(release):
    found, missing = found_people(cohort_of(release), seed=1)
    assert found["participant_id"].tolist() == list(SEX)[:4]
    assert missing.to_numpy().tolist() == [["101006", "no image 101006/MNINonLinear/T1w_restore_brain.nii.gz"]]


def test_too_few_found_says_where_it_looked(release):
    with pytest.raises(InputError) as error:
        found_people(cohort_of(release, min_found=0.9), seed=1)
    message = str(error.value)
    assert "Images were found for 4 of 5 people" in message
    assert f"{release}/data" in message
    assert "101006: no image 101006/MNINonLinear/T1w_restore_brain.nii.gz" in message
    with pytest.raises(InputError, match=r"cohort\.hcp\.root: .*nowhere is not a folder"):
        found_people(cohort_of(release, hcp=cohort_of(release)["hcp"] | {"root": "nowhere"}), seed=1)
    pattern = cohort_of(release)["hcp"] | {"image": "{id}/T1w/T1w_acpc_dc_restore_brain.nii.gz"}
    with pytest.raises(InputError, match=r"found for 0 of 5 people .* asks for at least one"):
        found_people(cohort_of(release, hcp=pattern, min_found=0), seed=1)


def test_a_link_without_its_file_is_called_one(release):
    path = release / "data/101006/MNINonLinear"
    path.mkdir(parents=True)
    (path / "T1w_restore_brain.nii.gz").symlink_to("../.git/annex/gone")
    _, missing = found_people(cohort_of(release), seed=1)
    assert "DataLad: get it first" in missing["reason"][0]


def test_a_list_of_ids_picks_people_and_counts_for_min_found(release):
    (release / "ids.txt").write_text("100206\n100307\n999999\n")
    cohort = cohort_of(release, hcp=cohort_of(release)["hcp"] | {"ids": str(release / "ids.txt")}, min_found=0.6)
    found, missing = found_people(cohort, seed=1)
    assert found["participant_id"].tolist() == ["100206", "100307"]
    assert missing.to_numpy().tolist() == [["999999", "listed, but not in the table"]]
    with pytest.raises(InputError, match="2 of 3 people"):
        found_people(cohort | {"min_found": 0.8}, seed=1)
    (release / "ids.txt").write_text("999999\n999998\n")
    with pytest.raises(InputError, match=r"none of these people is in .*\n  - 999999\n  - 999998"):
        parse_people(cohort, seed=1)


def test_head_size_has_two_names(release):
    text = (release / "unrestricted.csv").read_bytes().replace(b"FS_IntraCranial_Vol", b"FS_Other")
    (release / "unrestricted.csv").write_bytes(text)
    roster = read_hcp(cohort_of(release)["hcp"], "Gender")
    assert roster.size_source == ""
    assert roster.people["size"].isna().all()
    roster = read_hcp(cohort_of(release, "freesurfer")["hcp"], "Gender")
    assert roster.size_source == "FS_InterCranial_Vol"
    assert roster.people["size"].tolist() == ["1500000"] * 5


def test_target_of_the_freesurfer_table(release):
    cohort = cohort_of(release, "freesurfer", target="FS_L_Hippo_Vol", task="regression", labels=None)
    assert parse_people(cohort, seed=1)["target"].tolist() == [4000.0, 4001.0, 4002.0, 4003.0, 4004.0]
    assert not target_is_restricted(cohort)
    with pytest.raises(InputError, match="'FS_L_Cerebellum_Cort_Vol' stands 2 times"):
        parse_people(cohort | {"target": "FS_L_Cerebellum_Cort_Vol"}, seed=1)


def test_restricted_target_is_flagged(release):
    age = {"target": "Age_in_Yrs", "task": "regression", "labels": None}
    assert target_is_restricted(cohort_of(release, "restricted", **age))
    assert not target_is_restricted(cohort_of(release, "restricted"))
    assert target_is_restricted(cohort_of(release, restricted_target=True))
    with pytest.raises(InputError, match=r"restricted field of the HCP.*\n.*set cohort\.hcp\.restricted_csv"):
        parse_people(cohort_of(release, **age), seed=1)
    # Also when somebody merged the restricted columns into the unrestricted table.
    text = (release / "unrestricted.csv").read_bytes().replace(b"FS_IntraCranial_Vol", b"Age_in_Yrs")
    (release / "unrestricted.csv").write_bytes(text)
    assert target_is_restricted(cohort_of(release, **age))


def test_families_are_hashed_and_unknown_ones_stay_unknown(release):
    participants, report = tabulate(cohort_of(release, "restricted"), seed=1, salt="pepper")
    group = participants.set_index("participant_id")["group"]
    assert group["100206"] == group["100307"] != group["100408"]
    assert re.fullmatch("[0-9a-f]{16}", group["100206"])
    assert group.isna().tolist() == [False, False, False, True]
    assert (report["grouped"], report["groups"]) == (True, 2)
    assert parse_people(cohort_of(release, "restricted"), seed=1)["age"].tolist()[:3] == ["27", "28", "29"]
    assert "age" not in participants
    _, alone = tabulate(cohort_of(release), seed=1, salt="pepper")
    assert (alone["grouped"], alone["groups"]) == (False, 0)


def test_paths_given_to_tabulate_replace_those_of_the_config(release):
    plain = cohort_of(release)
    given, _ = tabulate(plain, seed=1, salt="s", restricted_csv=release / "restricted.csv")
    configured, _ = tabulate(cohort_of(release, "restricted"), seed=1, salt="s")
    assert given.equals(configured)
    assert plain["hcp"].get("restricted_csv") is None
    elsewhere = plain | {"hcp": plain["hcp"] | {"restricted_csv": "does-not-exist.csv"}}
    assert tabulate(elsewhere, seed=1, salt="s", restricted_csv=release / "restricted.csv")[0].equals(configured)


def test_restricted_values_stay_out_of_messages(release):
    text = (release / "restricted.csv").read_text().replace("100307,28", "100307,secret")
    (release / "restricted.csv").write_text(text)
    cohort = cohort_of(release, "restricted", target="Age_in_Yrs", task="regression", labels=None)
    with pytest.raises(InputError) as error:
        parse_people(cohort, seed=1)
    assert "100307" in str(error.value)
    assert "secret" not in str(error.value)
    with pytest.raises(InputError) as error:
        parse_people(cohort | {"task": "classification", "labels": ["27", "29"]}, seed=1)
    assert "  - 100307\n" in str(error.value)
    assert "secret" not in str(error.value)


def test_the_report_holds_no_restricted_value(release):
    cohort = cohort_of(release, "restricted", target="Age_in_Yrs", task="regression", labels=None, min_found=0.5)
    participants, report = tabulate(cohort, seed=1, salt="pepper")
    assert participants["target"].tolist() == [27.0, 28.0, 29.0]
    assert report == {
        "rows": 5,
        "dropped": ["100610"],
        "found": 3,
        "missing": {"101006": "no image 101006/MNINonLinear/T1w_restore_brain.nii.gz"},
        "used": 3,
        "classes": None,
        "grouped": True,
        "groups": 2,
        "restricted_target": True,
    }
    for value in ("51_62", "53_64", "55_66"):
        assert value not in str(report) + participants.to_csv()


def test_a_table_that_is_not_the_hcp_s(release):
    (release / "unrestricted.csv").write_text("subject,Gender\n100206,F\n")
    with pytest.raises(InputError, match=r"no column 'Subject'[^$]*Did you mean 'subject'\?"):
        parse_people(cohort_of(release), seed=1)
