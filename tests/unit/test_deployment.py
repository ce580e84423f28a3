"""The ways to install: containers hold the pinned versions and all that a run needs, and nothing of anybody's data."""

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RECIPES = ("Dockerfile", "envs/apptainer.def")


def docker():
    """Instructions of the Dockerfile in their order: (word, what follows)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def apptainer(section):
    """Lines of a section of the Apptainer recipe, without comments; '' is the head."""
    parts = re.split(r"^%(\w+)\n", (ROOT / "envs" / "apptainer.def").read_text(), flags=re.M)
    sections = dict(zip(["", *parts[1::2]], [parts[0], *parts[2::2]], strict=True))
    lines = [line.strip() for line in sections[section].splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def copies(recipe):
    """What a recipe copies: (source in the repository, target in the image)."""
    if recipe != "Dockerfile":
        return [tuple(line.split()) for line in apptainer("files")]
    found = []
    for word, rest in docker():
        if word == "COPY":
            *sources, target = rest.split()
            found += [(source, target + source if target.endswith("/") else target) for source in sources]
    return found


def commands(recipe):
    """What a recipe runs while it builds."""
    return apptainer("post") if recipe != "Dockerfile" else [rest for word, rest in docker() if word == "RUN"]


def ignored(path):
    """Whether .dockerignore keeps a file from the image: the last pattern that fits it or a folder above it counts."""
    answer = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.removeprefix("!")
        names = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
        deep = bare.startswith("**/")
        fits = any(
            fnmatch.fnmatch(name.name, bare[3:]) if deep else fnmatch.fnmatch(str(name), bare)
            for name in names
            if deep or str(name).count("/") == bare.count("/")
        )
        answer = not pattern.startswith("!") if fits else answer
    return answer


@pytest.fixture(params=RECIPES)
def image(request, tmp_path):
    """The files of an image, as its recipe copies them, below a folder."""
    for source, target in copies(request.param):
        for path in [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*")):
            relative = path.relative_to(ROOT).as_posix()
            if path.is_dir() or (request.param == "Dockerfile" and ignored(relative)) or "__pycache__" in relative:
                continue
            place = tmp_path / target.lstrip("/") / path.relative_to(ROOT / source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
    return request.param, tmp_path


def test_the_image_holds_what_a_run_needs(image):
    """A run of the demo is planned from the image's own files, in an empty folder, by the command of the recipe."""
    recipe, folder = image
    if recipe == "Dockerfile":
        command = json.loads(dict(docker())["ENTRYPOINT"])
    else:
        (line,) = apptainer("runscript")
        command = shlex.split(line.removeprefix("exec "))[:-1]
    assert command[0] == "snakemake"
    study = folder / "study"
    study.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", *(part.replace("/opt/", f"{folder}/opt/") for part in command)]
        + ["--cores", "1", "--dry-run", "--quiet", "rules"],
        cwd=study,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "profiles/default" in done.stdout  # the profile of the image is found
    planned = dict(line.split()[:2] for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert planned["train_fold"] == "4"
    assert planned["write_page"] == "1"


def test_the_image_installs_the_pins_and_nothing_else(image):
    """The very line of the recipe finds every requirement fulfilled here, where the requirements are installed."""
    recipe, folder = image
    installs = [command for command in commands(recipe) if re.search(r"\b(pip|apt|apt-get|conda)\b", command)]
    assert len(installs) == 1
    words = [word.replace("/opt/", f"{folder}/opt/") for word in shlex.split(installs[0])]
    assert words[:4] == ["python", "-m", "pip", "install"]
    assert words[words.index("--requirement") + 1] == f"{folder}/opt/voxplain/envs/requirements.txt"
    done = subprocess.run(
        [sys.executable, *words[1:], "--dry-run", "--no-index", "--disable-pip-version-check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Would install" not in done.stdout


def test_the_library_of_the_image_compiles(image):
    recipe, folder = image
    (line,) = [command for command in commands(recipe) if "compileall" in command]
    words = [word.replace("/opt/", f"{folder}/opt/") for word in shlex.split(line)]
    subprocess.run([sys.executable, *words[1:]], check=True, timeout=120)
    assert list(folder.glob("opt/voxplain/workflow/scripts/voxplain/base/__pycache__/*.pyc"))


def test_everywhere_the_same_python():
    base = dict(docker())["FROM"]
    assert f"From: {base}" in apptainer("")
    (chosen,) = re.findall(r"^python:(\d+\.\d+)-", base)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chosen in SpecifierSet(project["requires-python"])
    for name in ("cpu", "gpu"):
        environment = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())
        assert f"python={chosen}" in environment["dependencies"]


def test_environments_for_processors_and_for_gpus_differ_in_torch_alone():
    cpu, gpu = (yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text()) for name in ("cpu", "gpu"))
    different = set(cpu["dependencies"]) ^ set(gpu["dependencies"])
    assert {entry.split("=")[0] for entry in different} == {"pytorch-cpu", "pytorch-gpu"}
    assert len({entry.split("=")[1] for entry in different}) == 1
    assert cpu["channels"] == gpu["channels"] == ["conda-forge"]


def test_nobody_is_root_and_the_study_is_writable():
    words = [word for word, _ in docker()]
    users = [rest for word, rest in docker() if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert words.index("USER") < words.index("ENTRYPOINT")
    workdir = dict(docker())["WORKDIR"]
    (line,) = [rest for word, rest in docker() if word == "RUN" and "useradd" in rest]
    assert f"--owner {users[-1]} {workdir}" in line


@pytest.mark.parametrize(
    "path",
    [
        "results/hcp/private/participants.tsv", ".git/config", ".venv/bin/python", ".snakemake/log/a.log",
        "tests/unit/conftest.py", "RESTRICTED.csv", "config/brain.nii.gz", "workflow/scripts/weights.safetensors",
        "workflow/scripts/voxplain/__pycache__/a.pyc",
    ],
)  # fmt: skip
def test_nothing_of_anybodys_data_gets_into_the_image(path):
    assert ignored(path)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_copied_is_there_and_not_ignored(recipe):
    assert copies(recipe)
    for source, target in copies(recipe):
        assert (ROOT / source).exists()
        assert target == f"/opt/voxplain/{source}"
        assert not ignored(source)


@pytest.mark.parametrize("path", [*RECIPES, ".dockerignore", "docs/deployment.md"])
def test_no_registry_is_named(path):
    assert not re.search(r"\b[\w-]+\.(?:org|com|io|net|dev)\b|://", (ROOT / path).read_text())


def test_all_that_the_requirements_pull_in_is_pinned():
    text = "\n".join((ROOT / "envs" / name).read_text() for name in ("requirements.txt", "constraints.txt"))
    pins = {canonicalize_name(name): pin for name, pin in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.M)}
    todo, seen, loose = [(name, frozenset()) for name in pins], set(), []
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # of another platform
        for line in needs:
            need = Requirement(line)
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                continue
            needed = canonicalize_name(need.name)
            # torch itself pins what its CUDA build needs.
            if needed not in pins and not needed.startswith(("nvidia-", "cuda-", "triton")):
                loose.append(f"{name} needs {needed}")
            todo.append((needed, frozenset(need.extras)))
    assert len(seen) > 40
    assert sorted(loose) == []
