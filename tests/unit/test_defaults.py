"""The schema's defaults are the library's: a user of either gets the same."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from voxplain.attribution import CONTRIBUTIONS, METHOD_NAMES, NON_NEGATIVE
from voxplain.attribution.perturbation_settings import PAPER, PerturbationSettings
from voxplain.attribution.registry import METHODS
from voxplain.cohort.phantom import PhantomSettings
from voxplain.models.settings import TrainingSettings

SCHEMA = yaml.safe_load((Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml").read_text())
SECTIONS = SCHEMA["properties"]


def defaults_of(section):
    return {key: value["default"] for key, value in section["properties"].items() if "default" in value}


@pytest.mark.parametrize("method", list(METHODS))
def test_settings_of_methods(method):
    listed = defaults_of(SECTIONS["maps"]["properties"]["methods"]["properties"][method])
    own = {field.name: field.default for field in fields(METHODS[method].settings)}
    assert {key: listed.pop(key) for key in ("target", "people", "batch_size")} == dict.fromkeys(
        ("target", "people", "batch_size")
    )
    assert listed == own


def test_names_and_signs_of_methods_are_known_without_the_registry():
    assert set(METHOD_NAMES) == set(METHODS)
    assert {name for name, method in METHODS.items() if not method.signed} == NON_NEGATIVE
    assert {name for name, method in METHODS.items() if method.contribution} == CONTRIBUTIONS
    assert not CONTRIBUTIONS & NON_NEGATIVE


def test_the_paper_s_config_is_the_paper_s_settings():
    config = yaml.safe_load((Path(__file__).parents[2] / "config" / "hcp_paper.yaml").read_text())
    settings = config["maps"]["methods"]["perturbation"]
    assert settings.pop("target") == "predicted"
    assert PerturbationSettings(**settings) == PAPER


def test_settings_of_the_phantom():
    listed = defaults_of(SECTIONS["cohort"]["properties"]["phantom"])
    own = {field.name: field.default for field in fields(PhantomSettings) if field.name != "seed"}
    assert listed.pop("keep_volumes") is False
    assert listed == own


def test_settings_of_the_training():
    listed = defaults_of(SECTIONS["training"])
    own = {
        field.name: list(field.default) if isinstance(field.default, tuple) else field.default
        for field in fields(TrainingSettings)
        if field.default is not MISSING and field.name in listed
    }
    own["batch_size"] = 45  # the paper's; the library alone is kinder to small cohorts
    assert listed == own


def test_every_key_has_a_type_and_every_leaf_but_the_needed_ones_a_default():
    def walk(section, path):
        for key, value in section.get("properties", {}).items():
            if value.get("type") == "object":
                yield from walk(value, f"{path}.{key}")
            elif "default" not in value:
                yield f"{path}.{key}"

    needed = {
        ".name", ".cohort.source", ".cohort.target", ".cohort.hcp.root", ".cohort.hcp.unrestricted_csv",
        ".cohort.table.file", ".cohort.bids.root",
    }  # fmt: skip
    assert set(walk(SCHEMA, "")) == needed
