"""Head sizes from a table of their own, and what the images say where no table does."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.cohort.head_size import (
    check_size_settings,
    estimate_head_size,
    estimate_kind,
    head_size_is_obtainable,
)
from voxplain.cohort.people import parse_people, read_roster
from voxplain.imaging.grid import COMMON, HCP, MM3_PER_ML, MNI_BRAIN_ML, mni_brain

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
PHANTOM = {"source": "phantom", "target": "Gender", "task": "classification", "labels": ["F", "M"], "limit": None}
PHANTOM |= {"phantom": {"people": 6}}
MNI, ACPC = {"align": "none", "space": "mni"}, {"align": "none", "space": "acpc"}
AFFINE, RIGID = {"align": "affine", "space": "mni"}, {"align": "rigid", "space": "mni"}


@pytest.fixture
def cohort(tmp_path):
    """Three people of a table that knows two head sizes itself, and a table of sizes that also has a stranger."""
    (tmp_path / "people.tsv").write_text("participant_id\tdx\ttiv\nsub-01\tA\t1e6\nsub-02\tB\tn/a\nsub-03\tB\t3e6\n")
    (tmp_path / "sizes.csv").write_text("\ufeffwho;ICV;text\n03;1500000.5;x\nsub-01;1.4e6;y\n99;big;z\n")
    for person in ("01", "02", "03"):
        (tmp_path / f"{person}.nii").touch()
    table = {"file": str(tmp_path / "people.tsv"), "image_pattern": "{id}.nii", "size_column": "tiv"}
    size = {"file": str(tmp_path / "sizes.csv"), "id_column": "who", "column": "ICV", "estimate": "auto"}
    cohort = {"source": "table", "target": "dx", "task": "classification", "labels": ["A", "B"], "limit": None}
    return cohort | {"table": table, "size": size}


def with_size(cohort, **changes):
    return cohort | {"size": cohort["size"] | changes}


def test_the_table_of_sizes_comes_before_the_sources_own(cohort):
    roster = read_roster(cohort, seed=1)
    assert roster.people["participant_id"].tolist() == ["01", "02", "03"]
    np.testing.assert_array_equal(roster.people["size"], [1.4e6, np.nan, 1500000.5])
    assert roster.size_source == "ICV"


@pytest.mark.parametrize("size", [{}, {"file": None, "column": None, "id_column": "participant_id"}, None])
def test_without_a_table_the_sources_own_sizes_stay(cohort, size):
    people = parse_people(cohort | {"size": size}, seed=1)
    np.testing.assert_array_equal(people["size"], [1e6, np.nan, 3e6])
    del cohort["size"]
    pd.testing.assert_frame_equal(parse_people(cohort, seed=1), people)


def test_sizes_that_are_replaced_may_be_broken(cohort, tmp_path):
    text = (tmp_path / "people.tsv").read_text().replace("\t1e6\n", "\tsmall\n")
    (tmp_path / "people.tsv").write_text(text)
    assert parse_people(cohort, seed=1)["size"][0] == 1.4e6
    with pytest.raises(InputError, match="'small'"):
        parse_people(with_size(cohort, file=None, column=None), seed=1)


def test_cells_that_are_no_head_size_are_all_named(cohort, tmp_path):
    (tmp_path / "sizes.csv").write_text("who,ICV\n01,-5\n02,1.5 l\n03,inf\n98,small\n")
    with pytest.raises(InputError) as error:
        parse_people(cohort, seed=1)
    message = str(error.value)
    assert "'ICV' of cohort.size.file" in message
    assert "not a positive number (mm³) for 3 people\n  - 01: '-5'\n  - 02: '1.5 l'\n  - 03: 'inf'\n" in message
    for cell in ("0", "nan(1)"):
        (tmp_path / "sizes.csv").write_text(f"who,ICV\n01,{cell}\n")
        with pytest.raises(InputError, match="for 1 people"):
            parse_people(cohort, seed=1)


def test_a_table_of_other_people_is_refused(cohort, tmp_path):
    (tmp_path / "sizes.csv").write_text("who,code,ICV\n1,01,5e5\n2,02,5e5\n")
    message = r"has none of the 3 people(.|\n)*  - 1\n  - 2\n(.|\n)*begin with 01, 02, 03. Set cohort.size.id_column"
    with pytest.raises(InputError, match=message):
        parse_people(cohort, seed=1)
    assert parse_people(with_size(cohort, id_column="code"), seed=1)["size"].tolist()[:2] == [5e5, 5e5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": None}, r"cohort.size.file: .*sizes.csv was given, but not which"),
        ({"file": None}, "cohort.size.column: 'ICV' was given without the table"),
        ({"column": "icv"}, r"cohort.size.column: there is no column 'icv'(.|\n)*Did you mean 'ICV'"),
        ({"id_column": "id"}, "cohort.size.id_column: there is no column 'id'"),
        ({"file": "nowhere.tsv"}, "cohort.size.file: nowhere.tsv does not exist"),
    ],
)
def test_settings_of_the_table(cohort, changes, message):
    with pytest.raises(InputError, match=message):
        parse_people(with_size(cohort, **changes), seed=1)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3])
def test_sizes_in_litres_ml_or_by_mistake_are_refused(cohort, tmp_path, factor):
    (tmp_path / "sizes.csv").write_text(f"who,ICV\n01,{1.3e6 * factor}\n02,{1.5e6 * factor}\n03,{1.6e6 * factor}\n")
    median = re.escape(f"{1.5e6 * factor:g}")
    with pytest.raises(InputError, match=rf"head size 'ICV' of .* the median is {median}, which cannot be mm³"):
        parse_people(cohort, seed=1)


@pytest.mark.parametrize("sizes", [("2e5", "3e5", "n/a"), ("3.9e6", "3.9e6", "50"), ("n/a", "n/a", "n/a")])
def test_newborns_single_odd_values_and_unknown_sizes_pass(cohort, tmp_path, sizes):
    rows = "".join(f"0{n},{size}\n" for n, size in enumerate(sizes, start=1))
    (tmp_path / "sizes.csv").write_text("who,ICV\n" + rows)
    assert parse_people(cohort, seed=1)["size"].isna().tolist() == [size == "n/a" for size in sizes]


INDEX = pd.DataFrame({"participant_id": ["02", "01"], "brain_volume_ml": [1500.0, 1200.5], "scale": [0.8, 0.5]})


def test_estimates_in_closed_form():
    sizes, source = estimate_head_size(INDEX, "affine", "syn", "mni")
    assert source == "affine determinant"
    assert sizes.to_dict() == pytest.approx({"02": 0.8 * 1.883e6, "01": 0.5 * 1.883e6})
    sizes, source = estimate_head_size(INDEX, "mask", "rigid", "mni")
    assert source == "brain mask"
    assert sizes.to_dict() == pytest.approx({"02": 1.5e6, "01": 1.2005e6})
    sizes, source = estimate_head_size(INDEX, "never", "affine", "mni")
    assert source == ""
    assert sizes.isna().all()
    assert sizes.index.tolist() == ["02", "01"]


def heads(people, spread, column="scale"):
    """An index of heads around 0.7 (or 700 ml) with a standard deviation of `spread` times the mean."""
    values = np.linspace(-1, 1, people)
    values = 1 + spread * values / values.std(ddof=1)
    index = pd.DataFrame(
        {"participant_id": [f"{n:02d}" for n in range(people)], "brain_volume_ml": np.nan, "scale": 1.0}
    )
    return index.assign(**{column: values * (700 if column == "brain_volume_ml" else 0.7)})


@pytest.mark.parametrize(("how", "align", "column"), [("affine", "syn", "scale"), ("mask", "rigid", "brain_volume_ml")])
def test_heads_of_one_size_were_normalised_before(how, align, column):
    sizes, source = estimate_head_size(heads(10, 0.029, column), "auto", align, "mni")
    assert source == ""
    assert sizes.isna().all()
    with pytest.raises(
        InputError, match=rf"cohort.size.estimate: {how} finds heads of nearly the same size[^$]*under 3%"
    ):
        estimate_head_size(heads(10, 0.029, column), how, align, "mni")
    for estimate in ("auto", how):  # as in people, or too few to tell
        for index in (heads(10, 0.031, column), heads(9, 0.001, column)):
            assert estimate_head_size(index, estimate, align, "mni")[0].notna().all()


def test_spread_is_that_of_people_whose_size_is_known():
    index = heads(10, 0.001)
    index.loc[0, "scale"] = np.nan
    assert estimate_head_size(index, "affine", "affine", "mni")[0].notna().sum() == 9
    with pytest.raises(InputError, match="nearly the same size"):
        estimate_head_size(pd.concat([index, heads(10, 0.001)]), "affine", "affine", "mni")


def test_what_is_missing_stays_missing():
    index = INDEX.assign(scale=[np.nan, 0.5])
    assert estimate_head_size(index, "affine", "affine", "mni")[0].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("align", "space", "kind"),
    [
        ("none", "mni", None),
        ("none", "acpc", "mask"),
        ("rigid", "mni", "mask"),
        ("rigid", "acpc", "mask"),
        ("affine", "mni", "affine"),
        ("syn", "acpc", "affine"),
    ],
)
def test_auto_takes_what_the_images_still_hold(align, space, kind):
    assert estimate_kind("auto", align, space) == kind
    assert estimate_kind("never", align, space) is None
    if kind == "affine":  # measured before the registration
        assert estimate_kind("mask", align, space) == "mask"
    else:
        with pytest.raises(InputError, match=f"images.align is {align}"):
            estimate_kind("affine", align, space)


def test_a_mask_in_mni_space_is_refused(cohort):
    for call in (lambda: estimate_head_size(INDEX, "mask", "none", "mni"), lambda: planned(cohort, MNI, "mask")):
        with pytest.raises(InputError, match=r"a mask in MNI space has lost head size[^$]*or estimate: auto"):
            call()
    with pytest.raises(InputError, match="'brain' is not one of auto, mask, affine, never"):
        planned(cohort, ACPC, "brain")


def planned(cohort, images, estimate):
    check_size_settings(with_size(cohort, estimate=estimate), images)


def test_settings_are_checked_before_anything_is_read(cohort):
    cohort["size"]["file"] = "nowhere.tsv"
    planned(cohort, ACPC, "mask")
    planned(cohort, AFFINE, "affine")
    check_size_settings({}, MNI)
    with pytest.raises(InputError, match=r"images.align is rigid"):
        planned(cohort, RIGID, "affine")
    with pytest.raises(InputError, match="not which of its columns"):
        check_size_settings(with_size(cohort, column=None), MNI)


def test_obtainable_when_a_table_or_the_images_know_it(cohort, tmp_path):
    assert head_size_is_obtainable(cohort, MNI)
    assert head_size_is_obtainable(with_size(cohort, file=None, column=None), MNI)
    nothing = with_size(cohort, file=None, column=None) | {"table": {**cohort["table"], "size_column": None}}
    assert not head_size_is_obtainable(nothing, MNI)
    assert not head_size_is_obtainable(with_size(nothing, estimate="never"), AFFINE)
    for images in (ACPC, RIGID, AFFINE):
        assert head_size_is_obtainable(nothing, images)
    (tmp_path / "sizes.csv").write_text("who,ICV\n01,n/a\n99,5\n")
    assert not head_size_is_obtainable(cohort, MNI)
    roster = read_roster(with_size(cohort, file=None, column=None), seed=1)
    assert head_size_is_obtainable(cohort, MNI, roster)  # the roster counts, nothing is read
    assert head_size_is_obtainable(PHANTOM, MNI)


def test_planning_imports_nothing_heavy():
    code = (
        "import sys; import voxplain.cohort.head_size;"
        "heavy = {'torch', 'nibabel', 'nilearn', 'sklearn', 'scipy', 'matplotlib', 'ants'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_mni_brains_volume_is_that_of_its_mask():
    voxel_ml = abs(np.linalg.det(COMMON.affine[:3, :3])) / MM3_PER_ML
    assert np.count_nonzero(mni_brain()) * voxel_ml == pytest.approx(MNI_BRAIN_ML, rel=0.01)
    fine_ml = abs(np.linalg.det(HCP.affine[:3, :3])) / MM3_PER_ML
    assert np.count_nonzero(mni_brain(HCP.shape)) * fine_ml == pytest.approx(MNI_BRAIN_ML, rel=0.001)
