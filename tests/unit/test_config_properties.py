"""Configurations of any content: what is wrong with them is said, one line each, and nothing else happens."""

import copy
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from voxplain.base.errors import InputError
from voxplain.config_check import ADVICE, HEADLINE, against, check_plain, complaint

ROOT = Path(__file__).parents[2]
FILE = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SCHEMA = yaml.safe_load(FILE.read_text())
DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
QUICK = settings(max_examples=60, deadline=None, database=None, derandomize=True)
LONG = settings(max_examples=1500, deadline=None, database=None)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["F", "1e-4", "mni", "a/b"]),
    ),
    lambda parts: st.one_of(st.lists(parts, max_size=3), st.dictionaries(st.text(max_size=5), parts, max_size=3)),
    max_leaves=6,
)


def keys_of(schema, path=()):
    """All keys that the schema knows."""
    for name, part in schema.get("properties", {}).items():
        yield (*path, name)
        yield from keys_of(part, (*path, name))


KEYS = list(keys_of(SCHEMA))


def changed(keys, value):
    config = copy.deepcopy(DEMO)
    section = config
    for name in keys[:-1]:
        if not isinstance(section.get(name), dict):
            section[name] = {}
        section = section[name]
    section[keys[-1]] = value
    return config


def check(keys, value):
    """Every problem that a validator sees has a line, and what it lets pass has none."""
    config = changed(keys, value)
    lines = list(against(config, SCHEMA))
    assert bool(lines) == (not Draft202012Validator(SCHEMA).is_valid(config))
    for line in lines:
        assert line == line.strip()
        assert "\n" not in line
        assert len(line) < 400
    said = complaint(ValueError("other"), config, FILE)
    assert said.splitlines()[0] == (HEADLINE if lines else "other")
    refusal = None
    try:
        check_plain(config)
    except InputError as error:
        refusal = error
    if refusal is not None:
        assert str(refusal).splitlines()[0] == HEADLINE
        assert str(refusal).splitlines()[-1] == ADVICE
        assert complaint(refusal, config, FILE) == str(refusal)
    else:
        assert all(math.isfinite(part) for part in leaves(value) if isinstance(part, float))


def leaves(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


@QUICK
@given(keys=st.sampled_from(KEYS), value=values)
def test_any_value_of_any_key(keys, value):
    check(keys, value)


@pytest.mark.slow
@LONG
@given(keys=st.sampled_from(KEYS), value=values)
def test_many_values_of_any_key(keys, value):
    check(keys, value)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_in_order(path):
    config = yaml.safe_load(path.read_text())
    check_plain(config, [path])
    assert list(against(config, SCHEMA)) == []


def test_aliases_are_no_repetition(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n")
    check_plain(yaml.safe_load(path.read_text()), [path])
    path.write_text("a: {b: 1, b: 2}\nc: [{d: 1, e: 2, d: 3}]\n")
    with pytest.raises(InputError) as refused:
        check_plain({}, [path])
    assert str(refused.value).splitlines()[1:3] == [
        f"  - a.b: stands in the lines 1 and 1 of {path}; only the last would count",
        f"  - c[0].d: stands in the lines 2 and 2 of {path}; only the last would count",
    ]
