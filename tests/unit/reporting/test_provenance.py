"""The record of a run: what it tells, and what it keeps to itself."""

import hashlib
import json
import re
from html import unescape
from importlib.metadata import version
from pathlib import Path

import pytest

from voxplain.reporting import provenance
from voxplain.reporting.input_files import Volumes, input_files, record_files
from voxplain.reporting.page import write_page
from voxplain.reporting.provenance import change_warnings, describe_run, installed_versions, page_facts, read_pins

ROOT = Path(__file__).resolve().parents[3]


def make_record(study, folder, **options):
    root, config = study
    results = folder / "results" / "x"
    for name, content in {"tables/dice.tsv": "a\n1\n", "models/fold-0/weights.safetensors": ""}.items():
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps({"__metadata__": {"precision": '"bfloat16"', "format": "voxplain-1"}}).encode()
        path.write_bytes(content.encode() or len(header).to_bytes(8, "little") + header)
    weights = [results / "models" / "fold-0" / "weights.safetensors"]
    known = {
        "inputs": record_files(input_files(config, results), root),
        "changed": [],
        "checksums": ["crc32:00000001", None],
        "volumes": Volumes(1, 0, 0),
    }
    outputs = [results / "tables" / "dice.tsv", *weights]
    return describe_run(config, root=root, weights=weights, outputs=outputs, results=results, **(known | options))


def test_the_record_of_a_run(study, tmp_path):
    record = make_record(study, tmp_path)
    assert record["versions"]["voxplain"] == "0.1.0"
    for name in read_pins(ROOT / "envs" / "requirements.txt"):
        assert record["versions"][name] == version("xgboost-cpu" if name == "xgboost" else name)
    assert record["seeds"]["seed"] == 7
    assert record["device"]["training_precision"] == ["bfloat16"]
    assert record["device"]["torch_threads"] == 2
    assert record["device"]["torch_build"].startswith("2.")
    assert record["device"]["processor"]
    assert {"images", "models", "maps", "report"} <= record["code"].keys()
    assert record["inputs"]["volumes"]["read"] == 1
    digest = hashlib.sha256(b"a\n1\n").hexdigest()
    assert record["outputs"]["tables/dice.tsv"] == digest
    assert list(record["outputs"]) == ["models/fold-0/weights.safetensors", "tables/dice.tsv"]
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    for told in ("jane", "56789", str(tmp_path), "RESTRICTED"):
        assert told not in text


def test_two_records_of_one_run_differ_in_their_date_only(study, tmp_path):
    first, second = make_record(study, tmp_path), make_record(study, tmp_path)
    assert first.pop("written")[:2] == second.pop("written")[:2] == "20"
    assert first == second


def test_another_volume_another_result_and_another_table_show_in_the_fingerprints(study, tmp_path):
    first = make_record(study, tmp_path)
    other = make_record(study, tmp_path, checksums=["crc32:00000002", None])
    assert first["inputs"]["volumes"]["checksum"] != other["inputs"]["volumes"]["checksum"]
    assert first["fingerprint"] == other["fingerprint"]
    root, _ = study
    (root / "unrestricted.csv").write_text("Subject\n2\n")
    assert make_record(study, tmp_path)["inputs"]["files"] != first["inputs"]["files"]


def test_versions_other_than_the_pinned_ones_are_told(study, tmp_path, monkeypatch):
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"numpy==0.0.1\ntorch=={version('torch').split('+')[0]}\n")
    monkeypatch.setattr(provenance, "REQUIREMENTS", pins)
    record = make_record(study, tmp_path)
    assert record["not_as_pinned"] == {"numpy": {"installed": version("numpy"), "pinned": "0.0.1"}}
    assert any("numpy" in sentence and "0.0.1" in sentence for sentence in page_facts(record)["sentences"])


@pytest.mark.parametrize(
    ("there", "recorded"), [({"xgboost": "3.1"}, "3.1"), ({"xgboost-cpu": "3.2"}, "3.2"), ({}, None)]
)
def test_xgboost_is_recorded_by_one_name_whatever_its_distribution(monkeypatch, there, recorded):
    monkeypatch.setattr(provenance, "_version", lambda name: there.get(name) if "xgboost" in name else "1")
    versions = installed_versions(read_pins(ROOT / "envs" / "requirements.txt"))
    assert versions["xgboost"] == recorded
    assert "xgboost-cpu" not in versions
    assert versions["torch"] == "1"


def test_changed_input_is_counted_on_the_page_and_nobody_is_named(study, tmp_path):
    record = make_record(
        study, tmp_path, changed=["cohort.hcp.unrestricted_csv", "atlases.a.image"], volumes=Volumes(9, 1, 3)
    )
    assert record["changed"] == {
        "files": ["cohort.hcp.unrestricted_csv", "atlases.a.image"],
        "volumes_checked": 9,
        "volumes": 1,
        "volumes_gone": 3,
    }
    changed, gone = page_facts(record)["warnings"]
    assert "2 files that the settings name and 1 person's image" in changed
    assert "3 people's images are" in gone
    assert change_warnings({"files": [], "volumes": 0, "volumes_gone": 0}) == []


def test_the_page_tells_how_the_run_came_about_and_warns_in_its_head(contents, tmp_path):
    write_page(tmp_path / "quiet.html", contents)
    contents["provenance"]["changed"] |= {"files": ["cohort.table.file"], "volumes": 2}
    write_page(tmp_path / "warned.html", contents)
    quiet, warned = (unescape((tmp_path / f"{name}.html").read_text()) for name in ("quiet", "warned"))
    for told in ("seed 42, on Abacus 9, networks trained in float32", "0123456789abcdef", "fedcba9876543210"):
        assert told in quiet
    assert "numpy 2.3.5" in quiet
    assert "captum" not in quiet.split('id="provenance"')[1].split("<details>")[0]  # not installed
    assert "Input changed" not in quiet
    assert "the same at the end as when they were read" in quiet
    assert "1 file that the settings name and 2 people's images" in warned.split("<main>")[0]
    assert "the same at the end" not in warned


def test_nothing_but_the_page_hangs_on_the_record():
    """Its date would make everything after it differ from run to run."""
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = re.sub(r"^#.*$", "", rules, flags=re.M)
    users = [rule.split(":")[0] for rule in re.split(r"^rule ", rules, flags=re.M)[1:] if "provenance.json" in rule]
    assert users == ["write_provenance", "write_page"]


@pytest.mark.parametrize(
    ("trained_on", "gpus", "told"),
    [
        ([], [], "on Abacus 9"),
        (["cpu"], ["Giant 1"], "on Abacus 9"),
        (["Giant 1"], [], "on Giant 1"),
        ([], ["Giant 1"], "on Giant 1"),
    ],
)
def test_what_the_networks_were_trained_on_goes_before_what_writes_the_record(contents, trained_on, gpus, told):
    contents["provenance"]["device"] |= {"trained_on": trained_on, "gpus": gpus}
    assert told in page_facts(contents["provenance"])["sentences"][0]
