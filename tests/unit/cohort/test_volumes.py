"""Files of a batch: those of a folder, and those that the workflow names one by one."""

from pathlib import Path

import pytest

from voxplain.cohort.volumes import files_of

PEOPLE = {
    "participant_id": ["1", "2", "3"],
    "image": ["1/t1.nii", "2/t1.nii", "3/t1.nii"],
    "mask": [None, "2/m.nii", float("nan")],
}


def test_below_a_folder():
    images, masks = files_of(PEOPLE, "phantom/batch-0")
    assert images == [Path("phantom/batch-0") / path for path in PEOPLE["image"]]
    assert masks == [None, Path("phantom/batch-0/2/m.nii"), None]


def test_one_by_one():
    images, masks = files_of(PEOPLE, ["/a/x.nii", "/b/y.nii", "/c/z.nii"], ["/b/m.nii"])
    assert images == [Path("/a/x.nii"), Path("/b/y.nii"), Path("/c/z.nii")]
    assert masks == [None, Path("/b/m.nii"), None]


@pytest.mark.parametrize(
    ("volumes", "masks"), [(["a", "b"], ["m"]), (["a", "b", "c"], []), (["a", "b", "c"], ["m", "n"])]
)
def test_as_many_files_as_people(volumes, masks):
    with pytest.raises(ValueError, match="came for 3 people, 1 with masks"):
        files_of(PEOPLE, volumes, masks)
