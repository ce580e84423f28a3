"""What the configuration lets in, and what it keeps out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def snakemake(folder, *arguments):
    """Run Snakemake from the repository's own folder, as a user does, with another working directory."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
        + ["--cores", "1", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def hcp(tmp_path):
    """Paths for hcp.yaml: an empty folder and a CSV of twenty people without images."""
    (tmp_path / "HCP_1200").mkdir()
    rows = "\n".join(f"{100000 + i},S1200,Q01,{'FM'[i % 2]},26-30" for i in range(20))
    (tmp_path / "unrestricted.csv").write_text(f"Subject,Release,Acquisition,Gender,Age\n{rows}\n")
    config = yaml.safe_load((ROOT / "config" / "hcp.yaml").read_text())
    config["cohort"]["hcp"] |= {
        "root": str(tmp_path / "HCP_1200"),
        "unrestricted_csv": str(tmp_path / "unrestricted.csv"),
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return tmp_path, file, config


def test_a_mistyped_key_fails_at_once(hcp):
    folder, file, config = hcp
    config["population"] = {"treshold": {"value": 3}}
    file.write_text(yaml.safe_dump(config))
    done = snakemake(folder, "--configfile", str(file), "--dry-run")
    assert done.returncode != 0
    assert "treshold" in done.stdout


def test_a_mistyped_key_on_the_command_line_fails_at_once(tmp_path):
    done = snakemake(tmp_path, "--configfile", str(ROOT / "config" / "demo.yaml"), "--dry-run", "--config", "sed=1")
    assert done.returncode != 0
    assert "sed" in done.stdout


def test_no_demo_key_reaches_another_run(hcp):
    """Parsed with hcp.yaml, the configuration holds its own folds and no trace of the phantom's settings."""
    folder, file, _ = hcp
    probe = folder / "Snakefile"
    text = (ROOT / "Snakefile").read_text().split('include: "')[0]
    text = text.replace('"workflow/schemas', f'"{ROOT}/workflow/schemas').replace(
        "workflow.current_basedir", f"'{ROOT}'"
    )
    probe.write_text(text + "\nimport json\nprint('CONFIG=' + json.dumps(config))\nrule none:\n    input: []\n")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(probe), "--directory", str(folder), "--dry-run"]
        + ["--configfile", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    config = json.loads(re.search(r"CONFIG=(.*)", done.stdout + done.stderr)[1])
    assert config["name"] == "hcp"
    assert config["folds"]["count"] == 10
    assert config["model"]["arguments"] == {}
    assert "phantom" not in config["cohort"] or config["cohort"]["source"] == "hcp"
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    assert demo["training"]["batch_size"] != config["training"]["batch_size"] == 45


def test_too_few_images_is_said_before_anything_runs(hcp):
    folder, file, _ = hcp
    done = snakemake(folder, "--configfile", str(file), "--dry-run")
    assert done.returncode != 0
    assert str(folder / "HCP_1200") in done.stdout
    assert "MNINonLinear/T1w_restore_brain.nii.gz" in done.stdout
    assert "min_found" in done.stdout
    assert "Traceback" not in done.stdout


def test_missing_labels_are_named(hcp):
    folder, file, config = hcp
    del config["cohort"]["labels"]
    file.write_text(yaml.safe_dump(config))
    done = snakemake(folder, "--configfile", str(file), "--dry-run")
    assert done.returncode != 0
    assert "cohort.labels" in done.stdout
    assert "at least two labels" in done.stdout


@pytest.mark.parametrize(
    "name", ["hcp.yaml", "hcp_paper.yaml", "demo.yaml", "brain_age.yaml", "preterm.yaml", "bids.yaml"]
)
def test_every_shipped_config_is_valid_and_lists_only_known_keys(name):
    from snakemake.utils import validate

    config = yaml.safe_load((ROOT / "config" / name).read_text())
    validate(config, str(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    assert config["seed"] == 42  # a default that was filled in


def test_every_profile_has_the_common_keys():
    common = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    for path in ROOT.glob("profiles/*/config.yaml"):
        profile = yaml.safe_load(path.read_text())
        missing = {key for key in common if profile.get(key) != common[key]}
        assert not missing, f"{path} lacks {missing}"


def test_conda_files_have_the_versions_of_the_requirements():
    other = {"python-isal": "isal", "jinja2": "Jinja2", "pytorch-cpu": "torch", "pytorch-gpu": "torch"}
    other["py-xgboost-cpu"] = "xgboost"
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "envs" / "requirements.txt").read_text(), re.M))
    assert pins.pop("xgboost-cpu") == pins["xgboost"]
    for path in (ROOT / "envs").glob("*.yaml"):
        listed = [entry.split("=") for entry in yaml.safe_load(path.read_text())["dependencies"]]
        versions = {other.get(name, name): version for name, version in listed if name != "python"}
        assert versions == {name: pins[name] for name in pins if name not in ("snakemake", "Pygments")}


def test_the_library_never_imports_snakemake_and_arrows_never_point_upward():
    floors = ["base", "imaging", "cohort", "models", "baselines", "attribution", "features", "population"]
    floors += ["evaluation", "reporting", "configuration", "running"]
    library = ROOT / "workflow" / "scripts" / "voxplain"
    wrong = []
    for path in library.rglob("*.py"):
        own = path.relative_to(library).parts[0]
        text = path.read_text()
        wrong += [f"{path}: snakemake" for _ in re.findall(r"^\s*(?:from|import) snakemake", text, re.M)]
        for package in re.findall(r"^\s*(?:from|import) voxplain\.(\w+)", text, re.M):
            if own in floors and floors.index(package) > floors.index(own):
                wrong.append(f"{path}: {package}")
    assert not wrong


def test_the_catalogue_s_snakefile_plans_the_same(tmp_path):
    """The workflow catalogue wants workflow/Snakefile; it includes the front door, paths and default target intact."""
    planned = []
    for number, file in enumerate(("Snakefile", "workflow/Snakefile")):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / file), "--cores", "1", "--dry-run"]
        done = subprocess.run(
            [*command, "--quiet", "rules", "--directory", str(tmp_path / str(number))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        rows = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)
        planned.append({rule: int(count) for rule, count in rows})
    assert planned[0].pop("report") == planned[1].pop("everything") == 1
    assert planned[0] == planned[1]
    assert planned[0]["total"] > 100
