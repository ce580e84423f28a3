"""Files appear whole or not at all, ids are plain, streams do not depend on the order of work."""

import gzip
import stat

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError, refuse
from voxplain.base.files import (
    folder_written_whole,
    private_folder,
    read_array,
    read_table,
    write_array,
    write_image,
    write_table,
    written_whole,
)
from voxplain.base.jobs import job_log
from voxplain.base.names import check_ids, check_labels, clean_id
from voxplain.base.progress import Progress, spell_seconds
from voxplain.base.seeds import seed_for, stream


def test_refuse_names_offenders_and_counts_the_rest():
    with pytest.raises(InputError, match="too many") as caught:
        refuse("too many", range(25), "Do less.")
    text = str(caught.value)
    assert "  - 0\n" in text
    assert "and 5 more (25 in all)" in text
    assert text.endswith("Do less.")


@pytest.mark.parametrize("name", ["../../x", "$(x)", "<script>", "", "a b", "a_b", "x" * 65, "é"])
def test_ids_that_could_escape_are_refused(name):
    with pytest.raises(InputError, match="plain letters and digits"):
        check_ids(["100307", name], "people.tsv")


def test_every_duplicate_id_is_named():
    with pytest.raises(InputError) as caught:
        check_ids(["a", "b", "a", "c", "c"], "people.tsv")
    assert "- a\n" in str(caught.value)
    assert "- c\n" in str(caught.value)
    assert "- b" not in str(caught.value)


def test_ids_lose_blanks_and_the_bids_prefix():
    assert clean_id(" sub-IXI012 ") == "IXI012"
    assert clean_id(100307) == "100307"


@pytest.mark.parametrize("label", ["joint", "lowest-third", "a/b", "a_b", "-a", "<b>", ""])
def test_labels_that_cannot_be_file_names_are_refused(label):
    with pytest.raises(InputError, match="class labels"):
        check_labels(["F", label], "cohort.labels")


def test_streams_depend_on_seed_purpose_and_person_only():
    first = stream(1, "jitter", "100307").normal(size=5)
    assert np.array_equal(first, stream(1, "jitter", "100307").normal(size=5))
    others = [stream(2, "jitter", "100307"), stream(1, "noise", "100307"), stream(1, "jitter", "100308")]
    assert all(not np.array_equal(first, other.normal(size=5)) for other in others)
    assert seed_for(1, "ab", "c") != seed_for(1, "a", "bc")
    assert 0 <= seed_for(0) < 2**63


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a" / "table.tsv"
    write_table(pd.DataFrame({"x": [1]}), path)
    before = path.read_bytes()

    def fail():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["table.tsv"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    def fail():
        with folder_written_whole(tmp_path / "maps") as temporary:
            (temporary / "one").write_text("1")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with folder_written_whole(tmp_path / "maps") as temporary:
        (temporary / "one").write_text("1")
    assert (tmp_path / "maps" / "one").read_text() == "1"


def test_tables_keep_ids_as_text_and_missing_values(tmp_path):
    frame = pd.DataFrame({"participant_id": ["007", "100"], "target": ["01", "1"], "size": [0.1 + 0.2, None]})
    write_table(frame, tmp_path / "t.tsv")
    assert "n/a" in (tmp_path / "t.tsv").read_text()
    again = read_table(tmp_path / "t.tsv")
    assert list(again["participant_id"]) == ["007", "100"]
    assert list(again["target"]) == ["01", "1"]
    assert again["size"][0] == 0.1 + 0.2
    assert again["size"].isna()[1]


def test_images_keep_affine_and_equal_volumes_give_equal_files(tmp_path):
    affine = np.array([[-2.0, 0.1, 0, 5], [0.1, 2, 0, -3], [0, 0, 2, 7], [0, 0, 0, 1]])
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_image(data, affine, tmp_path / name)
    image = nib.load(tmp_path / "a.nii.gz")
    assert np.allclose(image.affine, affine, atol=1e-6)
    assert np.array_equal(image.get_fdata(), data)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes())[:4] == (348).to_bytes(4, "little")
    write_image(data > 3, affine, tmp_path / "mask.nii.gz")
    assert nib.load(tmp_path / "mask.nii.gz").get_data_dtype() == np.uint8


def test_compressed_images_have_neither_time_nor_name_and_any_reader_opens_them(tmp_path):
    data = np.random.default_rng(0).normal(size=(20, 21, 22)).astype(np.float32)
    data[:, :7] = 0
    write_image(data, np.eye(4), tmp_path / "plain.nii")
    for level in range(4):
        write_image(data, np.eye(4), tmp_path / "a.nii.gz", compression=level)
        packed = (tmp_path / "a.nii.gz").read_bytes()
        assert packed[:4] == b"\x1f\x8b\x08\x00"  # deflated; no name, no comment
        assert packed[4:8] == bytes(4)  # no time
        assert gzip.decompress(packed) == (tmp_path / "plain.nii").read_bytes()
        np.testing.assert_array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32), data)
    write_image(data, np.eye(4), tmp_path / "usual.nii.gz")
    smallest = len(gzip.compress((tmp_path / "plain.nii").read_bytes(), 6))
    assert (tmp_path / "usual.nii.gz").stat().st_size < 1.05 * smallest


def test_arrays_come_back_memory_mapped(tmp_path):
    write_array(np.eye(3, dtype=np.float32), tmp_path / "x.npy")
    again = read_array(tmp_path / "x.npy")
    assert isinstance(again, np.memmap)
    assert np.array_equal(again, np.eye(3))


def test_private_folders_are_for_the_owner_only(tmp_path):
    folder = private_folder(tmp_path / "private")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_job_log_says_input_errors_without_traceback(tmp_path, capsys):
    def job():
        with job_log(tmp_path / "job.log"):
            print("working")
            raise InputError("no such column: Sex")

    with pytest.raises(SystemExit):
        job()
    log = (tmp_path / "job.log").read_text()
    assert "working" in log
    assert "no such column: Sex" in log
    assert "Traceback" not in log
    assert "no such column: Sex" in capsys.readouterr().err


def test_job_log_keeps_other_tracebacks(tmp_path):
    def job():
        with job_log(tmp_path / "job.log"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        job()
    assert "Traceback" in (tmp_path / "job.log").read_text()


def test_progress_speaks_at_the_end_and_counts_only_new_work(capsys):
    progress = Progress("maps", total=4, done=2, every=1000)
    assert capsys.readouterr().err == "maps 2/4 were finished before\n"
    progress.step()
    assert capsys.readouterr().err == ""
    progress.step(note="loss 0.1")
    assert "maps 4/4 (100 %), 0 s left; loss 0.1" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (65, "1 min 5 s"), (7800, "2 h 10 min")])
def test_durations_are_spelled(seconds, text):
    assert spell_seconds(seconds) == text
