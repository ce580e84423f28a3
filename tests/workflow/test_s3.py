"""Images in a bucket: a real S3 API on the loopback, from the objects to the stack of images."""

import copy
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import boto3
import numpy as np
import pandas as pd
import pytest

from voxplain.cohort.phantom import PhantomSettings, make_people
from voxplain.cohort.phantom.families import design

PEOPLE = 10
BATCH = 4
PHANTOM = PhantomSettings(people=PEOPLE, seed=5, grid="common")
PLAIN = {"Content-Type": "text/plain"}
IMAGE = "MNINonLinear/T1w_restore_brain.nii.gz"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server in a process of its own, and the environment that leads to it."""
    folder = tmp_path_factory.mktemp("server")
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.rpartition(":")[2]]
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    settings = {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing", "DEFAULT_REGION": "us-east-1"}
    settings |= {"ENDPOINT_URL_S3": address, "EC2_METADATA_DISABLED": "true"}
    settings |= {"CONFIG_FILE": str(folder / "config"), "SHARED_CREDENTIALS_FILE": str(folder / "credentials")}
    for name, value in settings.items():
        patch.setenv(f"AWS_{name}", value)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"no server: {(folder / 'log').read_text()}")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
        patch.undo()


@pytest.fixture(scope="module")
def client(server):
    return boto3.client("s3")


class Watch(threading.Thread):
    """Looks how much a folder holds, again and again."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.most, self.done = folder, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.02):
            self.most = max(self.most, sum(map(size_of, files_below(self.folder))))


def files_below(folder):
    """Files that may come and go meanwhile."""
    return [os.path.join(top, name) for top, _, names in os.walk(folder) for name in names]


