"""Tables of any content: cells come back as they were written, or the file is refused; ids and labels are harmless."""

import csv
import html
import io
import math
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from voxplain.base.errors import InputError
from voxplain.base.names import check_labels
from voxplain.cohort.sheets import Sheet, read_ids, read_sheet
from voxplain.cohort.targets import numbers

QUICK = settings(max_examples=150, deadline=None, database=None, derandomize=True)
LONG = settings(max_examples=5000, deadline=None, database=None)
ODD = [
    "",
    "n/a",
    '"',
    '""',
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\ufeff",
    "\0",
    "\t",
    ",",
    ";",
    " x ",
    "'",
    "#",
    "\u2028",
    "\x1c",
    "=1+1",
]
cells = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8"), max_size=12))
tables = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        st.lists(cells, min_size=n, max_size=n),
        st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=5),
    )
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "people.tsv"


def attempt(function, *arguments):
    """Return what a function gives and no message, or nothing and the message of its refusal."""
    try:
        return function(*arguments), ""
    except InputError as refusal:
        return None, str(refusal)


def one_line_end(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


def check_round_trip(file, table, delimiter, ends, mark):
    """What a spreadsheet writes with all its quotation marks comes back cell by cell."""
    header, rows = table
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=ends).writerows([header, *rows])
    raw = text.getvalue().encode()
    file.write_bytes(b"\xef\xbb\xbf" * mark + raw)
    expected = [[one_line_end(cell) for cell in row] for row in [header, *rows] if "".join(row).strip()]
    # The separator is taken from the first line, which cells may split or imitate.
    first = one_line_end(raw.decode()).split("\n")[0]
    assume(
        "\t" in first
        if delimiter == "\t"
        else "\t" not in first and first.count(delimiter) > first.count(",;".replace(delimiter, ""))
    )
    sheet, refusal = attempt(read_sheet, file, "cohort.table.file")
    if sheet is None:
        assert refusal.startswith(f"cohort.table.file ({file}): ")
        assert "\0" in raw.decode() or len(expected) < 2
        return
    assert "\0" not in raw.decode()
    assert sheet.columns == [cell.strip() for cell in expected[0]]
    assert sheet.rows == expected[1:]


@QUICK
@example(
    table=(["participant_id", "x"], [["001", 'say "no"'], ["002", "a\r\nb"]]), delimiter=",", ends="\r\n", mark=True
)
@given(table=tables, delimiter=st.sampled_from("\t,;"), ends=st.sampled_from(["\n", "\r\n", "\r"]), mark=st.booleans())
def test_cells_come_back(file, table, delimiter, ends, mark):
    check_round_trip(file, table, delimiter, ends, mark)


@pytest.mark.slow
@LONG
@given(table=tables, delimiter=st.sampled_from("\t,;"), ends=st.sampled_from(["\n", "\r\n", "\r"]), mark=st.booleans())
def test_many_cells_come_back(file, table, delimiter, ends, mark):
    check_round_trip(file, table, delimiter, ends, mark)


PIECES = [
    b"participant_id",
    b"sex",
    b"\t",
    b",",
    b";",
    b"\n",
    b"\r\n",
    b"\r",
    b'"',
    b'""',
    b"\0",
    b"\xe9",
    b"001",
    b"F",
    b" ",
]
contents = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))


def check_any_bytes(file, content):
    """Any bytes are a table, all of whose rows are as long as its header, or refused."""
    file.write_bytes(content)
    sheet, refusal = attempt(read_sheet, file, "cohort.table.file")
    if sheet is None:
        assert refusal.startswith(f"cohort.table.file ({file}): ")
    else:
        assert isinstance(sheet, Sheet)
        assert sheet.rows
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
    ids, refusal = attempt(read_ids, file, "cohort.hcp.ids")
    if ids is None:
        assert refusal.startswith(f"cohort.hcp.ids ({file}): ")
    else:
        check_harmless(ids)


@QUICK
@given(content=contents)
def test_any_bytes(file, content):
    check_any_bytes(file, content)


@pytest.mark.slow
@LONG
@given(content=contents)
def test_many_more_bytes(file, content):
    check_any_bytes(file, content)


def check_harmless(names):
    """Names that mean nothing to a shell, a page, a path, a regular expression's reader or a spreadsheet, each once."""
    assert len(set(names)) == len(names)
    for name in names:
        assert 1 <= len(name) <= 64
        assert shlex.quote(name) == name
        assert html.escape(name) == name
        assert name.isascii()
        assert name.isprintable()
        path = Path("maps") / f"sub-{name}_map.nii.gz"
        assert path.parent == Path("maps")
        assert path.name == f"sub-{name}_map.nii.gz"
        assert Path(name).name == name
        assert not re.match(r"[=+@-]", name)


HOSTILE = [
    "../../x",
    "$(x)",
    "`x`",
    "<script>",
    "a/b",
    "a b",
    "-rf",
    "~",
    "*",
    ".",
    "..",
    "CON ",
    "a\n",
    "x" * 65,
    "é",
    "１",
    "sub-",
]
names = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=70), st.from_regex(r"[A-Za-z0-9.-]{1,6}", fullmatch=True))


def check_ids(file, ids):
    """Ids that are let in are harmless; the others are named."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(
        [["participant_id", "sex"], *([i, "F"] for i in ids)]
    )
    try:
        file.write_bytes(text.getvalue().encode())
    except UnicodeEncodeError:
        return  # a lone half of a pair, which no file in UTF-8 can hold
    try:
        accepted = read_sheet(file, "file").ids("participant_id", "id_column")
    except InputError:
        plain = [i.strip().removeprefix("sub-") for i in ids]
        whole = all(re.fullmatch("[A-Za-z0-9]{1,64}", i) and i.lower() not in ("na", "nan", "null") for i in plain)
        assert not whole or len(set(plain)) < len(plain)
    else:
        check_harmless(accepted)
        assert accepted == [i.strip().removeprefix("sub-") for i in ids]


@QUICK
@given(ids=st.lists(names, min_size=1, max_size=3))
def test_ids_are_harmless(file, ids):
    check_ids(file, ids)


@pytest.mark.slow
@LONG
@given(ids=st.lists(names, min_size=1, max_size=3))
def test_many_ids_are_harmless(file, ids):
    check_ids(file, ids)


@QUICK
@given(labels=st.lists(names, min_size=2, max_size=3))
def test_labels_are_harmless(labels):
    try:
        check_labels(labels, "cohort.labels")
    except InputError:
        return
    check_harmless(labels)
    assert not {"joint"} & set(labels)


@QUICK
@example(cells=["1_000", "nan", "٣", "1e999", "0x1", "-.5e-3"])
@given(cells=st.lists(st.one_of(st.text(max_size=8), st.floats().map(str), st.just(None)), min_size=1, max_size=4))
def test_numbers_are_finite_or_missing(cells):
    import pandas as pd

    people = pd.DataFrame(
        {"participant_id": [str(n) for n in range(len(cells))], "age": pd.Series(cells, dtype="object")}
    )
    try:
        values = numbers(people, "age", "age").tolist()
    except InputError:
        assert not all(cell is None or re.fullmatch(r"-?\d+\.\d+", cell, re.ASCII) for cell in cells)
        return
    for cell, value in zip(cells, values, strict=True):
        assert math.isnan(value) if cell is None else value == float(cell)
        assert cell is None or (math.isfinite(value) and cell.isascii() and "_" not in cell)
