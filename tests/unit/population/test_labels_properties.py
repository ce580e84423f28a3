"""Tables of labels of any content: names that can be shown, one for each whole number, or a refusal with the path."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxplain.base.errors import InputError
from voxplain.population.atlas_labels import LARGEST_LABEL, LONGEST_NAME, hemisphere, read_labels

QUICK = settings(max_examples=200, deadline=None, database=None, derandomize=True)
LONG = settings(max_examples=10000, deadline=None, database=None)
PIECES = [
    b"index",
    b"name",
    b"\t",
    b",",
    b";",
    b"\n",
    b"\r\n",
    b'"',
    b"1",
    b"2",
    b" ",
    b"Box L",
    b"255 0 0",
    b"#",
    b"<",
    b"\0",
]
PIECES += [
    b"<label index='1'>",
    b"</label>",
    b"<atlas>",
    b"</atlas>",
    b"<?xml version='1.0' encoding='utf-7'?>",
    b"\xe9",
    b"-",
    b".",
]
contents = st.one_of(st.binary(max_size=120), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("labels") / "names.txt"


def check(file, content):
    file.write_bytes(content)
    try:
        table = read_labels(file)
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert not refusal or str(file) in refusal
    if refusal:
        return
    assert list(table.columns) == ["index", "name"]
    assert table["index"].is_unique
    assert table["index"].is_monotonic_increasing
    assert ((table["index"] > 0) & (table["index"] < LARGEST_LABEL)).all()
    for name in table["name"]:
        assert 0 < len(name) <= LONGEST_NAME
        assert name.isprintable()
        assert hemisphere(name) in ("left", "right", "both")


@QUICK
@example(content=b'"index,name"\n1,a\n')
@example(content=b"<?xml version='1.0' encoding='none'?><a/>")
@example(content=b"1 a" + b" " * 900 + b"b\n" + b"2 a" + b"," * 900 + b"b\n")
@given(content=contents)
def test_any_bytes(file, content):
    check(file, content)


@pytest.mark.slow
@LONG
@given(content=contents)
def test_many_more_bytes(file, content):
    check(file, content)


names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30)


@QUICK
@given(names=st.dictionaries(st.integers(0, 10**5), names, min_size=1, max_size=6), delimiter=st.sampled_from("\t,;"))
def test_names_come_back(file, names, delimiter):
    """As they were written, but for blanks, which are made single, and quotation marks around them."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["index", "name"], *names.items()])
    file.write_text(text.getvalue(), newline="")
    expected = {index: " ".join(name.split()).strip("\"'") for index, name in names.items()}
    try:
        table = read_labels(file)
    except InputError:
        assert not all(name and name.isprintable() for name in expected.values())
        return
    expected.pop(0, None)
    assert dict(zip(table["index"].tolist(), table["name"], strict=True)) == expected