def size_of(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


@contextmanager
def watched(folder):
    watch = Watch(folder)
    watch.start()
    try:
        yield watch
    finally:
        watch.done.set()
        watch.join()


@pytest.fixture(scope="module")
def remote(tmp_path_factory, workflow, client):
    """People of a bucket in HCP layout, and a table that lists two more; nothing has run yet."""
    folder = tmp_path_factory.mktemp("s3")
    people = design(PHANTOM)[["participant_id", "Gender"]]
    more = pd.DataFrame({"participant_id": ["999998", "999999"], "Gender": ["F", "M"]})
    table = pd.concat([people, more]).rename(columns={"participant_id": "Subject"})
    table.to_csv(folder / "people.csv", index=False)
    client.create_bucket(Bucket="openaccess")
    for person in people["participant_id"]:
        client.put_object(Bucket="openaccess", Key=f"HCP_1200/{person}/{IMAGE}", Body=b"not read by those that plan")
    config = {
        "name": "hcp",
        "torch_threads": 1,
        "cohort": {
            "source": "hcp",
            "target": "Gender",
            "labels": ["F", "M"],
            "hcp": {"root": "s3://openaccess/HCP_1200", "unrestricted_csv": str(folder / "people.csv")},
        },
        "images": {"subjects_per_job": BATCH},
        "folds": {"count": 2},
        "maps": {"methods": {"gradcam": {}}},
    }
    (folder / "remote").mkdir()
    return workflow(folder / "remote", config)


def test_the_check_asks_the_bucket_and_fetches_nothing(remote, workflow):
    config = copy.deepcopy(remote.config)
    config["device"] = "cpu"
    config["cohort"]["min_found"] = 0.5
    (remote.folder.parent / "checked").mkdir()
    run = workflow(remote.folder.parent / "checked", config)
    said = " ".join(run.run("check").stdout.split())
    assert "all are in s3://openaccess/HCP_1200;" in said
    assert "2 without an image: 999998:" in said
    assert "Nothing here would stop the run; 1 to think about." in said
    assert not [path for path in (run.folder / ".snakemake" / "storage").rglob("*.nii.gz") if path.is_file()]
    config["cohort"]["min_found"] = 1
    done = workflow(run.folder, config).run("check", check=False)
    assert done.returncode == 1
    assert "found for 10 of 12 people" in " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def runs(remote, workflow, client):
    """The same people from a folder and from the bucket, each to the stack of images."""
    folder = remote.folder.parent
    make_people(list(design(PHANTOM)["participant_id"]), PHANTOM, folder / "HCP_1200")
    for path in (folder / "HCP_1200").rglob(IMAGE):
        client.upload_file(str(path), "openaccess", path.relative_to(folder).as_posix())
    config = copy.deepcopy(remote.config)
    config["cohort"]["hcp"]["root"] = str(folder / "HCP_1200")
    (folder / "local").mkdir()
    local = workflow(folder / "local", config)
    local.run("images")
    with watched(folder / "remote" / ".snakemake" / "storage") as watch:
        remote.run("images")
    remote.most = watch.most
    remote.sizes = [os.path.getsize(path) for path in (folder / "HCP_1200").rglob(IMAGE)]
    return local, remote


@pytest.mark.slow
def test_results_are_those_of_a_copy_on_disk_to_the_last_byte(runs):
    local, remote = runs
    for name in ("images/stack.npy", "images/index.tsv", "images/mean.nii.gz", "private/missing.tsv"):
        assert (remote.results / name).read_bytes() == (local.results / name).read_bytes()
    assert len(list((remote.results / "images").glob("batch-*_brains.npy"))) == 3
    missing = (remote.results / "private" / "missing.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in missing[1:]] == ["999998", "999999"]


@pytest.mark.slow
def test_the_disk_holds_the_batches_that_run_and_nothing_afterwards(runs):
    _, remote = runs
    assert 0 < remote.most <= 2 * BATCH * max(remote.sizes)
    assert remote.most < sum(remote.sizes)
    assert files_below(remote.folder / ".snakemake" / "storage") == []


@pytest.mark.slow
def test_a_changed_object_runs_its_batch_again_and_no_other(runs, client):
    _, remote = runs
    assert "downsample" not in remote.planned()
    key = client.list_objects_v2(Bucket="openaccess")["Contents"][0]["Key"]
    whole = client.get_object(Bucket="openaccess", Key=key)["Body"].read()
    client.put_object(Bucket="openaccess", Key=key, Body=whole)
    planned = remote.planned()
    assert planned["downsample"] == 1
    assert "tabulate_participants" not in planned


@pytest.mark.slow
def test_masks_of_a_table(runs, workflow, client, tmp_path):
    local, remote = runs
    stack = pd.read_csv(local.results / "images" / "index.tsv", sep="\t", dtype={"participant_id": str})
    ids = list(stack["participant_id"])[:4]
    for person in ids[1:]:  # as a mask any image does that is 0 outside of the brain
        source = {"Bucket": "openaccess", "Key": f"HCP_1200/{person}/{IMAGE}"}
        client.copy_object(Bucket="openaccess", Key=f"masks/{person}.nii.gz", CopySource=source)
    rows = [
        f"{person}\t{'AB'[n % 2]}\tHCP_1200/{person}/{IMAGE}\tmasks/{person}.nii.gz" for n, person in enumerate(ids)
    ]
    rows[0] = rows[0].rpartition("\t")[0] + "\tn/a"
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tdx\tt1\tbrain", *rows]) + "\n")
    config = copy.deepcopy(remote.config) | {"name": "table"}
    table = {"file": "people.tsv", "root": "s3://openaccess", "image_column": "t1", "mask_column": "brain"}
    config["cohort"] = {"source": "table", "target": "dx", "labels": ["A", "B"], "table": table}
    run = workflow(tmp_path, config)
    run.run("results/table/images/batch-0.npy")
    expected = np.load(local.results / "images" / "stack.npy")[:4]
    np.testing.assert_array_equal(np.load(run.results / "images" / "batch-0.npy"), expected)
    assert files_below(tmp_path / ".snakemake" / "storage") == []


def refused(run, config=None):
    said = run.run("--dry-run", config=config, check=False)
    assert said.returncode != 0
    assert "Traceback" not in said.stdout
    return said.stdout


def test_a_bucket_that_is_not_there(remote):
    config = copy.deepcopy(remote.config)
    config["cohort"]["hcp"]["root"] = "s3://elsewhere/HCP_1200"
    said = refused(remote, config)
    assert "there is no bucket 'elsewhere'" in said
    assert said.count("elsewhere") < 5


def test_a_folder_without_images(remote):
    config = copy.deepcopy(remote.config)
    config["cohort"]["hcp"]["root"] = "s3://openaccess/HCP_900"
    said = refused(remote, config)
    assert f"Images were found for 0 of {PEOPLE + 2} people" in said
    assert "Looked below s3://openaccess/HCP_900" in said


@contextmanager
def keys_checked(server):
    """Let the server look at keys, of which it knows none."""
    switch = f"{server}/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(switch, data=b"0", headers=PLAIN), timeout=5).close()
    try:
        yield
    finally:
        urllib.request.urlopen(urllib.request.Request(switch, data=b"inf", headers=PLAIN), timeout=5).close()


def test_wrong_keys(remote, server):
    with keys_checked(server):
        said = refused(remote)
    assert "s3://openaccess/HCP_1200: the server refuses to answer" in said
    assert "InvalidAccessKeyId" in said
    assert "docs/inputs.md" in said


def test_without_keys_a_public_bucket_is_read_and_another_one_not(remote, client, monkeypatch):
    client.create_bucket(Bucket="public", ACL="public-read")
    for item in client.list_objects_v2(Bucket="openaccess", Prefix="HCP_1200")["Contents"]:
        source = {"Bucket": "openaccess", "Key": item["Key"]}
        client.copy_object(Bucket="public", Key=item["Key"], CopySource=source, ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    config = copy.deepcopy(remote.config) | {"name": "public"}
    config["cohort"]["hcp"]["root"] = "s3://public/HCP_1200"
    assert remote.planned(config)["downsample"] == 3
    said = refused(remote)
    assert "s3://openaccess/HCP_1200: the server refuses to hand out any of the" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_no_server(remote, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    assert "the bucket cannot be asked" in refused(remote)


def test_without_the_plugin(remote, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'snakemake_storage_plugin_s3' else find(name, *more)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "pip install -r envs/requirements-s3.txt" in refused(remote)


def test_planting_says_that_it_reads_from_disk(remote):
    said = remote.run("--dry-run", "planted_benchmark", check=False)
    assert said.returncode != 0
    assert "planted_benchmark reads images on disk, and those of s3://openaccess/HCP_1200 are not" in said.stdout
