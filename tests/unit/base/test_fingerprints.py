"""Changed code re-runs the jobs that use it, and no others."""

from pathlib import Path

import pytest

from voxplain.base.fingerprints import code_hash, stage_hashes

FILES = {
    "__init__.py": "",
    "methods/__init__.py": "",
    "methods/shared.py": "import voxplain.methods.deep\n",
    "methods/deep.py": "x = 1\n",
    "methods/one.py": "from voxplain.methods import shared\n",
    "methods/two.py": "def f():\n    from voxplain.methods.shared import g\n",
    "methods/registry.py": "from voxplain.methods import one, two\n",
}


@pytest.fixture
def write(tmp_path):
    """Write a copy of the little library, with some files changed, and return its folder."""
    count = 0

    def copy(**changed):
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        for name, text in (FILES | {f"methods/{key}.py": value for key, value in changed.items()}).items():
            path = folder / "voxplain" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return copy


def hash_of(folder, name, **options):
    script = folder / "script.py"
    script.write_text(f"from voxplain.methods import {name}\n")
    return code_hash(script, folder=folder, **options)


def test_equal_code_has_equal_hashes(write):
    assert hash_of(write(), "one") == hash_of(write(), "one")


@pytest.mark.parametrize("changed", ["one", "shared", "deep"])
def test_a_change_in_anything_imported_shows(write, changed):
    text = FILES[f"methods/{changed}.py"] + "y = 2\n"
    assert hash_of(write(), "one") != hash_of(write(**{changed: text}), "one")


def test_the_script_itself_counts(write):
    folder = write()
    (folder / "a.py").write_text("x = 1\n")
    (folder / "b.py").write_text("x = 2\n")
    assert code_hash(folder / "a.py", folder=folder) != code_hash(folder / "b.py", folder=folder)


def test_imports_inside_functions_count(write):
    assert hash_of(write(), "two") != hash_of(write(deep="x = 3\n"), "two")


def test_a_sibling_does_not_show(write):
    assert hash_of(write(), "one") == hash_of(write(two="changed = 1\n"), "one")


def test_what_is_left_out_is_not_followed_but_has_a_hash_of_its_own(write):
    without = ("voxplain.methods.two",)
    first, second = write(), write(two="changed = 1\n")
    assert hash_of(first, "registry") != hash_of(second, "registry")
    assert hash_of(first, "registry", without=without) == hash_of(second, "registry", without=without)
    own = [code_hash(folder / "voxplain" / "methods" / "two.py", folder=folder) for folder in (first, second)]
    assert own[0] != own[1]


def test_what_one_method_takes_from_another_counts():
    """HiResCAM finishes its maps as Grad-CAM does."""
    script = Path(__file__).parents[3] / "workflow" / "scripts" / "voxplain" / "attribution" / "hirescam.py"
    assert code_hash(script) != code_hash(script, without=["voxplain.attribution.gradcam"])


def test_the_scripts_of_the_workflow_can_be_followed():
    scripts = sorted((Path(__file__).parents[3] / "workflow" / "scripts").glob("*.py"))
    hashes = {code_hash(script) for script in scripts}
    assert len(hashes) == len(scripts) > 20


def test_a_stage_is_known_by_its_rules_its_scripts_and_what_they_import(write):
    def stages(rule="", **changed):
        folder = write(**changed)
        (folder / "rules").mkdir()
        (folder / "scripts").mkdir()
        (folder / "voxplain").rename(folder / "scripts" / "voxplain")
        for stage, module in (("first", "one"), ("second", "two")):
            (folder / "scripts" / f"{stage}.py").write_text(f"from voxplain.methods import {module}\n")
            (folder / "rules" / f"{stage}.smk").write_text(f'script:\n        "../scripts/{stage}.py"\n{rule}')
        return stage_hashes(folder)

    before = stages()
    assert list(before) == ["first", "second"]
    assert stages() == before
    assert stages(one="y = 3\n")["first"] != before["first"]
    assert stages(one="y = 3\n")["second"] == before["second"]
    assert stages(deep="y = 3\n").keys() == before.keys()
    assert not set(stages(deep="y = 3\n").values()) & set(before.values())
    assert not set(stages(rule="# other\n").values()) & set(before.values())
