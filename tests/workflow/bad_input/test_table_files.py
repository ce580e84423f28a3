"""Bad tables of people, by what files they are: what is said, word for word, and that nothing was begun."""

import re

import pytest

from bad_input import IDS, WHERE, listed, rows, text_of

HEADER = "participant_id\tsex\tage\n"
AS_TEXT = "Save it as plain text, CSV or TSV, in UTF-8."
QUOTES = 'Close every quotation mark, and write "" for one that belongs to a quoted cell.'
# Content (rows, text or bytes), change of the configuration, message; FILE is the table's path, FOLDER its folder.
TABLES = {
    "empty": (b"", {}, f"{WHERE}: the table is empty"),
    "blank lines only": ("\n \n\t\n", {}, f"{WHERE}: the table is empty"),
    "header only": (HEADER, {}, f"{WHERE}: the table has a header but no rows"),
    "Latin-1": (
        text_of(rows(sex=["F"] * 7 + ["Mädchen"])).encode("latin-1"),
        {},
        f"{WHERE}: line 9 is not UTF-8 text\n{AS_TEXT}",
    ),
    "UTF-16": (text_of(rows()).encode("utf-16"), {}, f"{WHERE}: the file is UTF-16\n{AS_TEXT}"),
    "UTF-16 that does not say so": (
        text_of(rows()).encode("utf-16-le"),
        {},
        f"{WHERE}: line 1 holds bytes that are 0, which no text does\n{AS_TEXT}",
    ),
    "bytes that are 0": (
        text_of(rows(sex=["F", "M\0"] * 4)).encode(),
        {},
        f"{WHERE}: line 3 holds bytes that are 0, which no text does\n{AS_TEXT}",
    ),
    "ragged rows": (
        HEADER + "001\tF\t20\n002\tM\n003\tF\t21\tx\n004\tM\t22\t\n",
        {},
        listed(
            f"{WHERE}: 2 lines do not have 3 cells as the header has",
            "line 3: 2 cells",
            "line 4: 4 cells",
            advice="Quote cells that hold the separator, and fill empty cells with n/a.",
        ),
    ),
    "header with commas, rows with tabs": (
        text_of(rows()).replace("\t", ",", 2),
        {},
        listed(
            f"{WHERE}: 8 lines do not have 3 cells as the header has",
            *(f"line {line}: 1 cells" for line in range(2, 10)),
            advice="Quote cells that hold the separator, and fill empty cells with n/a.",
        ),
    ),
    "quotation mark that is not closed": (
        text_of(rows(sex=["F", "M", '"F', *"MFMFM"])),
        {},
        f"{WHERE}: the row that begins in line 4 cannot be read: a quotation mark is opened and never closed\n{QUOTES}",
    ),
    "quotation mark that another row closes": (
        text_of(rows(sex=["F", "M", '"F', "M", '"F', *"MFM"])),
        {},
        f"{WHERE}: the row that begins in line 4 cannot be read: text follows the quotation mark that closes a cell\n"
        f"{QUOTES}",
    ),
    "quotation mark before an endless cell": (
        text_of(rows(sex=["F", '"M', *"FMFMFM"])) + "x\n" * 70000,
        {},
        f"{WHERE}: the row that begins in line 3 cannot be read: a cell has more than 131072 characters; is a "
        f"quotation mark not closed?\n{QUOTES}",
    ),
    "spreadsheet called a table": (
        b"PK\x03\x04" + bytes(200),
        {},
        f"{WHERE}: the file is a spreadsheet or a zip archive\n{AS_TEXT}",
    ),
    "old spreadsheet called a table": (
        b"\xd0\xcf\x11\xe0" + bytes(200),
        {},
        f"{WHERE}: the file is a spreadsheet\n{AS_TEXT}",
    ),
    "compressed": (b"\x1f\x8b" + bytes(200), {}, f"{WHERE}: the file is compressed\n{AS_TEXT}"),
    "row of 50 MB": (
        text_of(rows()).encode() + b"009\tF\t" + b"1" * 50_000_000,
        {},
        f"{WHERE}: line 10 is longer than 4 MiB; a line is one person\n{AS_TEXT}",
    ),
    "table that is not there": (
        rows(),
        {"cohort.table.file": "/none/people.tsv"},
        "cohort.table.file: /none/people.tsv does not exist\nLooked from FOLDER; an absolute path is safest.",
    ),
    "folder in the table's place": (
        rows(),
        {"cohort.table.file": "t1"},
        "cohort.table.file: t1 is a folder, not a file\nLooked from FOLDER; an absolute path is safest.",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(study, case):
    content, change, message = TABLES[case]
    assert study.refused_with(content, change) == study.filled_in(message)


def test_a_table_of_two_gigabytes_is_not_read(study):
    with open(study.table, "ab") as file:  # holes: it takes no room on disk
        file.truncate(2**31)
    assert study.refused() == (
        f"cohort.table.file ({study.table}): the file has 2048 MiB; 256 MiB at most were expected\n"
        "Is it the table of people? Of a larger one keep the columns that are needed."
    )


GOOD = {
    "byte-order mark and Windows line ends": b"\xef\xbb\xbf" + text_of(rows()).replace("\n", "\r\n").encode(),
    "commas, quotes and blank lines": '\n"participant_id","sex","age"\n'
    + "\n".join(f'"{i}", "F", 1' for i in IDS[:4])
    + "\n\n"
    + "\n".join(f"sub-{i};;".replace(";;", ", M ,n/a") for i in IDS[4:]),
    "semicolons and old line ends": text_of(rows()).replace("\t", ";").replace("\n", "\r"),
    "cells that say nothing": rows(age=["n/a", "", "NA", "NaN", "null", "N/A", " ", "x"]),
    "columns twice that nobody asks for": [[*row, "x", "x"] for row in rows()],
    "a family larger than a fold": rows(family=["Smith"] * 6 + ["Jones", "n/a"]),
    "line ends in a quoted cell": rows(age=['"a\nb"'] * 8),
}


@pytest.mark.parametrize("case", GOOD)
def test_unusual_tables_that_are_good(study, case):
    """A plan is made, and it has everybody, with the zeros that their ids begin with."""
    study.write(GOOD[case])
    if "family" in case:
        study.config["cohort"]["table"]["group_column"] = "family"
    status, said = study.run("models", "--dry-run", "--printshellcmds", "--summary")
    assert status == 0, said[-2000:]
    assert set(re.findall(r"t1/(\d+)\.nii\.gz", study.run("models", "--dry-run")[1])) == set(IDS)
