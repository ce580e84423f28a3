"""Measurements of known volumes, and brains that lie elsewhere."""

import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.imaging.quality import COLUMNS, expected_place, measure, unread
from voxplain.imaging.reading import Volume

VOXEL_ML = abs(np.linalg.det(COMMON.affine[:3, :3])) / 1000


def measured(data, space="mni", **options):
    return measure(Volume(data, COMMON.affine), data, data != 0, space, **options)


def test_the_mni_brain_itself(brain):
    row = measured(brain)
    assert list(row) == [column for column in COLUMNS if column != "participant_id"]
    assert row["shape"] == "58x70x58"
    assert row["voxel_mm"] == "3.14x3.11x3.14"
    assert row["orientation"] == "LAS"
    assert (row["min"], row["max"]) == (0, pytest.approx(brain.max()))
    assert row["brain_volume_ml"] == pytest.approx(np.count_nonzero(brain) * VOXEL_ML, abs=0.1)
    assert (row["dice"], row["distance_mm"], row["problem"]) == (1, 0, "")
    assert np.isnan(row["scale"])


def test_the_scale_of_the_registration_stands_beside_the_volume(brain):
    assert COLUMNS.index("scale") == COLUMNS.index("brain_volume_ml") + 1
    assert measured(brain, align="affine", scale=0.81236)["scale"] == 0.8124


def test_what_is_known_already_is_not_measured_otherwise(brain):
    known = Volume(brain, COMMON.affine, (float(brain.min()), float(brain.max())))
    row = measure(known, brain, brain != 0, "mni", inside=brain != 0)
    assert str(row) == str(measured(brain))


def test_orientation_is_that_of_the_file(brain):
    affine = np.array([[0, 0, 2.0, -60], [-2.0, 0, 0, 80], [0, 2.0, 0, -60], [0, 0, 0, 1]])
    assert measure(Volume(brain, affine), brain, brain != 0, "mni")["orientation"] == "PSR"


def test_dice_and_distance_of_a_shifted_brain(brain):
    shifted = np.roll(brain, 4, axis=2)
    row = measured(shifted, "acpc")
    overlap = 2 * np.sum((shifted != 0) & mni_brain()) / (2 * mni_brain().sum())
    assert row["dice"] == pytest.approx(overlap, abs=1e-4)
    assert row["distance_mm"] == pytest.approx(4 * COMMON.voxel_size()[2], abs=0.01)
    assert "12.6 mm from the MNI brain's centre (expected 10 mm at most)" in row["problem"]
    assert "images.align: affine" in row["problem"]
    # The same brain may lie there when the setting allows it, and its overlap is too little for MNI space.
    assert measured(shifted, "acpc", max_distance_mm=13)["problem"] == ""
    assert "Dice" in measured(shifted, "mni")["problem"]
    assert measured(shifted, "mni", min_overlap=overlap - 0.01)["problem"] == ""


def test_the_advice_fits_the_alignment(brain):
    shifted = np.roll(brain, 6, axis=1)
    assert "not in mni space" in measured(shifted)["problem"]
    assert "rigid alignment keeps the size" in measured(shifted, align="rigid")["problem"]
    assert "affine alignment failed" in measured(shifted, align="affine")["problem"]


def test_a_whole_head_is_told_to_be_stripped(brain):
    head = brain + 5
    problem = measured(head)["problem"]
    assert "non-zero voxels fill 7211 ml" in problem
    assert "skull-stripped images or a column of brain masks" in problem
    assert "images.align" not in problem
    # With a mask the brain is what the mask says.
    mask = Volume((brain != 0).astype(np.float32), COMMON.affine)
    assert measure(Volume(head, COMMON.affine), brain, brain != 0, "mni", mask=mask)["problem"] == ""


def test_no_brain_in_the_field_of_view(brain):
    row = measure(Volume(brain, COMMON.affine), 0 * brain, brain > 1e9, "mni")
    assert "no brain within the field of view" in row["problem"]
    assert np.isnan(row["dice"])


def test_defaults_by_space():
    assert expected_place("mni") == (0.9, None)
    assert expected_place("acpc") == (0.7, 10)
    assert expected_place("acpc", 0.8, 5) == (0.8, 5)
    with pytest.raises(InputError, match=r"images.space: 'talairach' is not one of mni, acpc"):
        expected_place("talairach")


def test_an_unread_volume_has_a_row_of_one_line():
    row = unread("a.nii: bad\n  - thing")
    assert row["problem"] == "a.nii: bad - thing"
    assert {row[column] for column in COLUMNS[1:-1]} == {None}
