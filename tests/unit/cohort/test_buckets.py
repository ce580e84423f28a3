"""Images in a bucket: how folders are written, what is asked, and what is said when the answer is no."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from voxplain.base.errors import InputError
from voxplain.cohort.buckets import ANSWERS, AT_ONCE, Bucket, Stamp, ask, existing, image_folder, is_remote
from voxplain.cohort.people import ask_bucket, data_root, found_people, image_root, read_roster
from voxplain.cohort.roster import below_root

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
WHEN = datetime(2020, 1, 2, tzinfo=UTC)


class Server:
    """Answers as boto3's client does; counts the questions."""

    def __init__(self, keys=(), status=404, code="404", listing=None):
        self.keys, self.status, self.code, self.listing = set(keys), status, code, listing
        self.asked, self.lock = [], threading.Lock()

    def head_object(self, Bucket, Key):
        with self.lock:
            self.asked.append(Key)
        if Key in self.keys:
            return {"LastModified": WHEN, "ContentLength": len(Key)}
        raise self.error(self.status, self.code)

    def list_objects_v2(self, **_):
        if self.listing:
            raise self.error(403, *self.listing)
        return {}

    @staticmethod
    def error(status, code, message=""):
        return ClientError(
            {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "x"
        )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_how_a_folder_in_a_bucket_is_written():
    hcp = image_folder("s3://hcp-openaccess/HCP_1200/", "root")
    assert hcp == Bucket("hcp-openaccess", "HCP_1200")
    assert str(hcp) == "s3://hcp-openaccess/HCP_1200"
    assert hcp / "1/T1w.nii.gz" == "s3://hcp-openaccess/HCP_1200/1/T1w.nii.gz"
    assert hcp.key("1/T1w.nii.gz") == "HCP_1200/1/T1w.nii.gz"
    assert hcp.relative("s3://hcp-openaccess/HCP_1200/1/a.nii") == "1/a.nii"
    assert hcp.relative("s3://hcp-openaccess/HCP_1200_other/a.nii") is None
    whole = image_folder("s3://bucket", "root")
    assert (whole / "a.nii", whole.key("a.nii")) == ("s3://bucket/a.nii", "a.nii")
    assert image_folder("data/HCP", "root") == Path("data/HCP")
    assert is_remote("s3://b/a")
    assert not is_remote("/s3:/b/a")
    assert not is_remote(None)


@pytest.mark.parametrize(
    "root", ["s3://", "s3:///folder", "gs://bucket/folder", "s3://b/../c", "https://b/c", "s3://b//c"]
)
def test_what_is_no_folder_in_a_bucket(root):
    with pytest.raises(InputError, match=r"^cohort\.hcp\.root: .* is not a folder in a bucket\nFor example s3://"):
        image_folder(root, "cohort.hcp.root")


def test_cells_of_a_table_may_hold_whole_addresses():
    root = Bucket("b", "data")
    assert below_root(["1.nii", "s3://b/data/x/2.nii", None], list("123"), root, "here") == ["1.nii", "x/2.nii", None]
    with pytest.raises(InputError) as error:
        below_root(["s3://b/other/1.nii", "/etc/2.nii", "../3.nii", "ok.nii"], list("1234"), root, "here")
    assert str(error.value).splitlines()[:4] == [
        "here: 3 paths do not lie below the root s3://b/data",
        "  - 1: s3://b/other/1.nii",
        "  - 2: /etc/2.nii",
        "  - 3: ../3.nii",
    ]
    with pytest.raises(InputError, match=r"1: s3://b/data/1\.nii"):
        below_root(["s3://b/data/1.nii"], ["1"], Path("/data"), "here")


def test_everything_is_asked_once_and_the_answers_are_kept():
    keys = [f"data/{n}.nii" for n in range(100)]
    server = Server(keys[:90])
    folder = Bucket("b", "data")
    paths = [f"{n}.nii" for n in range(100)]
    ask(folder, [*paths, *paths], lambda: server)
    assert sorted(server.asked) == sorted(keys)
    there = existing(folder, paths)
    assert sorted(server.asked) == sorted(keys)  # from the file
    assert list(there) == paths[:90]
    assert there["7.nii"] == Stamp(WHEN.timestamp(), len("data/7.nii"))
    # Another plan asks again, and other folders' answers stay.
    ask(Bucket("b", "more"), ["0.nii"], lambda: Server(["more/0.nii"]))
    ask(folder, paths, lambda: Server(keys[:1]))
    assert list(existing(folder, paths)) == ["0.nii"]
    assert list(existing(Bucket("b", "more"), ["0.nii"])) == ["0.nii"]


def test_questions_are_asked_at_the_same_time():
    barrier = threading.Barrier(AT_ONCE, timeout=20)

    class Slow(Server):
        def head_object(self, Bucket, Key):
            barrier.wait()
            return super().head_object(Bucket, Key)

    ask(Bucket("b"), [str(n) for n in range(AT_ONCE)], lambda: Slow(["0"]))
    assert list(existing(Bucket("b"), ["0", "1"])) == ["0"]


def test_a_damaged_file_of_answers_is_asked_for_anew(monkeypatch):
    ANSWERS.parent.mkdir()
    ANSWERS.write_text("{")
    monkeypatch.setattr("voxplain.cohort.buckets.client_of_environment", lambda: Server(["1.nii"]))
    assert list(existing(Bucket("b"), ["1.nii", "2.nii"])) == ["1.nii"]
    assert json.loads(ANSWERS.read_text())["s3://b/2.nii"] is None


def test_an_object_that_may_not_be_read_counts_as_missing_when_others_may():
    ask(Bucket("b"), ["1.nii", "2.nii"], lambda: Server(["1.nii"], status=403, code="403"))
    assert list(existing(Bucket("b"), ["1.nii", "2.nii"])) == ["1.nii"]


def test_a_bucket_that_only_its_owner_may_read():
    with pytest.raises(InputError, match=r"^s3://b: the server refuses to hand out any of the 2 objects\nKeys are"):
        ask(Bucket("b"), ["1.nii", "2.nii"], lambda: Server(status=403, code="403"))


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (("NoSuchBucket", "The specified bucket does not exist"), r"there is no bucket 'b'\nThe server said: The spec"),
        (
            ("InvalidAccessKeyId", "Key unknown"),
            r"the server refuses to answer: Key unknown \(InvalidAccessKeyId\)\nKeys",
        ),
        (
            ("AccessDenied", "Access Denied"),
            r"refuses to answer: Access Denied \(AccessDenied\)\nKeys are taken from AWS",
        ),
    ],
)
def test_the_reason_why_nothing_is_there(listing, message):
    with pytest.raises(InputError, match=r"^s3://b/data: .*" + message.replace("^", "")):
        ask(Bucket("b", "data"), ["1.nii"], lambda: Server(status=403, listing=listing))
    assert not ANSWERS.exists()


