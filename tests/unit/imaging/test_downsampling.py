"""From files to rows, and bad files to problems."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from batches import downsample_batch
from voxplain.base.errors import InputError
from voxplain.imaging import downsampling
from voxplain.imaging.downsampling import downsample, downsample_each
from voxplain.imaging.grid import COMMON
from voxplain.imaging.quality import COLUMNS


@pytest.fixture
def people(save, brain, tmp_path):
    """Three good people, one missing, one misplaced: (images, masks, ids)."""
    good = [save(f"{i}.nii.gz", brain * (1 + i)) for i in range(3)]
    misplaced = save("far.nii.gz", np.roll(brain, 12, axis=2))
    return [good[0], tmp_path / "gone.nii.gz", good[1], misplaced, good[2]], [None] * 5, ["a", "b", "c", "d", "e"]


def test_bad_volumes_become_rows(people):
    volumes, table = downsample_batch(*people)
    assert volumes.shape == (5, *COMMON.shape)
    assert volumes.dtype == np.float32
    assert list(table.columns) == list(COLUMNS)
    assert list(table["participant_id"]) == people[2]
    assert list(table["problem"] == "") == [True, False, True, False, True]
    assert "gone.nii.gz: does not exist" in table["problem"][1]
    assert "images.align: affine" in table["problem"][3]
    assert table["dice"].isna().tolist() == [False, True, False, False, False]
    assert not volumes[[1, 3]].any()
    # z-scores forget the gain by which the good people differ.
    np.testing.assert_allclose(volumes[2], volumes[0], atol=1e-4)


def test_a_person_does_not_depend_on_the_batch(people):
    images, masks, ids = people
    volumes, table = downsample_batch(images, masks, ids, intensity="none")
    order = [4, 0, 2]
    again, again_table = downsample_batch(
        [images[i] for i in order], [None] * 3, [ids[i] for i in order], intensity="none"
    )
    np.testing.assert_array_equal(again, volumes[order])
    assert again_table.equals(table.iloc[order].reset_index(drop=True).astype(again_table.dtypes))


def test_people_of_other_sizes_share_memory_but_no_values(save, brain):
    """Volumes of three sizes, one with a mask, in a batch: each as when it is alone; earlier results stay."""
    corner = COMMON.affine.copy()
    corner[:3, 3] = (COMMON.affine @ [2, 2, 2, 1])[:3]
    files = [
        save("a.nii.gz", brain),
        save("b.nii.gz", brain[2:-2, 2:-2, 2:-2] + 7, corner),
        save("c.nii.gz", np.pad(brain, [(0, 5)] * 3) * 2),
        save("d.nii.gz", brain + np.float32(3)),
    ]
    masks = [None, save("mb.nii.gz", (brain != 0).astype(np.uint8)[2:-2, 2:-2, 2:-2], corner), None, None]
    masks[3] = save("md.nii.gz", (brain != 0).astype(np.uint8))
    people = list(downsample_each(files, masks, list("abcd"), intensity="none"))
    for (data, inside, row), file, mask, name in zip(people, files, masks, "abcd", strict=True):
        alone = downsample(file, mask, name, intensity="none")
        assert row["problem"] == ""
        np.testing.assert_array_equal(data, alone[0])
        np.testing.assert_array_equal(inside, alone[1])
        assert str(row) == str(alone[2])


def test_intensities_as_in_the_file(people, brain):
    data, inside, row = downsample(people[0][2], None, "c", intensity="none")
    np.testing.assert_allclose(data, 2 * brain, atol=1e-3)
    np.testing.assert_array_equal(inside, brain != 0)
    assert row["participant_id"] == "c"


def test_a_mask_strips_the_head(save, brain):
    head, mask = save("head.nii.gz", brain + 50), save("mask.nii.gz", (brain != 0).astype(np.uint8))
    data, inside, row = downsample(head, mask, "a", intensity="none")
    assert row["problem"] == ""
    np.testing.assert_array_equal(inside, brain != 0)
    np.testing.assert_allclose(data, (brain + 50) * (brain != 0), atol=1e-3)
    assert "skull-stripped" in downsample(head, None, "a")[2]["problem"]


def test_a_mask_of_another_grid_is_a_problem(save, brain):
    image = save("a.nii.gz", brain)
    flipped = save("mask.nii.gz", (brain != 0).astype(np.uint8), COMMON.affine @ np.diag([-1, 1, 1, 1]))
    problem = downsample(image, flipped, "a")[2]["problem"]
    assert "mask.nii.gz: the brain mask lies on another grid" in problem
    empty = save("empty.nii.gz", np.zeros(brain.shape, np.uint8))
    assert "empty.nii.gz: is empty" in downsample(image, empty, "a")[2]["problem"]


def test_the_scale_of_the_registration_is_kept(people, brain, monkeypatch):
    monkeypatch.setattr(downsampling, "align_to_mni", lambda *arguments: (brain, brain != 0, 0.8123))
    assert downsample(people[0][0], None, "a", align="affine")[2]["scale"] == 0.8123
    assert np.isnan(downsample(people[0][0], None, "a")[2]["scale"])


@pytest.mark.parametrize("setting", [{"align": "elastic"}, {"space": "native"}, {"intensity": "minmax"}])
def test_wrong_settings_stop_everything(people, setting):
    (name, value) = next(iter(setting.items()))
    with pytest.raises(InputError, match=f"images.{name}: '{value}' is not one of"):
        downsample_batch(*people, **setting)


def test_lists_of_different_lengths(people):
    with pytest.raises(ValueError, match="zip"):
        downsample_batch(people[0][:3], people[1], people[2])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_peak_memory_on_the_hcp_grid(tmp_path):
    """One process reads three volumes of 260×311×260 float32, with masks, and stays far below 1 GiB."""
    program = """
import sys
import numpy as np
from pathlib import Path
from isal import igzip
from voxplain.base.files import read_table
from voxplain.imaging.downsampling import downsample_each
from voxplain.imaging.grid import COMMON, HCP, mni_brain, resample_to
from voxplain.imaging.stacking import Batch, write_batch
folder = Path(sys.argv[1])
def write():
    import nibabel as nib
    data = resample_to(mni_brain().astype(np.float32), COMMON.affine, HCP)
    image = nib.Nifti1Image(np.where(data > 0.5, data * 700, 0).astype(np.float32), HCP.affine)
    (folder / "a.nii.gz").write_bytes(igzip.compress(image.to_bytes(), 0))
if sys.argv[2] == "write":
    write()
else:
    paths = [folder / "a.nii.gz"] * 3
    batch = Batch(folder / "b.npy", folder / "b.tsv", folder / "brains.npy")
    people = downsample_each(paths, paths, ["a", "b", "c"], align="none", space="mni", intensity="zscore")
    write_batch(people, 3, batch)
    problems = list(read_table(batch.table)["problem"])
    assert problems == ["", "", ""], problems
    # Not getrusage: its peak starts with that of the process that this one was forked from.
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    library = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
    for step in ("write", "read"):
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path, step],
            env={"PYTHONPATH": str(library)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2**20 * 0.75  # KiB
