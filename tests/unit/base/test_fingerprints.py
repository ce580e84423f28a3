"""Changed code re-runs the jobs that use it, and no others."""

import pytest

from voxplain.base.fingerprints import code_hash

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


def test_equal_code_has_equal_hashes(write):
    assert code_hash("voxplain.methods.one", folder=write()) == code_hash("voxplain.methods.one", folder=write())


@pytest.mark.parametrize("changed", ["one", "shared", "deep"])
def test_a_change_in_anything_imported_shows(write, changed):
    before = code_hash("voxplain.methods.one", folder=write())
    assert (
        code_hash("voxplain.methods.one", folder=write(**{changed: FILES[f"methods/{changed}.py"] + "y = 2\n"}))
        != before
    )


def test_imports_inside_functions_count(write):
    before = code_hash("voxplain.methods.two", folder=write())
    assert code_hash("voxplain.methods.two", folder=write(deep="x = 3\n")) != before


def test_a_sibling_does_not_show(write):
    assert code_hash("voxplain.methods.one", folder=write()) == code_hash(
        "voxplain.methods.one", folder=write(two="changed = 1\n")
    )


def test_what_is_left_out_is_not_followed(write):
    without = ("voxplain.methods.two",)
    first, second = write(), write(two="changed = 1\n")
    name = "voxplain.methods.registry"
    assert code_hash(name, folder=first) != code_hash(name, folder=second)
    assert code_hash(name, without=without, folder=first) == code_hash(name, without=without, folder=second)


def test_the_library_itself_can_be_followed():
    assert len(code_hash("voxplain.attribution.explaining")) == 16
