"""fMRIPrep's derivatives: which image of a person is taken, and what is refused."""

import os

import pytest

from voxplain.base.errors import InputError
from voxplain.cohort.bids import check_space, find_images
from voxplain.cohort.people import count_people, data_root, found_people, parse_people, read_roster

ASYM = "MNI152NLin2009cAsym"
DEFAULTS = {
    "participants": None,
    "space": ASYM,
    "session": None,
    "entities": {},
    "suffix": "T1w",
    "group_column": None,
    "size_column": None,
    "age_column": None,
}


def image(folder, person, *parts, session=None, mask=True, suffix="T1w", extension=".nii.gz"):
    """Leave an empty preprocessed image, its mask, and some of what fMRIPrep puts beside them."""
    anat = folder / f"sub-{person}" / (f"ses-{session}" if session else "") / "anat"
    anat.mkdir(parents=True, exist_ok=True)
    stem = "_".join([f"sub-{person}", *([f"ses-{session}"] if session else []), *parts])
    path = anat / f"{stem}_desc-preproc_{suffix}{extension}"
    path.touch()
    for beside in (f"{stem}_desc-preproc_{suffix}.json", f"{stem}_dseg.nii.gz", f"{stem}_label-GM_probseg.nii.gz"):
        (anat / beside).touch()
    if mask:
        (anat / f"{stem}_desc-brain_mask{extension}").touch()
    return str(path.relative_to(folder))


def cohort_of(folder, rows, columns="sex", **settings):
    (folder / "participants.tsv").write_text("\n".join([f"participant_id\t{columns}", *rows]) + "\n")
    bids = DEFAULTS | {"root": str(folder)} | settings
    cohort = {"source": "bids", "target": "sex", "task": "classification", "labels": ["F", "M"], "bids": bids}
    return cohort | {"limit": None, "min_found": 0.5, "on_missing_target": "drop", "restricted_target": False}


def test_everybody_has_an_image_and_its_mask(tmp_path):
    paths = [image(tmp_path, person, f"space-{ASYM}") for person in ("01", "02")]
    for person in ("01", "02"):
        image(tmp_path, person)  # native
        image(tmp_path, person, "space-MNI152NLin6Asym")
    cohort = cohort_of(tmp_path, ["sub-02\tF", "sub-01\tM"])
    assert parse_people(cohort, seed=1)["image"].isna().all()  # nothing is looked for before it is asked for
    found, missing = found_people(cohort, seed=1)
    assert missing.empty
    assert found["participant_id"].tolist() == ["01", "02"]  # maps are called sub-01_map.nii.gz
    assert found["image"].tolist() == paths
    assert found["mask"].tolist() == [path.replace("desc-preproc_T1w", "desc-brain_mask") for path in paths]
    assert data_root(cohort) == tmp_path
    assert count_people(cohort) == 2


def test_counting_people_lists_no_folder(tmp_path, monkeypatch):
    cohort = cohort_of(tmp_path, ["sub-01\tF", "sub-02\tM"])
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("a folder was listed"))
    assert count_people(cohort) == 2


def test_columns_and_empty_cells(tmp_path):
    rows = ["sub-01\tF\t31\tn/a\tx", "sub-02\tn/a\t32\t1.5e6\tx", "sub-03\tM\tn/a\t1.4e6\ty"]
    cohort = cohort_of(
        tmp_path, rows, "sex\tage\ttiv\tfamily", age_column="age", size_column="tiv", group_column="family"
    )
    roster = read_roster(cohort, seed=1)
    assert roster.dropped == ["02"]
    assert roster.size_source == "tiv"
    people = roster.people.astype(object).where(roster.people.notna(), None)
    assert people[["participant_id", "group", "size", "age"]].to_numpy().tolist() == [
        ["01", "x", None, "31"],
        ["03", "y", 1.4e6, None],
    ]
    with pytest.raises(InputError, match=r"cohort\.bids\.age_column: there is no column 'years'"):
        read_roster(cohort_of(tmp_path, rows, "sex\tage\ttiv\tfamily", age_column="years"), seed=1)