@pytest.mark.parametrize("error", [NoCredentialsError(), EndpointConnectionError(endpoint_url="http://nowhere")])
def test_no_keys_and_no_server(error):
    class Silent(Server):
        def head_object(self, **_):
            raise error

    with pytest.raises(InputError, match=r"^s3://b: the bucket cannot be asked: .*\nKeys are taken from"):
        ask(Bucket("b"), ["1.nii"], Silent)


def test_other_trouble_is_not_taken_for_a_missing_image():
    with pytest.raises(InputError, match=r"refuses to answer: .*\(500\)"):
        ask(Bucket("b"), ["1.nii"], lambda: Server(status=500, code="500"))


def hcp_cohort(folder, ids):
    rows = "".join(f"{person},{'FM'[n % 2]},26-30\n" for n, person in enumerate(ids))
    (folder / "people.csv").write_text("Subject,Gender,Age\n" + rows)
    hcp = {"root": "s3://b/HCP", "unrestricted_csv": "people.csv", "image": "{id}/T1w.nii.gz"}
    cohort = {"source": "hcp", "target": "Gender", "task": "classification", "labels": ["F", "M"], "hcp": hcp}
    return cohort | {"limit": None, "min_found": 0.8}


def test_people_of_the_hcp_in_a_bucket(folder):
    cohort = hcp_cohort(folder, list("abcdefghij"))
    roster = read_roster(cohort, seed=1)
    assert image_root(cohort) == roster.root == Bucket("b", "HCP")
    assert data_root(cohort) is None
    ask_bucket(roster, lambda: Server([f"HCP/{person}/T1w.nii.gz" for person in "abcdefghi"]))
    found, missing = found_people(cohort, seed=1)
    assert found["participant_id"].tolist() == list("abcdefghi")
    assert found["image"].tolist() == [f"{person}/T1w.nii.gz" for person in "abcdefghi"]
    assert missing.to_numpy().tolist() == [["j", "no image j/T1w.nii.gz"]]
    ask_bucket(roster, lambda: Server(["HCP/a/T1w.nii.gz"]))
    with pytest.raises(InputError, match=r"found for 1 of 10 people[^$]*Looked below s3://b/HCP:"):
        found_people(cohort, seed=1)


def test_masks_of_a_table_in_a_bucket(folder):
    (folder / "people.tsv").write_text(
        "participant_id\tdx\tt1\tbrain\n1\tA\t1.nii\tm1.nii\n2\tB\t2.nii\tn/a\n3\tB\t3.nii\tm3.nii\n"
    )
    table = {"file": "people.tsv", "root": "s3://b", "image_column": "t1", "mask_column": "brain"}
    cohort = {"source": "table", "target": "dx", "task": "classification", "labels": ["A", "B"], "table": table}
    ask_bucket(read_roster(cohort, 1), lambda: Server(["1.nii", "2.nii", "3.nii", "m1.nii"]))
    found, missing = found_people(cohort | {"min_found": 0.5}, seed=1)
    assert found["participant_id"].tolist() == ["1", "2"]
    assert missing.to_numpy().tolist() == [["3", "no mask m3.nii"]]


def test_planning_without_a_bucket_imports_no_boto3():
    code = (
        "import sys; import voxplain.cohort.people as p;"
        "p.found_people({'source': 'phantom', 'target': 'Gender', 'task': 'classification', 'labels': ['F', 'M']}, 1);"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SCRIPTS)}).returncode == 0


def test_without_boto3_the_way_to_get_it_is_said(folder):
    code = (
        "import sys; sys.modules['boto3'] = None; sys.modules['boto3.exceptions'] = None;"
        "from voxplain.cohort.buckets import Bucket, ask; ask(Bucket('b'), ['1.nii'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert "pip install -r envs/requirements-s3.txt" in done.stderr
