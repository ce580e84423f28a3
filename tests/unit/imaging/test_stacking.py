"""Batches on disk, and the cohort as one array."""

import nibabel as nib
import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import read_array, read_table
from voxplain.imaging.grid import COMMON
from voxplain.imaging.quality import COLUMNS, unread
from voxplain.imaging.stacking import Batch, stack, write_batch

IDS = ["s3", "s1", "s5", "s2", "s4"]


def person(participant_id, problem=""):
    """Someone whose volume and brain are a function of the id."""
    if problem:
        row = {"participant_id": participant_id, **unread(problem)}
        return np.zeros(COMMON.shape, np.float32), np.zeros(COMMON.shape, bool), row
    number = int(participant_id[1:])
    data = np.random.default_rng(number).normal(size=COMMON.shape).astype(np.float32)
    brain = np.zeros(COMMON.shape, bool)
    brain[:10, :, :number] = True
    row = dict.fromkeys(COLUMNS, 0.5) | {"participant_id": participant_id, "shape": "2x2x2", "problem": ""}
    return data, brain, row


@pytest.fixture
def batches(tmp_path):
    """Function: people (lists of ids, a batch each; id -> problem) to batches on disk."""

    def make(cut, problems=None, name="b"):
        made = []
        for i, ids in enumerate(cut):
            stem = f"{name}{i}"
            made.append(Batch(*(tmp_path / f"{stem}{end}" for end in (".npy", ".tsv", "_brains.npy"))))
            write_batch((person(p, (problems or {}).get(p, "")) for p in ids), len(ids), made[-1])
        return made

    return make


def test_a_batch_on_disk(batches):
    (batch,) = batches([["s2", "s1"]])
    volumes = read_array(batch.volumes)
    assert (volumes.shape, volumes.dtype) == ((2, *COMMON.shape), np.float32)
    np.testing.assert_array_equal(volumes[1], person("s1")[0])
    np.testing.assert_array_equal(read_array(batch.brains), person("s1")[1].astype(int) + person("s2")[1])
    assert list(read_table(batch.table)["participant_id"]) == ["s2", "s1"]


def test_the_number_of_people_is_kept(tmp_path):
    batch = Batch(tmp_path / "a.npy", tmp_path / "a.tsv", tmp_path / "brains.npy")
    with pytest.raises(ValueError, match="1 people came where 2 were announced"):
        write_batch([person("s1")], 2, batch)
    assert list(tmp_path.iterdir()) == []


def test_the_stack_is_sorted_and_whole(batches, tmp_path):
    index = stack(batches([IDS[:2], IDS[2:]]), tmp_path / "images")
    images = tmp_path / "images"
    assert sorted(path.name for path in images.iterdir()) == [
        "brain_mask.nii.gz",
        "excluded.tsv",
        "index.tsv",
        "mean.nii.gz",
        "stack.npy",
    ]
    assert list(index["participant_id"]) == sorted(IDS)
    assert list(read_table(images / "index.tsv").columns) == list(COLUMNS[:-1])
    volumes = read_array(images / "stack.npy")
    assert volumes.shape == (5, *COMMON.shape)
    for row, participant_id in enumerate(sorted(IDS)):
        np.testing.assert_array_equal(volumes[row], person(participant_id)[0])
    mean = nib.load(images / "mean.nii.gz")
    np.testing.assert_allclose(mean.get_fdata(), volumes.mean(axis=0, dtype=float), atol=1e-6)
    np.testing.assert_allclose(mean.affine, COMMON.affine, atol=1e-5)
    # Brains reach up to slice 1, 2, 3, 4, 5 of the last axis: three of five people have brain in the third.
    mask = nib.load(images / "brain_mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    expected = np.zeros(COMMON.shape)
    expected[:10, :, :3] = 1
    np.testing.assert_array_equal(mask.get_fdata(), expected)
    assert len(read_table(images / "excluded.tsv")) == 0


def test_half_of_the_people_are_no_majority(batches, tmp_path):
    stack(batches([["s1", "s2"]]), tmp_path / "images")
    mask = nib.load(tmp_path / "images" / "brain_mask.nii.gz").get_fdata()
    assert mask[0, 0].tolist() == [1] + [0] * (COMMON.shape[2] - 1)


@pytest.mark.parametrize("cut", [[IDS], [[i] for i in IDS], [["s5", "s1"], ["s2", "s3", "s4"]]])
def test_the_stack_does_not_depend_on_the_cut(batches, tmp_path, cut):
    stack(batches([IDS[:3], IDS[3:]], name="x"), tmp_path / "one")
    stack(batches(cut, name="y"), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


PROBLEMS = {"s1": "a.nii: does not exist", "s4": "overlaps with Dice 0.3 only"}


def test_bad_images_stop_the_run_by_name(batches, tmp_path):
    with pytest.raises(InputError) as refusal:
        stack(batches([IDS[:2], IDS[2:]], PROBLEMS), tmp_path / "images")
    message = str(refusal.value)
    assert message.startswith("2 of 5 images cannot be used")
    assert "s1: a.nii: does not exist" in message
    assert "s4: overlaps with Dice 0.3 only" in message
    assert "images.on_bad_image: exclude" in message
    assert not (tmp_path / "images").exists()


def test_bad_images_are_left_out(batches, tmp_path):
    index = stack(batches([IDS[:2], IDS[2:]], PROBLEMS), tmp_path / "images", on_bad_image="exclude")
    assert list(index["participant_id"]) == ["s2", "s3", "s5"]
    assert read_array(tmp_path / "images" / "stack.npy").shape[0] == 3
    excluded = read_table(tmp_path / "images" / "excluded.tsv")
    assert dict(zip(excluded["participant_id"], excluded["problem"], strict=True)) == PROBLEMS
    mask = nib.load(tmp_path / "images" / "brain_mask.nii.gz").get_fdata()
    assert mask[0, 0, :6].tolist() == [1, 1, 1, 0, 0, 0]


def test_too_few_people_left(batches, tmp_path):
    with pytest.raises(InputError, match=r"only 3 usable images are left; at least 4 are needed(.|\n)*s4: overlaps"):
        stack(batches([IDS], PROBLEMS), tmp_path / "images", on_bad_image="exclude", min_people=4)


def test_ids_that_occur_twice(batches, tmp_path):
    with pytest.raises(InputError, match=r"2 participant ids occur more than once(.|\n)*- s1\n  - s2"):
        stack(batches([["s1", "s2", "s3"], ["s2", "s1"]]), tmp_path / "images")


def test_files_that_do_not_belong_together(batches, tmp_path):
    first, second = batches([["s1", "s2"], ["s3"]])
    mixed = Batch(first.volumes, second.table, first.brains)
    with pytest.raises(InputError, match=r"do not belong together(.|\n)*b0.npy: float32 \(2, 58, 70, 58\), expected"):
        stack([mixed, second], tmp_path / "images")


def test_settings_and_nothing(batches, tmp_path):
    with pytest.raises(InputError, match=r"images.on_bad_image: 'ignore'"):
        stack(batches([["s1"]]), tmp_path / "images", on_bad_image="ignore")
    with pytest.raises(InputError, match="no batches"):
        stack([], tmp_path / "images")
