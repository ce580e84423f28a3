"""What a job says when the machine refuses, and what killed jobs leave behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import NotWritten, folder_written_whole, write_array, write_table, write_text, written_whole
from voxplain.base.jobs import job_log
from voxplain.base.plain_words import in_plain_words, is_out_of_memory, spell_bytes

LIBRARY = Path(__file__).resolve().parents[3] / "workflow" / "scripts"


def run_job(log, function):
    """Run a function as a job does and return its exit status."""
    with pytest.raises(SystemExit) as ended, job_log(log):
        function()
    return ended.value.code


def refusing(number):
    def save(file, array, **options):
        file.write(b"half")
        file.flush()
        raise OSError(number, os.strerror(number))

    return save


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "Free some space (this file needs about 8 kB)"),
        (errno.EDQUOT, "Your quota is used up: delete something (this file needs about 8 kB)"),
        (errno.EROFS, "choose one that can be written to (--directory)"),
        (errno.EACCES, "Give yourself the right"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_what_cannot_be_written_is_said_plainly(tmp_path, monkeypatch, capsys, number, said):
    monkeypatch.setattr(np, "save", refusing(number))
    path = tmp_path / "results" / "stack.npy"
    assert run_job(tmp_path / "job.log", lambda: write_array(np.zeros(1000), path)) == 1
    terminal, log = capsys.readouterr().err, (tmp_path / "job.log").read_text()
    assert "Traceback" in (tmp_path / "job.log.traceback").read_text()
    assert f"{os.strerror(number)} while writing {path}" in terminal
    assert said in terminal
    assert ("4 bytes written" in terminal) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert "Traceback" not in terminal
    assert "Traceback" not in log  # Snakemake shows it on the terminal
    assert f"while writing {path}" in log
    assert list(path.parent.iterdir()) == []


def test_of_a_file_of_unknown_size_it_is_said_how_much_was_written(tmp_path):
    def write():
        with written_whole(tmp_path / "a.svg") as path:
            path.write_bytes(bytes(1500))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NotWritten) as caught:
        write()
    assert "(this file needs more than 1.5 kB)" in in_plain_words(caught.value)
    assert "1.5 kB written, " in in_plain_words(caught.value)


def test_a_folder_tells_the_size_of_all_of_it(tmp_path):
    def write():
        with folder_written_whole(tmp_path / "maps", needed=5000) as path:
            (path / "a").write_bytes(bytes(1000))
            (path / "b").write_bytes(bytes(500))
            raise OSError(
                errno.ENOSPC, "No space left on device", str(tmp_path / "partial" / "b"), None, str(path / "b")
            )

    with pytest.raises(NotWritten) as caught:
        write()
    assert (caught.value.written, caught.value.needed) == (1500, 5000)
    assert caught.value.filename == str(tmp_path / "maps")
    assert list(tmp_path.iterdir()) == []


def test_the_innermost_file_is_named(tmp_path):
    with (
        pytest.raises(NotWritten) as caught,
        written_whole(tmp_path / "batch.npy"),
        written_whole(tmp_path / "brains.npy"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename.endswith("brains.npy")


def test_errors_of_other_files_stay_what_they_are(tmp_path):
    for error in (FileNotFoundError(2, "No such file", "input"), PermissionError(13, "Permission denied", "/else/x")):
        with pytest.raises(type(error)) as caught, written_whole(tmp_path / "a"):
            raise error
        assert caught.value is error
    assert in_plain_words(FileNotFoundError(2, "No such file", "input")) is None
    assert in_plain_words(PermissionError(13, "Permission denied", "/else/x")).startswith("Permission denied: /else/x")


def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "results"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NotWritten, match="Read-only file system"):
        write_text("a", tmp_path / "results" / "tables" / "a.txt")


@pytest.mark.parametrize("write", ["write_array(np.zeros(10**6), path)", "write_text('a' * 10**6, path)"])
def test_a_limit_of_the_system_is_met_for_real(tmp_path, write):
    """The system itself refuses: numpy, which does not say why, and Python, which does."""
    program = f"""
import resource
import numpy as np
from pathlib import Path
from voxplain.base.files import write_array, write_text
from voxplain.base.jobs import job_log
path = Path("out.npy")
with job_log("job.log"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    {write}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "while writing out.npy" in done.stderr
    assert "Traceback" not in done.stderr
    assert "requested and" in (tmp_path / "job.log.traceback").read_text() or "File too large" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"job.log", "job.log.traceback"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_log_that_cannot_be_written_keeps_nothing_from_the_terminal(tmp_path, monkeypatch, capsys):
    with job_log("/dev/full"):
        print("working")
    assert capsys.readouterr().out == "working\n"
    monkeypatch.setattr(np, "save", refusing(errno.ENOSPC))
    assert run_job("/dev/full", lambda: write_array(np.zeros(9), tmp_path / "a.npy")) == 1
    assert f"while writing {tmp_path}/a.npy" in capsys.readouterr().err


def test_a_log_that_cannot_be_opened(tmp_path, monkeypatch, capsys):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "logs"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run_job(tmp_path / "logs" / "job.log", lambda: None) == 1
    assert "The log cannot be written. No space left on device" in capsys.readouterr().err


class OutOfMemoryError(RuntimeError):
    """As torch's: known by its name."""


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"), "training.batch_size or model"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), "training.batch_size"),
        (MemoryError("Unable to allocate 9. GiB"), "Run fewer jobs at a time"),
    ],
)
def test_out_of_memory_is_said_plainly(tmp_path, capsys, error, advice):
    def job():
        raise error

    assert is_out_of_memory(error)
    assert run_job(tmp_path / "job.log", job) == 1
    said = capsys.readouterr().err
    assert said.strip().startswith("Out of memory: ")
    assert advice in said
    assert "more" not in said.splitlines()[1]
    assert "Traceback" not in said
    assert "Traceback" in (tmp_path / "job.log.traceback").read_text()
    with job_log(tmp_path / "job.log"):
        pass
    assert not (tmp_path / "job.log.traceback").exists()
    assert not is_out_of_memory(RuntimeError("shapes differ"))


@pytest.mark.parametrize(("count", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (2**30, "1.07 GB"), (3e12, "3 TB")])
def test_bytes_are_spelled(count, text):
    assert spell_bytes(count) == text


def test_what_a_killed_job_left_goes_when_its_file_is_written_again(tmp_path):
    left = [".unfinished-abcdefgh-a.tsv", ".unfinished-12_45678-a.tsv"]
    others = [".unfinished-abcdefgh-ba.tsv", ".unfinished-abcdefgh-x-a.tsv", "a.tsv-", ".unfinished-abcdefgh-a.tsv.gz"]
    for name in left + others:
        (tmp_path / name).write_text("half")
    (tmp_path / ".unfinished-abcdefgh-maps").mkdir()
    (tmp_path / ".unfinished-abcdefgh-maps" / "one").write_text("half")
    write_table(pd.DataFrame({"x": [1]}), tmp_path / "a.tsv")
    with folder_written_whole(tmp_path / "maps") as folder:
        (folder / "one").write_text("1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "a.tsv", "maps"])


def test_names_are_no_patterns(tmp_path):
    (tmp_path / ".unfinished-abcdefgh-b").write_text("of another file")
    write_text("1", tmp_path / "[ab]")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished-abcdefgh-b", "[ab]"]
