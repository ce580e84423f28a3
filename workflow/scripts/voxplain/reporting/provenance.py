"""How a run came about: versions, settings, device, code, checksums of what went in and of what came out.

The record holds nothing that belongs to a person: no id, no restricted value, no folder of somebody's machine.
"""

import json
import os
import platform
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from voxplain.base.files import file_sha256
from voxplain.base.fingerprints import fingerprint, stage_hashes
from voxplain.reporting.input_files import Volumes, public_config

WORKFLOW = Path(__file__).resolve().parents[3]
REQUIREMENTS = WORKFLOW.parent / "envs" / "requirements.txt"
# One program that comes in two distributions.
ALSO_CALLED = {"xgboost-cpu": "xgboost"}
STREAMS = "every random stream is seeded by the SHA-256 of this number, its purpose and, where there is one, its person"


def describe_run(
    config: Mapping,
    *,
    root: Path | None,
    inputs: pd.DataFrame,
    changed: Sequence[str],
    checksums: Sequence[str | None],
    volumes: Volumes | None,
    weights: Sequence[str | os.PathLike],
    outputs: Iterable[str | os.PathLike],
    results: str | os.PathLike,
) -> dict:
    """Return the record of a run.

    Parameters
    ----------
    config : mapping
        As used, with its defaults.
    root : Path or None
        The cohort's data root.
    inputs, changed
        Of `voxplain.reporting.input_files.record_files` and `changed_files`.
    checksums : sequence of str or None
        Of the volumes that were read, in the order of ids; None for those that could not be.
    volumes : Volumes or None
        Of `changed_volumes`; None when the run made its volumes itself.
    weights : sequence of path-like
        The networks.
    outputs : iterable of path-like
        Results whose checksums are kept, to compare two runs by.
    results : path-like
        The run's folder.

    Returns
    -------
    dict
        Ready for JSON. ``written`` is the only entry that differs between two runs of the same on one machine.
    """
    pinned = read_pins(REQUIREMENTS)
    versions = installed_versions(pinned)
    manifest = {Path(path).relative_to(results).as_posix(): file_sha256(path) for path in sorted(map(str, outputs))}
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "not_as_pinned": {
            name: {"installed": versions[name], "pinned": pin}
            for name, pin in pinned.items()
            if versions[name] is not None and versions[name].split("+")[0] != pin
        },
        "config": public_config(config, root),
        "seeds": {"seed": config["seed"], "streams": STREAMS},
        "device": describe_device(config, weights),
        "code": stage_hashes(WORKFLOW),
        "inputs": {
            "files": json.loads(inputs.to_json(orient="records")),
            "volumes": {
                "read": sum(checksum is not None for checksum in checksums),
                "checksum": fingerprint("\n".join(checksum or "" for checksum in checksums)),
            },
        },
        "changed": {
            "files": list(changed),
            "volumes_checked": 0 if volumes is None else volumes.read,
            "volumes": 0 if volumes is None else volumes.changed,
            "volumes_gone": 0 if volumes is None else volumes.gone,
        },
        "outputs": manifest,
        "fingerprint": fingerprint("\n".join(f"{name} {digest}" for name, digest in manifest.items())),
    }


def read_pins(requirements: Path) -> dict[str, str]:
    """Return the versions that a requirements file asks for, by the program's name; without the file, nothing."""
    if not requirements.is_file():
        return {}
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    return {ALSO_CALLED.get(name, name): pin for name, pin in pins}


def installed_versions(names: Iterable[str]) -> dict[str, str | None]:
    """Return the versions of voxplain, of Python and of the named programs; None for one that is not installed."""
    distributions = {name: [name, *(d for d, called in ALSO_CALLED.items() if called == name)] for name in names}
    found = {name: next(filter(None, map(_version, asked)), None) for name, asked in distributions.items()}
    return {"voxplain": _own_version(), "python": platform.python_version(), **found}


