"""Files that somebody writes to while they are read are told, and never left out as bad ones."""

import os

import numpy as np
import pytest

from batches import downsample_batch
from voxplain.base.errors import InputError
from voxplain.base.jobs import job_log
from voxplain.imaging import reading
from voxplain.imaging.downsampling import downsample_each
from voxplain.imaging.reading import Changed, read_volume
from voxplain.imaging.stacking import Batch, write_batch


def write_again(path):
    """Give a file another time, as a copy over it would."""
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 10**6))


@pytest.fixture
def people(save, brain):
    return [save(f"{i}.nii.gz", brain * (1 + i)) for i in range(3)], [None] * 3, ["a", "b", "c"]


def test_a_volume_that_changes_while_it_is_read(save, brain, monkeypatch):
    path, real = save("a.nii.gz", brain), reading._read
    monkeypatch.setattr(reading, "_read", lambda *arguments: (real(*arguments), write_again(path))[0])
    with pytest.raises(Changed, match=r"changed while it was read:\n  - .*a\.nii\.gz\nAnother program writes there"):
        read_volume(path)


def test_a_volume_that_changes_and_is_damaged_therefore(save, brain, monkeypatch):
    path, real = save("a.nii", brain), reading._read

    def cut_and_read(*arguments):
        path.write_bytes(path.read_bytes()[:9000])
        return real(*arguments)

    monkeypatch.setattr(reading, "_read", cut_and_read)
    with pytest.raises(Changed):
        read_volume(path)
    monkeypatch.undo()
    with pytest.raises(InputError, match="truncated") as caught:
        read_volume(path)
    assert not isinstance(caught.value, Changed)


def test_a_volume_that_changes_is_not_left_out_of_its_batch(people, monkeypatch):
    real = reading._read

    def read(path, memory):
        volume = real(path, memory)
        if path.name == "1.nii.gz":
            write_again(path)
        return volume

    monkeypatch.setattr(reading, "_read", read)
    with pytest.raises(Changed, match=r"1\.nii\.gz"):
        downsample_batch(*people)


@pytest.mark.parametrize("change", [write_again, os.remove, lambda path: path.write_bytes(b"other")])
def test_a_volume_that_changes_before_its_batch_is_written(people, tmp_path, change, capsys):
    """Snakemake would not see it: the batch is younger than the change."""
    images = people[0]

    def changing():
        for i, person in enumerate(downsample_each(*people)):
            if i == 1:
                change(images[0])
            yield person

    batch = Batch(*(tmp_path / "out" / name for name in ("b.npy", "b.tsv", "brains.npy")))
    with pytest.raises(SystemExit), job_log(tmp_path / "job.log"):
        write_batch(changing(), 3, batch)
    said = capsys.readouterr().err
    assert "changed while it was read" in said
    assert "0.nii.gz" in said
    assert "1.nii.gz" not in said
    assert "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []


def test_a_mask_of_several_people_counts_from_its_first_reading(people, save, brain):
    mask = save("mask.nii.gz", (brain != 0).astype(np.uint8))
    people = downsample_each(people[0], [mask] * 3, people[2])
    next(people)
    write_again(mask)
    with pytest.raises(Changed, match=r"mask\.nii\.gz"):
        list(people)
