"""What the documents name exists: links, files, keys, modules, messages; and their code runs."""

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("docs/*.md")])
SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(language):
    """Every code block of a language, with the page and the line of its beginning as the test's name."""
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            if found[1] == language:
                line = text.count("\n", 0, found.start()) + 2
                yield pytest.param(found[2], id=f"{name_of(page)}:{line}")


@cache
def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text, found = BLOCK.sub("", page.read_text()), []
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text())
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_every_page_is_in_the_contents():
    listed = re.findall(r"\]\(([^)#]+)", (ROOT / "docs" / "index.md").read_text())
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"} <= set(listed)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_of_the_repository_that_are_named_exist(page):
    folders = "workflow|config|docs|envs|tests|profiles"
    named = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]*\w)", page.read_text())
    made_by_the_reader = ("profiles/mysite",)
    assert [path for path in named if not (ROOT / path).exists() and path not in made_by_the_reader] == []


def options_of(schema):
    """The forms that a value may have, `oneOf` followed."""
    return [schema, *schema.get("oneOf", [])]


def in_schema(path):
    """Whether a dotted path of keys is one of the configuration's."""
    places = [SCHEMA]
    for key in path:
        after = []
        for place in places:
            if key in place.get("properties", {}):
                after += options_of(place["properties"][key])
            elif isinstance(place.get("additionalProperties"), dict):
                after.append(place["additionalProperties"])
            elif place.get("type") == "object" and "properties" not in place:
                return True  # arguments of something else
        places = after
    return bool(places)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_keys_of_the_configuration_exist(page):
    sections = "|".join(SCHEMA["properties"])
    named = re.findall(rf"`((?:{sections})\.[A-Za-z_.]*\w)(?:[:`])", page.read_text())
    files = (".tsv", ".smk", ".safetensors", ".nii.gz")
    assert [key for key in named if not in_schema(key.split(".")) and not key.endswith(files)] == []


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_yaml_names_keys_that_exist(text):
    def leaves(value, path=()):
        if isinstance(value, dict) and value:
            for key, part in value.items():
                yield from leaves(part, (*path, key))
        else:
            yield path

    config = yaml.safe_load(text)
    if set(config) <= set(SCHEMA["properties"]):
        assert [path for path in leaves(config) if not in_schema(path)] == []
    else:  # of a Snakemake profile
        assert set(config) <= {"set-resources"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_functions_of_the_library_exist(page):
    for dotted in set(re.findall(r"`(voxplain(?:\.\w+)+)`", page.read_text())):
        parts = dotted.split(".")
        try:
            importlib.import_module(dotted)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(".".join(parts[:-1])), parts[-1]), dotted


@pytest.mark.parametrize("text", list(blocks("python")))
def test_python_is_valid_and_imports_what_there_is(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("voxplain"):
            module = importlib.import_module(node.module)
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


def test_examples_are_short_and_shown_as_they_are():
    text = (ROOT / "docs" / "extending.md").read_text()
    whole = yaml.safe_load((ROOT / "docs" / "examples" / "own_parts.yaml").read_text())
    for file in (ROOT / "docs" / "examples").iterdir():
        content = file.read_text()
        assert len(content.splitlines()) <= 30, file.name
        if file.suffix == ".py":
            assert f"```python\n{content}```" in text, file.name
        if file.suffix == ".tsv":
            assert "\n".join(content.splitlines()[:5]) in text

    def part_of(part, of):
        if isinstance(part, dict):
            return all(key in of and part_of(value, of[key]) for key, value in part.items())
        return part == of

    shown = [yaml.safe_load(found[2]) for found in BLOCK.finditer(text) if found[1] == "yaml"]
    assert len(shown) == 4
    assert all(part_of(one, whole) for one in shown)


def test_keys_of_an_own_method_have_the_defaults_that_extending_md_says():
    text = (ROOT / "docs" / "extending.md").read_text()
    (table,) = re.findall(r"^\| key \| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    said = {}
    for row in table.splitlines():
        keys, default, _ = row.strip("|").split("|")
        said |= dict.fromkeys(re.findall(r"`(\w+)`", keys), yaml.safe_load(default.strip(" `")))
    own = SCHEMA["properties"]["maps"]["properties"]["own"]["additionalProperties"]
    known = own["properties"].items()
    assert said == {key: "required" if key in own["required"] else value["default"] for key, value in known}


def test_an_own_method_is_registered_as_extending_md_does(monkeypatch):
    from voxplain.attribution.registry import METHODS

    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs" / "extending.md").read_text()
    (code,) = [found[2] for found in BLOCK.finditer(text) if found[1] == "python" and "register(" in found[2]]
    before = dict(METHODS)
    try:
        exec(compile(code, "extending.md", "exec"), {})
        assert METHODS["gradient_times_input"].settings().power == 1.0
    finally:
        METHODS.clear()
        METHODS.update(before)


@cache
def messages():
    """Texts of the library and the rules, with … for what is filled in."""
    found = []
    for path in (ROOT / "workflow" / "scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(one.value if isinstance(one, ast.Constant) else "…" for one in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


FROM_SNAKEMAKE_OR_THE_MACHINE = (
    "Error: Directory cannot be locked",
    "Error recording metadata",
    "died with",
    "Config file is not valid",
    "Out of memory: CUDA out of memory",
    "Out of memory: Unable to allocate",
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
    "File too large",
)


def test_messages_in_troubleshooting_are_those_of_the_software():
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M)
    unknown = []
    for message in (part for heading in headings for part in re.findall(r"`([^`]+)`", heading)):
        if message.startswith(FROM_SNAKEMAKE_OR_THE_MACHINE):
            continue
        # What stands between the gaps of a clause stands in one text of the software, in this order.
        for clause in message.split(";"):
            parts = [part.strip(" …:") for part in re.split(r"…|\bN\b|\d+|cuda:", clause) if part.strip(" …:,")]
            wanted = re.compile(".*".join(map(re.escape, parts)), re.S)
            if not any(wanted.search(text) for text in messages()):
                unknown.append(clause)
    assert not unknown


def test_the_catalogue_and_the_citation_know_this_version():
    catalogue = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert catalogue["software-stack-deployment"]["conda"] is True
    assert catalogue["report"] is True
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert citation["version"] == version
    assert f"## {version}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert {"cff-version", "message", "title", "authors", "license", "references"} <= set(citation)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text = (ROOT / "docs" / "tutorial.md").read_text()
    code = "\n".join(found[2] for found in BLOCK.finditer(text) if found[1] == "python")
    checks = (
        "assert tuple(maps['gradcam'].shape) == (3, 58, 70, 58)\n"
        "assert right.mean() > 0.8\n"
        "print('AUC', *(f\"{score(found[name], truth, brain)['auc']:.2f}\" for name in found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{checks}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    gradcam, smoothgrad = map(float, done.stdout.splitlines()[-1].split()[1:])
    # What the page says, but for what another processor makes of a short training.
    said = re.search(r"prints ([\d.]+) for Grad-CAM and ([\d.]+) for SmoothGrad", text)
    assert abs(gradcam - float(said[1])) < 0.15
    assert abs(smoothgrad - float(said[2])) < 0.1
    assert (tmp_path / "smoothgrad.png").stat().st_size > 10_000
    assert (tmp_path / "smoothgrad.nii.gz").is_file()
