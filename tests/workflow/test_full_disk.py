"""A disk that fills up again and again: each time a plain message, nothing that only looks finished, equal results."""

import os
import shutil
import subprocess

import pytest

from tiny import tiny

CONFIG = tiny(
    people=8,
    name="full",
    training={"epochs": 2, "batch_size": 4, "checkpoint": "last"},
    maps={"subjects_per_job": 8, "methods": {"gradcam": {}, "lrp": {}}},
)
TARGETS = ("maps", "models")
MEGABYTES_AT_FIRST, MEGABYTES_MORE = 2, 4
UNFINISHED = ("partial", "logs", "benchmarks")

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own, and a function that makes it larger."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={MEGABYTES_AT_FIRST}m,mode=755"
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")

    def enlarge(megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", folder], check=True)

    yield folder, enlarge
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, workflow):
    run = workflow(tmp_path_factory.mktemp("undisturbed"), CONFIG)
    run.run(*TARGETS)
    return run


def content(results):
    found = {}
    for path in results.rglob("*"):
        name = path.relative_to(results)
        if path.is_file() and name.parts[0] not in UNFINISHED and name.name != "provenance.json":
            # The seconds that epochs took, in their last column but one.
            lines = path.read_text().splitlines() if name.name == "history.tsv" else None
            found[str(name)] = [line.split("\t")[:-2] for line in lines] if lines else path.read_bytes()
    return found


def temporary(name):
    return name.startswith(("phantom/volumes/", "private/partial/")) or "/partial/" in name


@pytest.mark.parametrize("whole", [False, True], ids=["results", "everything"])
def test_a_disk_that_fills_up_again_and_again(small_disk, undisturbed, tmp_path, workflow, whole):
    """Results alone lie on the small disk, or all that Snakemake writes too."""
    disk, enlarge = small_disk
    folder = disk if whole else tmp_path
    run = workflow(folder, CONFIG)
    if not whole:
        (tmp_path / "results").symlink_to(disk)
    # Names of families are hashed with a secret that is drawn anew in every folder that has none.
    (run.results / "private").mkdir(mode=0o700, parents=True)
    shutil.copy2(undisturbed.results / "private" / "salt", run.results / "private" / "salt")
    expected = content(undisturbed.results)
    megabytes, failures, plain, locked = MEGABYTES_AT_FIRST, 0, 0, 0
    while (said := run.run(*TARGETS, check=False)).returncode:
        if "Directory cannot be locked" in said.stdout:  # Snakemake itself had no room to end well
            locked += 1
            run.run("--unlock")
            continue
        failures += 1
        assert failures < 40, said.stdout[-3000:]
        assert "No space left on device" in said.stdout
        assert "voxplain.base.files.NotWritten" not in said.stdout  # no traceback of ours
        plain += "while writing" in said.stdout and "the same command again: what is finished is kept" in said.stdout
        found = {name: data for name, data in content(run.results).items() if not temporary(name)}
        assert [name for name in found if found[name] != expected.get(name)] == []
        assert not [name for name in found if ".unfinished-" in name]
        megabytes += MEGABYTES_MORE
        enlarge(megabytes)
    assert plain >= 3
    assert content(run.results) == expected
    where = "everything" if whole else "results"
    print(f"\n{where} full {failures} times ({plain} plain messages, {locked} locks), {megabytes} MB")
