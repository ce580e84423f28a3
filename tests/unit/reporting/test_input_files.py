"""The files that a run takes in: their checksums, and whether it sees that they changed."""

import copy
import gzip
import hashlib
import json
import os
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.imaging.grid import COMMON
from voxplain.imaging.quality import checksum_of
from voxplain.imaging.reading import read_volume
from voxplain.reporting.input_files import (
    Volumes,
    changed_files,
    changed_volumes,
    input_files,
    public_config,
    record_files,
    shown_path,
)

LONG_AGO = 1_000_000_000


def test_files_that_the_config_names_are_found_by_their_settings(study, tmp_path):
    root, config = study
    made = tmp_path / "results" / "x" / "parcels.nii.gz"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"made")
    config["atlases"]["parcels"] = {"image": str(made)}
    assert input_files(config, tmp_path / "results" / "x") == {
        "cohort.hcp.unrestricted_csv": root / "unrestricted.csv",
        "cohort.hcp.restricted_csv": root / "RESTRICTED_jane_1_2.csv",
        "baselines.features.tables.1": root / "unrestricted.csv",
        "atlases.a.image": tmp_path / "atlas.nii.gz",
    }


def test_checksums_are_those_of_the_bytes_and_the_restricted_files_name_is_not_told(study, tmp_path):
    root, config = study
    table = record_files(input_files(config, tmp_path / "results"), root).set_index("setting")
    raw = (root / "unrestricted.csv").read_bytes()
    assert table.loc["cohort.hcp.unrestricted_csv"].to_dict() == {
        "file": "…/HCP_1200/unrestricted.csv",
        "bytes": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    assert table.loc["atlases.a.image", "file"] == "…/atlas.nii.gz"
    assert pd.isna(table.loc["cohort.hcp.restricted_csv", "file"])
    assert len(table.loc["cohort.hcp.restricted_csv", "sha256"]) == 64


@pytest.mark.parametrize("what", ["changed", "gone", "new"])
def test_a_file_that_is_not_what_it_was_is_named_by_its_setting(study, tmp_path, what):
    root, config = study
    recorded = record_files(input_files(config, tmp_path / "results"), root)
    assert changed_files(recorded, input_files(config, tmp_path / "results")) == []
    if what == "new":
        (root / "missing.csv").write_text("Subject\n2\n")
        expected = ["baselines.features.tables.2"]
    elif what == "gone":
        (tmp_path / "atlas.nii.gz").unlink()
        expected = ["atlases.a.image"]
    else:
        status = os.stat(tmp_path / "atlas.nii.gz")
        (tmp_path / "atlas.nii.gz").write_bytes(b"other")  # of the same size and time
        os.utime(tmp_path / "atlas.nii.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
        expected = ["atlases.a.image"]
    assert changed_files(recorded, input_files(config, tmp_path / "results")) == expected


@pytest.fixture
def volumes(tmp_path):
    """Three people with an image each, the last with a mask too; what a run that read them long ago knows of them."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"participant_id": ["a", "b", "c"], "image": ["a.nii.gz", "b.nii", "c.nii.gz"]})
    people["mask"] = [np.nan, np.nan, "c_mask.nii.gz"]
    for name in ["a.nii.gz", "b.nii", "c.nii.gz", "c_mask.nii.gz"]:
        nib.save(nib.Nifti1Image(rng.random((8, 9, 10), dtype=np.float32), COMMON.affine), tmp_path / name)
    files = [[name for name in pair if isinstance(name, str)] for pair in people[["image", "mask"]].to_numpy()]
    checksums = [checksum_of(*(read_volume(tmp_path / name) for name in names)) for names in files]
    read = pd.DataFrame({"participant_id": people["participant_id"], "checksum": checksums, "since": LONG_AGO})
    return tmp_path, people, read


def test_volumes_that_nobody_changed_are_not_counted(volumes):
    root, people, read = volumes
    assert read["checksum"].nunique() == 3
    assert changed_volumes(read, people, root) == Volumes(3, 0, 0)  # all were touched since, and read again


@pytest.mark.parametrize("name", ["a.nii.gz", "b.nii", "c_mask.nii.gz"])
def test_one_voxel_of_an_image_or_a_mask_shows(volumes, name):
    root, people, read = volumes
    image = nib.load(root / name)
    values = image.get_fdata(dtype=np.float32)
    values[3, 4, 5] += 0.001
    nib.save(nib.Nifti1Image(values, image.affine), root / name)
    assert changed_volumes(read, people, root) == Volumes(3, 1, 0)


def test_a_copy_with_the_same_content_is_no_change_however_it_is_packed(volumes):
    root, people, read = volumes
    raw = nib.load(root / "a.nii.gz").to_bytes()
    (root / "a.nii.gz").write_bytes(gzip.compress(raw, 1))
    assert changed_volumes(read, people, root) == Volumes(3, 0, 0)


def test_a_damaged_volume_is_changed_and_a_missing_one_gone(volumes):
    root, people, read = volumes
    (root / "a.nii.gz").write_bytes((root / "a.nii.gz").read_bytes()[:200])
    (root / "c_mask.nii.gz").unlink()
    assert changed_volumes(read, people, root) == Volumes(3, 1, 1)


def test_files_that_nobody_touched_are_not_read_again(volumes, monkeypatch):
    root, people, read = volumes
    monkeypatch.setattr("voxplain.imaging.reading.read_volume", lambda *_: pytest.fail("read again"))
    assert changed_volumes(read.assign(since=4_000_000_000), people, root) == Volumes(3, 0, 0)


def test_people_whose_volume_could_not_be_read_do_not_count(volumes):
    root, people, read = volumes
    read.loc[0, "checksum"] = np.nan
    assert changed_volumes(read, people, root) == Volumes(2, 0, 0)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/data/HCP/100307/T1w.nii.gz", "…/HCP/100307/T1w.nii.gz"),
        ("/data/HCP", "…/HCP"),
        ("/home/jane/a.csv", "…/a.csv"),
        ("~/a.csv", "…/a.csv"),
        ("C:\\jane\\a.csv", "…/a.csv"),
        ("../jane/a.csv", "…/a.csv"),
        ("tables/a.csv", "tables/a.csv"),
    ],
)
def test_paths_tell_no_folder_of_a_machine(path, shown):
    assert shown_path(path, Path("/data/HCP")) == shown


def test_the_config_keeps_its_values_and_loses_its_places(study, tmp_path):
    root, config = study
    before = copy.deepcopy(config)
    shown = public_config(config, root)
    assert config == before
    assert shown["seed"] == 7
    assert shown["cohort"]["hcp"] == {
        "root": "…/HCP_1200",
        "unrestricted_csv": "…/HCP_1200/unrestricted.csv",
        "restricted_csv": "given, not shown",
        "freesurfer_csv": None,
        "image": "{id}/T1w.nii.gz",
    }
    assert shown["baselines"]["features"]["tables"] == ["…/HCP_1200/unrestricted.csv", "…/HCP_1200/missing.csv"]
    assert "jane" not in json.dumps(shown)
    assert str(tmp_path) not in json.dumps(shown)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz"])
@pytest.mark.parametrize("stored", ["int16", "float32"])
@pytest.mark.parametrize("piece", [7, 100, 2**18])
def test_the_checksum_of_a_volume_is_that_of_its_whole_content(tmp_path, monkeypatch, name, stored, piece):
    values = np.random.default_rng(1).integers(0, 900, (8, 9, 10)).astype(stored)
    kind = nib.MGHImage if name.endswith(".mgz") else nib.Nifti1Image
    nib.save(kind(values, COMMON.affine), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    content = raw if name.endswith(".nii") else gzip.decompress(raw)
    monkeypatch.setattr("voxplain.imaging.reading.PIECE", piece)
    assert read_volume(tmp_path / name).checksum == f"crc32:{zlib.crc32(content):08x}"
