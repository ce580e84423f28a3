"""Profiles agree with one another and with the rules: names of rules, partitions for GPU jobs, memory for every job."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILES = {path.parent.name: path for path in (ROOT / "profiles").glob("*/config.yaml")}
CLUSTERS = {"slurm": "slurm_partition", "generic": "queue"}
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
# Rules by name, each with its text up to the next one.
TEXT = dict(re.findall(r"^rule (\w+):\n((?:(?!^rule ).*\n?)*)", RULES, flags=re.MULTILINE))
ON_GPU = {name for name, text in TEXT.items() if re.search(r"^        gpu=", text, flags=re.MULTILINE)}


def read(name):
    return yaml.safe_load(PROFILES[name].read_text())


def section(text, word):
    """The lines of one directive of a rule."""
    found = re.search(rf"^    {word}:\n((?:        .*\n)+)", text, flags=re.MULTILINE)
    return found[1] if found else ""


def test_there_is_a_profile_for_each_place():
    assert set(PROFILES) == {"default", *CLUSTERS}
    assert len(ON_GPU) >= 16


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_cluster_profile_repeats_what_the_default_one_says(cluster):
    """Snakemake reads one workflow profile: what is left out would be lost on clusters."""
    profile = read(cluster)
    assert {key: profile.get(key) for key in read("default")} == read("default")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_rule_that_is_named_exists(cluster):
    assert set(read(cluster)["set-resources"]) <= set(TEXT)


@pytest.mark.parametrize(("cluster", "where"), CLUSTERS.items())
def test_jobs_that_ask_for_a_gpu_and_no_others_go_where_there_is_one(cluster, where):
    profile = read(cluster)
    special = {name for name, given in profile["set-resources"].items() if where in given}
    assert special == ON_GPU
    places = {profile["set-resources"][name][where] for name in special}
    assert len(places) == 1
    assert "gpu" in places.pop()
    assert "gpu" not in profile["default-resources"][where]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_is_not_said_of_a_job_is_said_of_all_and_grows_with_every_attempt(cluster):
    profile = read(cluster)
    for name in ("mem_mb", "runtime"):
        assert "attempt" in str(profile["default-resources"][name])
    assert profile["retries"] > 0


@pytest.mark.parametrize("name", sorted(ON_GPU))
def test_jobs_on_gpus_say_themselves_how_much_memory_they_need(name):
    assert "mem_mb=" in section(TEXT[name], "resources")


def test_what_rules_say_of_memory_and_time_grows_with_every_attempt():
    told = {name: section(text, "resources") for name, text in TEXT.items()}
    lines = [
        (name, line) for name, text in told.items() for line in text.splitlines() if re.search("mem_mb=|runtime=", line)
    ]
    assert len(lines) > len(ON_GPU)
    assert [pair for pair in lines if "attempt: attempt" not in pair[1]] == []


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_files_of_a_profile_are_there_and_can_be_run(cluster):
    named = [word for word in re.findall(r"\S+\.sh\b", PROFILES[cluster].read_text())]
    for name in named:
        path = PROFILES[cluster].parent / name
        assert path.stat().st_mode & 0o111
    assert bool(named) == (cluster == "generic")
