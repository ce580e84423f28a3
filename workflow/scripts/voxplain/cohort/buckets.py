"""Images that lie in an S3 bucket: how such a folder is written, and which of many objects there are.

Nothing here needs boto3 before a bucket is asked. The answers are kept in a file of the working directory: the workflow
asks while it is planned, with whatever it was told about endpoint and keys, and its jobs, which want to know the same,
read them there.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from voxplain.base.errors import refuse
from voxplain.base.files import write_text

if TYPE_CHECKING:
    from botocore.client import BaseClient

SCHEME = "s3://"
ANSWERS = Path(".snakemake") / "voxplain-objects.json"
# A question takes about as long as the way there and back: many at a time.
AT_ONCE, ATTEMPTS = 32, 3
# What is not there is forbidden for those who may not list a bucket.
MISSING, FORBIDDEN = 404, 403
ADVICE = (
    "Keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from ~/.aws/credentials (AWS_PROFILE chooses "
    "among several); another server than Amazon's from AWS_ENDPOINT_URL_S3. docs/inputs.md says how to get keys for "
    "the HCP."
)


@dataclass(frozen=True)
class Bucket:
    """A folder of a bucket.

    Attributes
    ----------
    name : str
        Of the bucket.
    prefix : str
        Of the folder, without slashes around it; empty for the whole bucket.
    """

    name: str
    prefix: str = ""

    def __str__(self) -> str:
        return SCHEME + "/".join(filter(None, (self.name, self.prefix)))

    def __truediv__(self, path: str) -> str:
        return f"{self}/{path}"

    def key(self, path: str) -> str:
        """Return the key of an object by its path relative to the folder."""
        return "/".join(filter(None, (self.prefix, path)))

    def relative(self, address: str) -> str | None:
        """Return the path of an object, by its whole address, relative to the folder; None when it lies elsewhere."""
        return address.removeprefix(f"{self}/") if address.startswith(f"{self}/") else None


class Stamp(NamedTuple):
    """What a bucket says about an object.

    Attributes
    ----------
    modified : float
        Seconds since 1970.
    size : int
        Bytes.
    """

    modified: float
    size: int


def is_remote(path: object) -> bool:
    """Tell whether a setting or a cell names a place in a bucket."""
    return isinstance(path, str) and path.startswith(SCHEME)


def image_folder(path: str, setting: str) -> Path | Bucket:
    """Return the folder that a setting names, on disk or in a bucket.

    Raises
    ------
    InputError
        For an address without a bucket, or of another kind than ``s3://``.
    """
    kind, mark, rest = str(path).partition("://")
    if not mark:
        return Path(path).expanduser()
    name, *folders = rest.rstrip("/").split("/")
    if f"{kind}{mark}" != SCHEME or not name or not all(folders) or {".", ".."} & set(folders):
        refuse(f"{setting}: {path!r} is not a folder in a bucket", advice="For example s3://hcp-openaccess/HCP_1200.")
    return Bucket(name, "/".join(folders))


def existing(folder: Bucket, paths: Iterable[str]) -> dict[str, Stamp]:
    """Return those of some paths at which there is an object, from the last answers where they cover them.

    Raises
    ------
    InputError
        As `ask`.
    """
    paths = list(paths)
    answers = _read_answers()
    if not all(folder / path in answers for path in paths):
        answers = ask(folder, paths)
    return {path: Stamp(*answers[folder / path]) for path in paths if answers[folder / path]}


def ask(folder: Bucket, paths: Iterable[str], connect: Callable[[], "BaseClient"] | None = None) -> dict:
    """Ask a bucket for objects, and keep the answers for `existing`.

    Parameters
    ----------
    folder : Bucket
    paths : iterable of str
        Relative to `folder`.
    connect : callable, optional
        Gives boto3's client; by default that of the environment.

    Returns
    -------
    dict
        By address: ``[modified, size]``, or None where there is no object. Earlier answers about others are among them.

    Raises
    ------
    InputError
        When boto3 is missing, the keys are refused, or the bucket does not exist or cannot be reached.
    """
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        refuse_without_plugin(str(folder))
    paths = list(dict.fromkeys(paths))
    try:
        client = (connect or client_of_environment)()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answered = list(pool.map(lambda path: _answer(client, folder.name, folder.key(path), ClientError), paths))
        if not any(isinstance(answer, Stamp) for answer in answered):
            # The answer to this question says why; those above may have no words.
            client.list_objects_v2(Bucket=folder.name, Prefix=folder.key(""), MaxKeys=1)
            if FORBIDDEN in answered:
                refuse(f"{folder}: the server refuses to hand out any of the {len(paths)} objects", advice=ADVICE)
    except ClientError as error:
        _refuse_answer(folder, error)
    except (Boto3Error, BotoCoreError) as error:
        refuse(f"{folder}: the bucket cannot be asked: {error}", advice=ADVICE)
    stamps = (answer if isinstance(answer, Stamp) else None for answer in answered)
    answers = _read_answers() | {folder / path: stamp for path, stamp in zip(paths, stamps, strict=True)}
    ANSWERS.parent.mkdir(exist_ok=True)
    write_text(json.dumps(answers), ANSWERS)
    return answers


def client_of_environment(signature_version: object = None, **settings) -> "BaseClient":
    """Return boto3's client for S3 with room for `AT_ONCE` questions; `settings` are those of ``boto3.client``."""
    import boto3
    from botocore.config import Config

    signature_version = signature_version or without_keys(settings.get("aws_access_key_id"))
    retries = {"mode": "standard", "max_attempts": ATTEMPTS}
    config = Config(max_pool_connections=AT_ONCE, retries=retries, signature_version=signature_version)
    return boto3.session.Session().client("s3", config=config, **settings)


def without_keys(access_key: str | None = None) -> object | None:
    """Return how questions are signed where no keys are found, namely not at all, as public buckets allow; None where
    there are some."""
    import boto3
    from botocore import UNSIGNED

    return None if access_key or boto3.session.Session().get_credentials() else UNSIGNED


def refuse_without_plugin(what: str) -> None:
    """Raise the `InputError` for what lies in a bucket when nothing is installed that could read it."""
    refuse(
        f"{what}: reading from a bucket needs Snakemake's plugin for S3, which is not installed",
        advice="Install it with: pip install -r envs/requirements-s3.txt",
    )


def _answer(client: "BaseClient", bucket: str, key: str, refused: type[Exception]) -> Stamp | int:
    """Return the stamp of an object; `MISSING` or `FORBIDDEN` for one that is not there or not to be had."""
    try:
        head = client.head_object(Bucket=bucket, Key=key)
    except refused as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (MISSING, FORBIDDEN):
            return status
        raise
    return Stamp(head["LastModified"].timestamp(), head["ContentLength"])


def _refuse_answer(folder: Bucket, error: Exception) -> None:
    """Raise the `InputError` for what a bucket answered instead of the objects."""
    code = error.response["Error"].get("Code", "")
    said = error.response["Error"].get("Message", "") or str(error)
    if code in ("NoSuchBucket", "404"):
        refuse(f"{folder}: there is no bucket {folder.name!r}", advice=f"The server said: {said} ({code}). {ADVICE}")
    refuse(f"{folder}: the server refuses to answer: {said} ({code})", advice=ADVICE)


def _read_answers() -> dict:
    try:
        return json.loads(ANSWERS.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
