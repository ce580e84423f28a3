"""The files that a run takes in: their checksums when it began, and whether they are still the same when it ends."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from voxplain.base.errors import InputError
from voxplain.base.files import file_sha256

# Settings whose values never leave the machine; the file's name gives away who applied for it.
UNSHOWN = frozenset({"restricted_csv", "salt"})
COLUMNS = ["setting", "file", "bytes", "sha256"]


class Volumes(NamedTuple):
    """What became of the volumes since they were read, in people.

    Attributes
    ----------
    read : int
        Whose volumes have a checksum.
    changed : int
        Whose image or mask has another content now.
    gone : int
        Whose image or mask is no longer there.
    """

    read: int
    changed: int
    gone: int


def input_files(config: Mapping, results: str | os.PathLike) -> dict[str, Path]:
    """Return the files that the config names, tables, atlases, weights, by their dotted keys; volumes are not named.

    Parameters
    ----------
    config : mapping
        With its defaults filled in.
    results : path-like
        The run's own folder; what lies below it is no input.
    """
    named = {}
    for setting, value in _leaves(config):
        path = Path(value) if isinstance(value, str) and value else None
        if path is not None and path.suffix and path.is_file() and Path(results) not in path.parents:
            named[setting] = path
    return named


def record_files(files: Mapping[str, Path], root: Path | None) -> pd.DataFrame:
    """Return the checksum of every file.

    Parameters
    ----------
    files : mapping of setting to path
        See `input_files`.
    root : Path or None
        The cohort's data root.

    Returns
    -------
    DataFrame
        `COLUMNS`; ``file`` as in `shown_path`, missing for those of `UNSHOWN`.
    """
    rows = [
        (setting, None if _last(setting) in UNSHOWN else shown_path(path, root), path.stat().st_size, file_sha256(path))
        for setting, path in files.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def changed_files(recorded: pd.DataFrame, files: Mapping[str, Path]) -> list[str]:
    """Return the settings whose files are not what `record_files` saw, sorted."""
    now = {setting: file_sha256(path) for setting, path in files.items() if Path(path).is_file()}
    before = dict(zip(recorded["setting"], recorded["sha256"], strict=True))
    return sorted(setting for setting in now.keys() | before.keys() if now.get(setting) != before.get(setting))


def changed_volumes(read: pd.DataFrame, people: pd.DataFrame, root: Path) -> Volumes:
    """Count the people whose volumes are not what the run has read.

    Only files that somebody has touched since are read again (times of content and of the directory entry), so that
    a cohort that nobody touched costs one look at each file, and a copy with equal content is no change.

    Parameters
    ----------
    read : DataFrame
        ``participant_id``, ``checksum`` (of `voxplain.imaging.quality.checksum_of`), ``since`` (seconds since the
        epoch, from when on a touched file is suspect).
    people : DataFrame
        ``participant_id``, ``image``, ``mask``: paths below `root`.
    root : Path
    """
    from voxplain.imaging.reading import Memory

    changed, gone, memory = 0, 0, Memory()
    known = read[read["checksum"].notna()].merge(people[["participant_id", "image", "mask"]], on="participant_id")
    for person in known.itertuples():
        files = [root / path for path in (person.image, person.mask) if isinstance(path, str)]
        try:
            touched = max(max(status.st_mtime, status.st_ctime) for status in map(os.stat, files))
        except OSError:
            gone += 1
            continue
        changed += touched >= person.since and _checksum(files, memory) != person.checksum
    return Volumes(len(known), changed, gone)


def shown_path(path: str | os.PathLike, root: Path | None = None) -> str:
    """Return a path without the folders of somebody's machine.

    What lies below the data root keeps its path from there, behind the root's own name; every other absolute path is
    cut to its last part, as is one below a home folder. A relative path that does not climb stays as it is.
    """
    text = str(path).replace("\\", "/")
    if root is not None and Path(text).is_absolute() and Path(text).is_relative_to(root):
        return "…/" + Path(root.name, Path(text).relative_to(root)).as_posix()
    foreign = text.startswith(("/", "~")) or text[1:3] == ":/" or ".." in Path(text).parts
    return "…/" + text.rstrip("/").rsplit("/", 1)[-1] if foreign else text


def public_config(config: object, root: Path | None = None) -> object:
    """Return the config as it was used, its defaults included, fit to be passed on.

    Numbers, words and lists stay as they are; paths are written as `shown_path` says, and of the restricted table
    only whether there was one is told.
    """
    if isinstance(config, Mapping):
        return {
            key: "given, not shown" if key in UNSHOWN and value is not None else public_config(value, root)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return [public_config(value, root) for value in config]
    looks_like_path = isinstance(config, str) and (config.startswith(("/", "~", "\\\\", "..")) or config[1:2] == ":")
    return shown_path(config, root) if looks_like_path else config


def _checksum(files: list[Path], memory) -> str | None:
    from voxplain.imaging.quality import checksum_of
    from voxplain.imaging.reading import read_volume

    try:
        return checksum_of(*(read_volume(path, memory) for path in files))
    except InputError:
        return None


def _leaves(value: object, above: str = ""):
    """Yield (dotted key, value) of all that is neither a section nor a list."""
    if isinstance(value, Mapping):
        value = list(value.items())
    elif isinstance(value, (list, tuple)):
        value = list(enumerate(value, start=1))
    else:
        yield above, value
        return
    for key, part in value:
        yield from _leaves(part, f"{above}.{key}" if above else str(key))


def _last(setting: str) -> str:
    return setting.rsplit(".", 1)[-1]