def test_the_table_of_the_raw_data_set(tmp_path):
    raw, derivatives = tmp_path / "raw", tmp_path / "derivatives"
    raw.mkdir()
    for person in ("01", "02"):
        image(derivatives, person, f"space-{ASYM}")
    cohort = cohort_of(raw, ["sub-01\tF", "sub-02\tM"]) | {"min_found": 1}
    cohort["bids"]["root"] = str(derivatives)
    with pytest.raises(
        InputError, match=r"cohort\.bids\.participants: .*participants\.tsv does not exist\nfMRIPrep writes no"
    ):
        parse_people(cohort, seed=1)
    cohort["bids"]["participants"] = str(raw / "participants.tsv")
    assert len(found_people(cohort, seed=1)[0]) == 2
    cohort["bids"]["root"] = str(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"cohort\.bids\.root: .*elsewhere is not a folder"):
        found_people(cohort, seed=1)
    cohort["bids"]["participants"] = None
    with pytest.raises(InputError, match=r"cohort\.bids\.root: .*elsewhere is not a folder"):
        parse_people(cohort, seed=1)


def test_sessions(tmp_path):
    settings = DEFAULTS | {"root": str(tmp_path)}
    alone = image(tmp_path, "01", f"space-{ASYM}", session="a")
    none = image(tmp_path, "02", f"space-{ASYM}")
    assert find_images(["01", "02"], settings).images == {"01": alone, "02": none}
    first, second = (image(tmp_path, "03", f"space-{ASYM}", session=session) for session in ("a", "b"))
    image(tmp_path, "04", f"space-{ASYM}", session="a")
    image(tmp_path, "04", f"space-{ASYM}")
    with pytest.raises(InputError) as error:
        find_images(["01", "02", "03", "04"], settings)
    assert "2 people have several images" in str(error.value)
    assert "  - 03: ses-a, ses-b\n  - 04: no ses, ses-a\n" in str(error.value)
    assert "cohort.bids.session" in str(error.value)
    assert "cohort.bids.entities" not in str(error.value)
    places = find_images(["01", "02", "03"], settings | {"session": "ses-a"})
    assert places.images == {"01": alone, "03": first}
    assert places.reasons == {"02": "no folder sub-02/ses-a"}
    assert find_images(["03"], settings | {"session": "b"}).images == {"03": second}


def test_a_session_may_be_a_number(tmp_path):
    path = image(tmp_path, "01", f"space-{ASYM}", session="2")
    image(tmp_path, "01", f"space-{ASYM}", session="1")
    assert find_images(["01"], DEFAULTS | {"root": str(tmp_path), "session": 2}).images == {"01": path}


def test_resolutions_runs_and_their_like(tmp_path):
    settings = DEFAULTS | {"root": str(tmp_path)}
    plain = image(tmp_path, "01", f"space-{ASYM}")
    fine, coarse = (image(tmp_path, "01", f"space-{ASYM}", f"res-{res}") for res in "12")
    runs = [image(tmp_path, "02", f"run-{run}", f"space-{ASYM}", "res-1") for run in ("01", "02")]
    with pytest.raises(InputError) as error:
        find_images(["01", "02"], settings)
    assert "  - 01: no res, res-1, res-2\n  - 02: run-01, run-02\n" in str(error.value)
    assert "cohort.bids.entities: {res: ...} and cohort.bids.entities: {run: ...}" in str(error.value)
    for wanted, path in (({"res": None}, plain), ({"res": 1}, fine), ({"res": "2"}, coarse)):
        assert find_images(["01"], settings | {"entities": wanted}).images == {"01": path}
    for run in (1, "1", "01"):
        places = find_images(["01", "02"], settings | {"entities": {"res": 1, "run": run}})
        assert places.images == {"02": runs[0]}
    assert places.reasons["01"] == (
        f"no image with space-{ASYM}_res-1_run-01 in sub-01, only with space-{ASYM}_no res_no run, "
        f"space-{ASYM}_res-1_no run, space-{ASYM}_res-2_no run"
    )


def test_the_same_name_twice(tmp_path):
    image(tmp_path, "01", f"space-{ASYM}")
    image(tmp_path, "01", f"space-{ASYM}", extension=".nii")
    with pytest.raises(InputError, match=r"01: sub-01/anat/.*T1w\.nii, sub-01/anat/.*T1w\.nii\.gz"):
        find_images(["01"], DEFAULTS | {"root": str(tmp_path)})


