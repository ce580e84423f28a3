"""Tables that people bring: CSV or TSV from spreadsheets, BIDS and ConnectomeDB, read as text.

Numbers are not guessed while reading: an id such as ``0012`` or a label such as ``01`` must stay what it is.
"""

import csv
import difflib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from voxplain.base.errors import refuse
from voxplain.base.names import check_ids, clean_id

MISSING_WORDS = frozenset({"", "n/a", "na", "nan", "null"})
NOT_TEXT = {
    b"PK\x03\x04": "a spreadsheet or a zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"\x1f\x8b": "compressed",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
AS_TEXT = "Save it as plain text, CSV or TSV, in UTF-8."
MIB = 2**20
# Thousands of columns of thousands of people take tens of MiB, and one person's some hundreds of kB.
LARGEST, LONGEST_LINE = 256 * MIB, 4 * MIB
# What Python's csv says when quotation marks do not come in pairs.
QUOTES = {
    "unexpected end of data": "a quotation mark is opened and never closed",
    "field larger than": f"a cell has more than {csv.field_size_limit()} characters; is a quotation mark not closed?",
    "expected after": "text follows the quotation mark that closes a cell",
}
# Names of columns are shown up to so many characters.
SHOWN = 80


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Attributes
    ----------
    path : Path
    setting : str
        The config key that names the file, for messages.
    columns : list of str
        Header, without blanks around the names; a name can occur twice (HCP's ``FS_L_Cerebellum_Cort_*``).
    rows : list of list of str
        Cells as they stand in the file.
    """

    path: Path
    setting: str
    columns: list[str]
    rows: list[list[str]]

    def __str__(self) -> str:
        return f"{self.setting} ({self.path})"

    def column(self, name: str, setting: str) -> list[str | None]:
        """Return one column; None where the cell is empty, ``n/a``, ``NA``, ``NaN`` or ``null``.

        Parameters
        ----------
        name : str
            Header of the column.
        setting : str
            The config key that asks for it, for the message.

        Raises
        ------
        InputError
            When the column does not exist (naming the ones that do, likely ones first) or stands twice.
        """
        times = self.columns.count(name)
        if times == 0:
            refuse_unknown_column(name, setting, self.columns, str(self))
        if times > 1:
            refuse(
                f"{setting}: the column {name!r} stands {times} times in {self}; it is not clear which one is meant",
                advice="Rename or delete one of them.",
            )
        place = self.columns.index(name)
        cells = (row[place].strip() for row in self.rows)
        return [None if cell.casefold() in MISSING_WORDS else cell for cell in cells]

    def optional_column(self, settings: dict, key: str, section: str) -> list[str | None] | None:
        """Return the column that a setting of a section of the config names, as `column` does; None without one."""
        return self.column(settings[key], f"{section}.{key}") if settings.get(key) else None

    def ids(self, name: str, setting: str) -> list[str]:
        """Return the cleaned ids of a column.

        Raises
        ------
        InputError
            For rows without an id, ids that are not plain letters and digits, and ids that occur twice.
        """
        cells = self.column(name, setting)
        empty = [f"row {number}" for number, cell in enumerate(cells, start=1) if cell is None]
        if empty:
            refuse(f"{self}: {len(empty)} rows have no {name} (row 1 is the first below the header)", empty)
        ids = [clean_id(cell) for cell in cells]
        check_ids(ids, str(self))
        return ids


def refuse_unknown_column(name: str, setting: str, columns: list[str], where: str) -> None:
    """Raise the `InputError` for a column that does not exist; names that look like it come first."""
    known = list(dict.fromkeys(column for column in columns if column))
    lower = {column.casefold(): column for column in reversed(known)}
    close = [lower[match] for match in difflib.get_close_matches(name.casefold(), lower, n=5, cutoff=0.6)]
    refuse(
        f"{setting}: there is no column {name!r} in {where}. Its columns are:",
        (column[:SHOWN] for column in close + [column for column in known if column not in close]),
        f"Did you mean {close[0]!r}?" if close else "",
    )


def read_header(path: str | os.PathLike, setting: str) -> list[str]:
    """Return the column names of a table, without parsing its rows."""
    return _read(path, setting, header_only=True)[0]


def read_sheet(path: str | os.PathLike, setting: str) -> Sheet:
    """Read a table whose cells are separated by tabs, commas or semicolons; the header decides which.

    A byte-order mark, Windows line ends, quoted cells and blank lines are accepted.

    Parameters
    ----------
    path : path-like
    setting : str
        The config key that names the file, for messages.

    Raises
    ------
    InputError
        For a file that is missing, empty, not UTF-8 text or far too large, without rows, with quotation marks that are
        not closed, or with lines of another length than its header (naming the lines).
    """
    columns, rows = _read(path, setting, header_only=False)
    if not rows:
        refuse(f"{setting} ({path}): the table has a header but no rows")
    return Sheet(Path(path), setting, columns, rows)


def read_ids(path: str | os.PathLike, setting: str) -> list[str]:
    """Read a list of people, one id a line; blank lines and what follows a ``#`` do not count.

    Raises
    ------
    InputError
        For a file that is missing, not text or without ids, and for bad or repeated ids.
    """
    lines = (line.split("#")[0].strip() for line in _text(path, setting).splitlines())
    ids = [clean_id(line) for line in lines if line]
    if not ids:
        refuse(f"{setting} ({path}): the list has no ids; one id a line was expected")
    check_ids(ids, f"{setting} ({path})")
    return ids


def _text(path: str | os.PathLike, setting: str) -> str:
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        refuse(f"{setting}: {path} {what}", advice=f"Looked from {Path.cwd()}; an absolute path is safest.")
    size = path.stat().st_size
    if size > LARGEST:
        refuse(
            f"{setting} ({path}): the file has {size / MIB:.0f} MiB; {LARGEST // MIB} MiB at most were expected",
            advice="Is it the table of people? Of a larger one keep the columns that are needed.",
        )
    endless = _line_longer_than(LONGEST_LINE, path) if size > LONGEST_LINE else 0
    if endless:
        refuse(
            f"{setting} ({path}): line {endless} is longer than {LONGEST_LINE // MIB} MiB; a line is one person",
            advice=AS_TEXT,
        )
    raw = path.read_bytes()
    for magic, what in NOT_TEXT.items():
        if raw.startswith(magic):
            refuse(f"{setting} ({path}): the file is {what}", advice=AS_TEXT)
    nothing = raw.find(b"\0")
    if nothing >= 0:
        line = raw.count(b"\n", 0, nothing) + 1
        refuse(f"{setting} ({path}): line {line} holds bytes that are 0, which no text does", advice=AS_TEXT)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        refuse(f"{setting} ({path}): line {line} is not UTF-8 text", advice=AS_TEXT)


def _line_longer_than(most: int, path: Path) -> int:
    """Return the number of the first line with more than so many bytes, 0 for none; it is not read as a whole."""
    with open(path, encoding="latin-1") as file:  # a character a byte, and line ends of all kinds
        number = 1
        while piece := file.readline(most + 1):
            if len(piece.rstrip("\n")) > most:
                return number
            number += 1
    return 0


def _read(path: str | os.PathLike, setting: str, header_only: bool) -> tuple[list[str], list[list[str]]]:
    # splitlines() would also cut at form feeds and other characters that can stand inside a cell.
    lines = _text(path, setting).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = next((line for line in lines if line.strip()), "")
    if not header:
        refuse(f"{setting} ({path}): the table is empty")
    counts = Counter(header)
    delimiter = "\t" if "\t" in header else max(",;", key=lambda mark: counts[mark])
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True, skipinitialspace=True)
    columns: list[str] = []
    rows, uneven = [], []
    begins = 1
    try:
        for cells in reader:
            begins = reader.line_num + 1  # of the next row, whose quoted cells can hold several lines
            if not "".join(cells).strip():
                continue
            if not columns:
                columns = [name.strip() for name in cells]
                if header_only:
                    break
                continue
            if len(cells) < len(columns) or "".join(cells[len(columns) :]).strip():
                uneven.append(f"line {reader.line_num}: {len(cells)} cells")
            rows.append(cells[: len(columns)])
    except csv.Error as error:
        why = next((words for part, words in QUOTES.items() if part in str(error)), str(error))
        refuse(
            f"{setting} ({path}): the row that begins in line {begins} cannot be read: {why}",
            advice='Close every quotation mark, and write "" for one that belongs to a quoted cell.',
        )
    if uneven:
        refuse(
            f"{setting} ({path}): {len(uneven)} lines do not have {len(columns)} cells as the header has",
            uneven,
            "Quote cells that hold the separator, and fill empty cells with n/a.",
        )
    return columns, rows
