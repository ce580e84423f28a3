"""Names of an atlas's labels: tables of the common kinds, and the side of the head that a name speaks of."""

import csv
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd

from voxplain.base.errors import refuse

LEFT, RIGHT, BOTH = "left", "right", "both"
ADVICE = (
    "A table of labels is one of: TSV or CSV with the columns index and name; lines 'index name R G B A' as in "
    "FreeSurfer's LUT; FSL's atlas XML; or one name a line for the labels 1 to n."
)
NUMBERED = re.compile(r"(\d+)[\s,;]+(\S.*)")
COLOUR = r"(?:[\s,;]+\d+(?:\.\d+)?){%d}$"
SIDES = {"left": LEFT, "lh": LEFT, "l": LEFT, "right": RIGHT, "rh": RIGHT, "r": RIGHT}
# The largest atlases have thousands of labels, and tens of kB of names.
MOST_BYTES, LONGEST_LINE, LONGEST_NAME = 2**22, 1000, 200
# Volumes are read as float32, which holds whole numbers below this.
LARGEST_LABEL = 2**24


def read_labels(path: str | os.PathLike) -> pd.DataFrame:
    """Read the names of an atlas's labels.

    Parameters
    ----------
    path : path-like
        TSV or CSV with a header holding ``index`` and ``name``; lines ``index name`` with or without a colour (R G B
        or R G B A), as in FreeSurfer's and Brainnetome's look-up tables; FSL's XML; or one name a line, for the
        labels 1 to n. In FSL's XML the attribute ``index`` is the voxel value in atlases of the type Label (JHU), and
        one less in those of the type Probabilistic (Harvard-Oxford, Juelich), where it counts the volumes of the
        probabilistic image. Lines that begin with ``#`` are comments.

    Returns
    -------
    DataFrame
        ``index`` (int), ``name`` (str), sorted by index. Label 0 is background and left out.

    Raises
    ------
    InputError
        For a file that cannot be read or is of no known kind, and naming every line without a number or name and
        every label that is named more than once.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        refuse(f"The labels {path} are larger than {MOST_BYTES // 2**20} MiB: not names of regions.", advice=ADVICE)
    if path.exists() and not path.is_file():
        refuse(f"The labels {path} are not a file.", advice=ADVICE)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"The labels {path} cannot be read as UTF-8 text ({error}).", advice=ADVICE)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        refuse(f"The labels {path} are empty.", advice=ADVICE)
    if lines[0].lstrip().startswith("<"):
        pairs = _from_xml(text, path)
    elif separator := _header_separator(lines[0], path):
        pairs = _from_table(lines, separator, path)
    else:
        pairs = _from_lines(lines, path)
    return checked_labels(pairs, str(path))


def checked_labels(pairs: list[tuple[object, object]], source: str) -> pd.DataFrame:
    """Turn pairs of index and name into a table of labels; see `read_labels` for what is refused."""
    problems, names = [], {}
    for index, name in pairs:
        name = " ".join(str(name).split()).strip("\"'")
        if not re.fullmatch(r"\d+", str(index).strip(), re.ASCII):
            problems.append(f"index {_start(index)!r} of {_start(name)!r} is not a whole number of 0 or more")
        elif len(str(index)) > LONGEST_NAME or int(index) >= LARGEST_LABEL:
            problems.append(f"index {_start(index)} of {_start(name)!r} is more than {LARGEST_LABEL - 1}")
        elif not name:
            problems.append(f"label {index} has no name")
        elif len(name) > LONGEST_NAME or not name.isprintable():
            problems.append(f"the name of label {index} is longer than {LONGEST_NAME} characters or not printable")
        elif int(index) in names:
            problems.append(f"label {index} is named twice: {names[int(index)]!r} and {name!r}")
        else:
            names[int(index)] = name
    if problems:
        refuse(f"The labels {source} have {len(problems)} problems.", problems, ADVICE)
    names.pop(0, None)
    return pd.DataFrame({"index": list(names), "name": list(names.values())}).sort_values("index", ignore_index=True)


def _start(text: object) -> str:
    """Return as much of a text as a message shows."""
    return str(text)[:LONGEST_NAME]


def _header_separator(line: str, path: Path) -> str:
    """Return what separates the columns when the line is a header; refuse a header with one of the columns only."""
    for separator in ("\t", ",", ";"):
        columns = [cell.strip().strip('"').lower() for cell in line.split(separator)]
        if "index" in columns and "name" in columns:
            return separator
        if len(columns) > 1 and ("index" in columns or "name" in columns):
            lacking = "name" if "index" in columns else "index"
            refuse(
                f"The labels {path} have no column {lacking}. Their columns are:",
                (repr(_start(column)) for column in columns),
                ADVICE,
            )
    return ""


def _from_table(lines: list[str], separator: str, path: Path) -> list[tuple[object, object]]:
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        refuse(f"The labels {path} cannot be read ({error}); is a quotation mark not closed?", advice=ADVICE)
    header = [cell.strip().lower() for cell in rows[0]]
    if header.count("index") != 1 or header.count("name") != 1:
        refuse(
            f"The labels {path} do not have one column index and one column name. Their columns are:",
            (repr(_start(column)) for column in header),
            ADVICE,
        )
    # Not read with pandas: a row with a cell too many would move its columns by one, silently.
    uneven = [separator.join(row) for row in rows[1:] if len(row) != len(header)]
    if uneven:
        refuse(
            f"{len(uneven)} rows of the labels {path} do not have {len(header)} columns as the header has.",
            (repr(_start(row)) for row in uneven),
            ADVICE,
        )
    index, name = header.index("index"), header.index("name")
    return [(row[index], row[name]) for row in rows[1:]]


def _from_lines(lines: list[str], path: Path) -> list[tuple[object, object]]:
    endless = [line for line in lines if len(line) > LONGEST_LINE]
    if endless:
        refuse(
            f"{len(endless)} lines of the labels {path} have more than {LONGEST_LINE} characters.",
            (f"{_start(line)!r}..." for line in endless),
            ADVICE,
        )
    numbered = [NUMBERED.fullmatch(line.strip()) for line in lines]
    if not any(numbered):
        return list(enumerate((line.strip() for line in lines), start=1))
    if not all(numbered):
        refuse(
            f"Some lines of the labels {path} begin with a number and a name, others do not.",
            (repr(_start(line)) for line, match in zip(lines, numbered, strict=True) if not match),
            ADVICE,
        )
    names = [match[2] for match in numbered]
    # A name may end in a number ("Area 44"): a colour is taken off only where every line has one.
    for length in (4, 3):
        colour = re.compile(COLOUR % length)
        if all(colour.search(name) for name in names):
            names = [colour.sub("", name) for name in names]
            break
    return [(match[1], name) for match, name in zip(numbered, names, strict=True)]


def _from_xml(text: str, path: Path) -> list[tuple[object, object]]:
    if "<!ENTITY" in text:
        refuse(f"The labels {path} define XML entities, which FSL's atlases do not; they are not read.")
    try:
        root = ElementTree.fromstring(text.encode())
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        refuse(f"The labels {path} are not well-formed XML ({error}).", advice=ADVICE)
    labels = root.findall(".//label")
    if not labels:
        refuse(f"The labels {path} hold no <label>: they are not an atlas of FSL.", advice=ADVICE)
    # FSL's own files spell the type "Probabalistic".
    first = 1 if (root.findtext(".//type") or "").strip().lower().startswith("prob") else 0
    indices = [label.get("index", "") for label in labels]
    indices = [int(index) + first if index.isascii() and index.isdigit() else index for index in indices]
    return [(index, label.text or "") for index, label in zip(indices, labels, strict=True)]


def hemisphere(name: str) -> str:
    """Tell the side of the head from a region's name; the number of a label says nothing about it.

    Understood are the words left, right, lh and rh anywhere, and L or R as a word of its own at the end
    (``Hippocampus_L``), the beginning (``L V1``) or, in capitals, between (``SFG_L_7_1``).

    Returns
    -------
    {'left', 'right', 'both'}
        ``both`` when the name speaks of no side, or of both.
    """
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    spelled = {SIDES[word.lower()] for word in words if word.lower() in SIDES and len(word) > 1}
    letters = [word for word in words if word in ("L", "R")]
    letters += [word for word in words[:1] + words[-1:] if word in ("l", "r")]
    sides = spelled or {SIDES[letter.lower()] for letter in letters}
    return sides.pop() if len(sides) == 1 else BOTH