def test_other_spaces_and_contrasts(tmp_path):
    settings = DEFAULTS | {"root": str(tmp_path)}
    native = image(tmp_path, "01")
    child = image(tmp_path, "01", "space-MNIPediatricAsym", "cohort-2")
    assert find_images(["01"], settings | {"space": None}).images == {"01": native}
    places = find_images(["01"], settings | {"space": "MNIPediatricAsym"})
    assert places.images == {"01": child}
    assert places.masks == {"01": child.replace("desc-preproc_T1w", "desc-brain_mask")}
    weighted = image(tmp_path, "01", f"space-{ASYM}", suffix="T2w", extension=".nii")
    places = find_images(["01"], settings | {"suffix": "T2w"})
    assert places.images == {"01": weighted}
    assert places.masks["01"].endswith("_desc-brain_mask.nii")


def test_native_images_need_a_registration():
    cohort = {"source": "bids", "bids": DEFAULTS | {"space": None}}
    check_space(cohort, {"align": "affine"})
    check_space({"source": "bids", "bids": DEFAULTS}, {"align": "none"})
    with pytest.raises(InputError, match=r"cohort\.bids\.space: null takes native images.*\nSet images\.align"):
        check_space(cohort, {"align": "none"})


def test_people_without_an_image_are_counted_with_the_reason(tmp_path):
    for person in ("01", "02", "03", "04"):
        image(tmp_path, person, f"space-{ASYM}", mask=person != "04")
    image(tmp_path, "06", "space-MNI152NLin6Asym")
    (tmp_path / "sub-07" / "figures").mkdir(parents=True)
    rows = [f"sub-0{n}\t{'FM'[n % 2]}" for n in range(1, 8)]
    found, missing = found_people(cohort_of(tmp_path, rows) | {"min_found": 0.4}, seed=1)
    assert found["participant_id"].tolist() == ["01", "02", "03"]
    assert missing.to_numpy().tolist() == [
        ["04", f"no mask sub-04/anat/sub-04_space-{ASYM}_desc-brain_mask.nii.gz"],
        ["05", "no folder sub-05"],
        ["06", f"no image with space-{ASYM} in sub-06, only with space-MNI152NLin6Asym"],
        ["07", "no image .._desc-preproc_T1w.nii.gz in sub-07"],
    ]
    with pytest.raises(InputError) as error:
        found_people(cohort_of(tmp_path, rows) | {"min_found": 0.8}, seed=1)
    assert "found for 3 of 7 people" in str(error.value)
    assert "cohort.bids says of the images (root, space, session, entities, suffix)" in str(error.value)


def test_links_of_datalad(tmp_path):
    paths = [image(tmp_path, person, f"space-{ASYM}") for person in ("01", "02", "03")]
    store = tmp_path / ".git" / "annex"
    store.mkdir(parents=True)
    for number, path in enumerate(paths):
        (tmp_path / path).rename(store / str(number))
        (tmp_path / path).symlink_to(store / str(number))
    (store / "2").unlink()
    rows = ["sub-01\tF", "sub-02\tM", "sub-03\tM"]
    found, missing = found_people(cohort_of(tmp_path, rows), seed=1)
    assert found["image"].tolist() == paths[:2]
    assert missing["participant_id"].tolist() == ["03"]
    assert "is a link whose file is not there" in missing["reason"][0]


def test_a_bucket_is_refused_with_the_way_out():
    cohort = {"source": "bids", "target": "sex", "bids": DEFAULTS | {"root": "s3://bucket/derivatives"}}
    with pytest.raises(InputError, match=r"cohort\.bids\.root: s3://bucket.*\nTake cohort\.source: table"):
        parse_people(cohort, seed=1)
    with pytest.raises(InputError, match="lies in a bucket"):
        data_root(cohort)


def test_two_rows_of_one_person(tmp_path):
    with pytest.raises(InputError, match=r"1 participant ids occur more than once\n  - 01"):
        parse_people(cohort_of(tmp_path, ["sub-01\tF", "sub-01\tM"]), seed=1)
