"""Bad tables of people, by what they hold: what is said, word for word, and that nothing was begun."""

import pytest

from bad_input import IDS, WHERE, listed, rows

PLAIN_IDS = "Ids become file names: rename them in the table, for example 'pat_01' to 'pat01'."
NUMBERS = "Write numbers with a point, without units, and n/a where the value is unknown."
AGES = {"cohort.target": "age", "cohort.task": "regression", "cohort.labels": None}


def with_ids(*ids: str) -> list[list[str]]:
    return rows(participant_id=[*ids, *IDS[len(ids) :]])


def bad_ids(*shown: str) -> str:
    return listed(
        f"{WHERE}: {len(shown)} participant ids are not plain letters and digits (at most 64)", *shown, advice=PLAIN_IDS
    )


# Content (rows or text), change of the configuration, message; FILE is the table's path, FOLDER its folder.
TABLES = {
    "ids twice": (
        with_ids("003", "sub-004"),
        {},
        listed(f"{WHERE}: 2 participant ids occur more than once", "003", "004", advice="Keep one row a person."),
    ),
    "target's column twice": (
        [[*row, row[1]] for row in rows()],
        {},
        "cohort.target: the column 'sex' stands 2 times in cohort.table.file (FILE); it is not clear which one is "
        "meant\nRename or delete one of them.",
    ),
    "ids' column twice": (
        [[*row, row[0]] for row in rows()],
        {},
        "cohort.table.id_column: the column 'participant_id' stands 2 times in cohort.table.file (FILE); it is not "
        "clear which one is meant\nRename or delete one of them.",
    ),
    "nobody has a target": (
        rows(sex=["n/a", "", "NA", "nan", "NULL", "N/A", " ", "n/a"]),
        {},
        f"cohort.target: nobody in {WHERE} has a value of 'sex'",
    ),
    "missing targets, to be refused": (
        rows(sex=["F", "n/a", "M", "", "F", "M", "F", "M"]),
        {"cohort.on_missing_target": "fail"},
        listed(
            f"cohort.target: 2 people in {WHERE} have no value of 'sex'",
            "002",
            "004",
            advice="Fill the cells, or set cohort.on_missing_target: drop to go on without these people.",
        ),
    ),
    "one class": (
        rows(sex=["F"] * 8),
        {},
        listed(
            f"cohort.labels: nobody among the 8 people of {WHERE} belongs to these classes (F: 8)",
            "M",
            advice="Take the label out of cohort.labels, raise cohort.limit, or get people of that class.",
        ),
    ),
    "fewer of a class than folds": (
        rows(sex=["F"] * 7 + ["M"]),
        {},
        "folds: 2 folds were asked for, but these classes have fewer people\n  - M: 1 people\nAsk for fewer folds.",
    ),
    "fewer people than folds": (
        rows(),
        AGES | {"folds.count": 9},
        "folds: 9 folds were asked for, but there are only 8 people: ask for fewer",
    ),
    "one family": (
        rows(family=["Smith"] * 8),
        {"cohort.table.group_column": "family"},
        "folds: 2 folds were asked for, but all 8 people belong to 1 families (groups), which must not be torn apart: "
        "ask for fewer folds, or switch grouping off",
    ),
    "unknown target column": (
        rows(),
        {"cohort.target": "sexx"},
        listed(
            f"cohort.target: there is no column 'sexx' in {WHERE}. Its columns are:",
            *("sex", "participant_id", "age"),
            advice="Did you mean 'sex'?",
        ),
    ),
    "unknown column of ids": (
        rows(),
        {"cohort.table.id_column": "Subject"},
        listed(
            f"cohort.table.id_column: there is no column 'Subject' in {WHERE}. Its columns are:",
            *("participant_id", "sex", "age"),
        ),
    ),
    "label that the config does not know": (
        rows(sex=["F", "M", "f", "<b>", "F", "M", "F", "x" * 100]),
        {},
        listed(
            f"cohort.target: 3 people in {WHERE} have a value of 'sex' that is not one of the labels ['F', 'M']",
            "003: 'f'",
            "004: '<b>'",
            f"008: '{'x' * 64}'...",
            advice="Correct the cells or cohort.labels (upper and lower case differ), or write n/a to leave these "
            "people out.",
        ),
    ),
    "label that nobody has": (
        rows(),
        {"cohort.labels": ["F", "M", "X"]},
        listed(
            f"cohort.labels: nobody among the 8 people of {WHERE} belongs to these classes (F: 4, M: 4)",
            "X",
            advice="Take the label out of cohort.labels, raise cohort.limit, or get people of that class.",
        ),
    ),
    "targets that are no numbers": (
        rows(age=["20", "1,5", "30 years", "1_000", "-nan", "0x1F", "٣", "40"]),
        AGES,
        listed(
            f"cohort.target: 'age' of {WHERE} is not a finite number for 6 people",
            *("002: '1,5'", "003: '30 years'", "004: '1_000'", "005: '-nan'", "006: '0x1F'", "007: '٣'"),
            advice=NUMBERS,
        ),
    ),
    "infinite targets": (
        rows(age=["inf", "1e999", "-Infinity", "24", "25", "26", "27", "28"]),
        AGES,
        listed(
            f"cohort.target: 'age' of {WHERE} is not a finite number for 3 people",
            *("001: 'inf'", "002: '1e999'", "003: '-Infinity'"),
            advice=NUMBERS,
        ),
    ),
    "restricted targets that are no numbers": (
        rows(age=["20", "secret", *["30"] * 6]),
        AGES | {"cohort.restricted_target": True},
        listed(f"cohort.target: 'age' of {WHERE} is not a finite number for 1 people", "002", advice=NUMBERS),
    ),
    "same target for all": (
        rows(age=["30"] * 8),
        AGES,
        f"cohort.target: 'age' is the same for all 8 people of {WHERE}",
    ),
    "head sizes in litres": (
        rows(icv=["1.4"] * 8),
        {"cohort.table.size_column": "icv"},
        f"head size 'icv' of {WHERE}: the median is 1.4, which cannot be mm³ (100000 to 4e+06 were expected)\n"
        "Give head sizes in mm³: 1 ml is 1000 mm³.",
    ),
    "ids of other folders, shells and pages": (
        with_ids("../../x", "$(x)", "<script>", "a/b", "a b", "-rf", "\u00e9"),
        {},
        bad_ids("'../../x'", "'$(x)'", "'<script>'", "'a/b'", "'a b'", "'-rf'", "'é'"),
    ),
    "ids over two lines": (with_ids("a\nb", "c\r\nd"), {}, bad_ids("'a\\nb'", "'c\\nd'")),
    "very long id": (with_ids("x" * 300), {}, bad_ids(f"'{'x' * 64}'")),
    "nothing but the prefix": (with_ids("sub-"), {}, bad_ids("''")),
    "no ids": (
        with_ids("", "n/a"),
        {},
        listed(f"{WHERE}: 2 rows have no participant_id (row 1 is the first below the header)", "row 1", "row 2"),
    ),
    "image of another folder": (
        rows(t1=["../x.nii.gz", "/etc/x.nii.gz", *(f"t1/{person}.nii.gz" for person in IDS[2:])]),
        {"cohort.table.image_column": "t1", "cohort.table.image_pattern": None},
        listed(
            f"cohort.table.image_column of {WHERE}: 2 paths do not lie below the root FOLDER",
            "001: ../x.nii.gz",
            "002: /etc/x.nii.gz",
            advice="Give paths relative to the root, without '..', or set the root to a folder that holds them all.",
        ),
    ),
    "one image for two": (
        rows(t1=["t1/001.nii.gz"] * 2 + [f"t1/{person}.nii.gz" for person in IDS[2:]]),
        {"cohort.table.image_column": "t1", "cohort.table.image_pattern": None},
        listed(
            f"cohort.table.image_column of {WHERE}: 1 images belong to more than one person",
            "t1/001.nii.gz: 001, 002",
            advice="Give everyone an own image.",
        ),
    ),
    "images that are not there": (
        rows(
            t1=[
                "gone.nii.gz",
                "t1",
                f"{'x' * 300}.nii.gz",
                "link.nii.gz",
                *(f"t1/{person}.nii.gz" for person in IDS[4:]),
            ]
        ),
        {"cohort.table.image_column": "t1", "cohort.table.image_pattern": None},
        listed(
            f"Images were found for 4 of 8 people of {WHERE}; cohort.min_found: 0.8 asks for 80%. Looked below FOLDER:",
            "001: no image gone.nii.gz",
            "002: the image t1 is a folder",
            f"003: the image {'x' * 300}.nii.gz cannot be looked for (File name too long)",
            "004: the image link.nii.gz is a link whose file is not there (git-annex or DataLad: get it first)",
            advice="Correct what cohort.table says of the images (root, image_column or image_pattern, mask_column or "
            "mask_pattern), delete rows, or lower cohort.min_found.",
        ),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(study, case):
    content, change, message = TABLES[case]
    if case == "images that are not there":
        (study.folder / "link.nii.gz").symlink_to(study.folder / "nowhere")
    assert study.refused_with(content, change) == study.filled_in(message)
