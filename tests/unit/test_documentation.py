"""Every key of the configuration is explained, with the default that it has."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
TEXT = (ROOT / "config" / "README.md").read_text()


def leaves(section, path=()):
    for key, value in section.get("properties", {}).items():
        if value.get("properties"):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@pytest.mark.parametrize(("path", "value"), [pytest.param(*leaf, id=".".join(leaf[0])) for leaf in leaves(SCHEMA)])
def test_every_key_is_explained(path, value):
    names = {path[-1], ".".join(path), ".".join(path[-2:])}
    lines = [line for line in TEXT.splitlines() if any(re.search(rf"`[^`]*\b{re.escape(n)}\b", line) for n in names)]
    assert lines, f"config/README.md says nothing about {'.'.join(path)}"
    default = value.get("default")
    if isinstance(default, int | float) and not isinstance(default, bool):
        assert any(re.search(rf"(?<![\d.]){re.escape(f'{default:g}')}(?![\d.]\d)", line) for line in lines), lines


def test_documents_speak_of_no_machine_and_no_registry():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("config/*"), *ROOT.glob("docs/**/*.md")]:
        text = path.read_text()
        assert not re.search(r"pypi\.org|pythonhosted|conda\.anaconda|/home/|/root/|/work/", text), path