def describe_device(config: Mapping, weights: Sequence[str | os.PathLike]) -> dict:
    """Return what the run computed on, as far as it is known where this is called.

    The processor and the GPUs are those of the machine that writes the record; on a cluster the networks may have been
    trained on another one. What the networks' files say of themselves, ``training_precision`` and ``trained_on``, holds
    in any case; a network from outside says nothing.
    """
    headers = [_header(path) for path in weights]
    return {
        "asked_for": config["device"],
        "processor": _processor(),
        "gpus": _gpus(),
        "trained_on": sorted({header["device"] for header in headers if header.get("device")}),
        "training_precision": sorted({header["precision"] for header in headers if header.get("precision")}),
        "torch_build": _torch_build(),
        "torch_threads": config["torch_threads"],
    }


def page_facts(record: Mapping) -> dict[str, object]:
    """Return what the page says of a record, without its date: ``warnings``, ``sentences`` and ``versions``."""
    device, inputs, versions = record["device"], record["inputs"], record["versions"]
    trained = [device["processor"] if name == "cpu" else name for name in device["trained_on"]]
    hardware = " and ".join(trained or device["gpus"] or [device["processor"] or "a processor"])
    precision = " and ".join(device["training_precision"])
    files, volumes = len(inputs["files"]), inputs["volumes"]["read"]
    again = ", the same at the end as when they were read" if record["changed"]["volumes_checked"] == volumes else ""
    again = "" if record["changed"]["volumes"] or record["changed"]["volumes_gone"] else again
    sentences = [
        f"voxplain {versions['voxplain'] or '(unknown version)'}, seed {record['seeds']['seed']}, on {hardware}"
        + (f", networks trained in {precision}" if precision else "")
        + f", {_count(device['torch_threads'], 'thread')} for each torch job.",
        f"In: {_count(files, 'file')} that the settings name, and the images of {volumes} people "
        f"(fingerprint {inputs['volumes']['checksum']}{again}).",
        f"Out: {_count(len(record['outputs']), 'table, network or map', 'tables, networks and maps')} "
        f"(fingerprint {record['fingerprint']}). Runs with equal fingerprints have equal results; provenance.json has "
        "the checksum of every file and of the code of every stage.",
    ]
    strangers = [f"{name} {both['installed']} ({both['pinned']})" for name, both in record["not_as_pinned"].items()]
    if strangers:
        sentences.append(f"Other versions than the ones that were tested together: {', '.join(strangers)}.")
    known = {name: number for name, number in versions.items() if number is not None}
    return {"warnings": change_warnings(record["changed"]), "sentences": sentences, "versions": known}


def change_warnings(changed: Mapping) -> list[str]:
    """Return a sentence when input changed while the run went on; it says how many files, and never whose."""
    parts = [
        (len(changed["files"]), "file that the settings name", "files that the settings name"),
        (changed["volumes"], "person's image", "people's images"),
    ]
    told = [_count(*part) for part in parts if part[0]]
    warnings = []
    if told:
        warnings.append(
            f"Input changed after it had been read ({' and '.join(told)}), so that these results mix two states of the "
            "data. Run again; if Snakemake finds nothing to do, with --forcerun record_inputs tabulate_participants "
            "downsample."
        )
    if changed["volumes_gone"]:
        gone = _count(changed["volumes_gone"], "person's image is", "people's images are")
        warnings.append(f"{gone} no longer where the run read it.")
    return warnings


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _own_version() -> str | None:
    project = WORKFLOW.parent / "pyproject.toml"
    if not project.is_file():
        return _version("voxplain")
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]


def _torch_build() -> str | None:
    """Return torch's version with its build (``+cpu``, ``+cu130``), without the seconds that importing it takes."""
    package = find_spec("torch")
    path = Path(package.origin).with_name("version.py") if package and package.origin else None
    found = re.search(r"^__version__ = '([^']+)'", path.read_text(encoding="utf-8"), re.M) if path else None
    return found[1] if found else None


def _header(path: str | os.PathLike) -> dict[str, str]:
    """Return the texts in a safetensors file's header; its values are JSON or plain."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        fields = json.loads(file.read(length)).get("__metadata__") or {}
    return {name: text.strip('"') for name, text in fields.items()}


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", described.read_text(), re.M) if described.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Return the kinds of NVIDIA GPUs that the driver lists, without asking torch for them."""
    descriptions = Path("/proc/driver/nvidia/gpus").glob("*/information")
    found = [re.search(r"^Model:\s*(.+)$", path.read_text(), re.M) for path in descriptions]
    return sorted({match[1].strip() for match in found if match})
