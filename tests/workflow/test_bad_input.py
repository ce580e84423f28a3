"""Bad configurations and tables at the front door: what is said, word for word, and that nothing was begun.

Each case is a process of Snakemake's own command line. Starting Python and importing takes longer than all else, so
that the processes are forked from one that has imported what they share.
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOOR = """
import json, os, signal, sys
import pandas, yaml, jsonschema, yte
import snakemake.cli, snakemake.api, snakemake.workflow, snakemake.utils
import voxplain.configuration, voxplain.cohort.people

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(100)
        os.chdir(order["folder"])
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        try:
            snakemake.cli.main(order["arguments"])
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1 if code else 0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
IDS = [f"{number:03d}" for number in range(1, 9)]
CANNOT = "The configuration cannot be used"
EXPLAINED = "config/README.md explains every key."


@pytest.fixture(scope="module")
def door():
    """A process that has imported Snakemake and forks one for each case."""
    path = f"{ROOT / 'workflow' / 'scripts'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, "-c", DOOR],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(timeout=60)


class Study:
    """A folder with a configuration, a table of eight people and files where their images should be."""

    def __init__(self, folder: Path, door: subprocess.Popen):
        self.folder, self.door = folder, door
        self.table = folder / "people.tsv"
        self.config = {
            "name": "bad",
            "device": "cpu",
            "cohort": {
                "source": "table",
                "target": "sex",
                "labels": ["F", "M"],
                "table": {"file": str(self.table), "image_pattern": "t1/{id}.nii.gz"},
            },
            "folds": {"count": 2},
            "model": {"arguments": {"channels": 2}},
            "training": {"epochs": 1},
        }
        (folder / "t1").mkdir()
        for person in IDS:
            (folder / "t1" / f"{person}.nii.gz").touch()
        self.write(rows())

    def write(self, content: str | bytes | list[list[str]]) -> None:
        """Write the table of people: rows of cells as TSV, or text, or bytes."""
        if isinstance(content, list):
            file = io.StringIO()
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(content)
            content = file.getvalue()
        self.table.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, *arguments: str, text: str | bytes | None = None) -> tuple[int, str]:
        """Run Snakemake with the configuration, or another text in its file; return exit status and what it said."""
        file = self.folder / "config.yaml"
        text = yaml.safe_dump(self.config, sort_keys=False) if text is None else text
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        order = {
            "folder": str(self.folder),
            "said": str(self.folder / "said.txt"),
            "arguments": ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--directory", str(self.folder)]
            + ["--configfile", str(file), "--workflow-profile", str(ROOT / "profiles" / "default"), *arguments],
        }
        self.door.stdin.write(json.dumps(order) + "\n")
        self.door.stdin.flush()
        status = int(self.door.stdout.readline())
        return status, (self.folder / "said.txt").read_text(errors="replace")

    def refused(self, text: str | bytes | None = None) -> str:
        """Run everything up to the networks, which must end at once, and return the message."""
        status, said = self.run("models", text=text)
        assert status == 1, said[-3000:]
        assert "Traceback" not in said
        begun = [path.name for path in self.folder.rglob("*") if path.name in ("models", "images", "private", "logs")]
        assert begun == []
        # Snakemake adds the place in its rule files, before and after.
        place = r"(?:\n  File \"[^\"]+\", line \d+, in \S+)*\s*\Z"
        found = re.search(r'^\w*Error(?: in file "[^"]+"[^\n]*)?:\n(.*?)' + place, said, re.M | re.S)
        assert found, said
        return found[1]


@pytest.fixture
def study(tmp_path, door):
    return Study(tmp_path, door)


def rows(**columns: list[str]) -> list[list[str]]:
    """The good table, with some columns added or replaced: `rows(sex=[...])`."""
    columns = {"participant_id": IDS, "sex": ["F", "M"] * 4, "age": [f"{20 + n}.5" for n in range(8)]} | columns
    return [list(columns), *map(list, zip(*columns.values(), strict=True))]


def listed(headline: str, *offenders: str, advice: str = "") -> str:
    """The layout of a refusal."""
    return "\n".join([headline, *(f"  - {one}" for one in offenders), *([advice] if advice else [])])


def cannot(*problems: str) -> str:
    return listed(CANNOT, *problems, advice=EXPLAINED)


def contradicts(*problems: str) -> str:
    return listed("The configuration contradicts itself", *problems, advice=EXPLAINED)


def changed(config: dict, change: dict) -> dict:
    """Return the configuration with keys (dotted) set; None takes a key out."""
    config = json.loads(json.dumps(config))
    for dotted, value in change.items():
        *above, last = dotted.split(".")
        section = config
        for name in above:
            section = section.setdefault(name, {})
        if value is OUT:
            del section[last]
        else:
            section[last] = value
    return config


OUT = object()
TOP = "name, seed, device, torch_threads, cohort, images, folds, model, training, baselines, statistics, features, ..."
CONFIGS = {
    "unknown key": ({"sed": 1}, cannot("sed: there is no such key; did you mean seed?")),
    "unknown key that is like none": ({"qqq": 1}, cannot(f"qqq: there is no such key; there are {TOP}")),
    "unknown key of a section": (
        {"population": {"treshold": {"value": 3}}},
        cannot("population.treshold: there is no such key; did you mean threshold?"),
    ),
    "unknown key of the people's table": (
        {"cohort.table.colum": "x"},
        cannot(
            "cohort.table.colum: there is no such key; did you mean id_column?",
        ),
    ),
    "unknown key of a method": (
        {"maps": {"methods": {"gradcam": {"rectifi": True}}}},
        cannot("maps.methods.gradcam.rectifi: there is no such key; did you mean rectify?"),
    ),
    "unknown method": (
        {"maps": {"methods": {"gradcamm": {}}}},
        cannot("maps.methods.gradcamm: there is no such key; did you mean gradcam?"),
    ),
    "word for a number": ({"training.epochs": "ten"}, cannot("training.epochs: 'ten' is not a whole number")),
    "number that YAML reads as a text": (
        {"training.learning_rate": "3e-4"},
        cannot(
            "training.learning_rate: '3e-4' is not a number; take the quotation marks off, and write 1.0e-4 for 1e-4, "
            "which is a text in YAML"
        ),
    ),
    "number for a text": (
        {"cohort.target": 3},
        cannot("cohort.target: 3 is not a text; put quotation marks around it"),
    ),
    "half a person": (
        {"images": {"subjects_per_job": 1.5}},
        cannot("images.subjects_per_job: 1.5 is not a whole number"),
    ),
    "wrong choice": ({"device": "gpu"}, cannot("device: 'gpu' is none of auto, cpu, cuda")),
    "negative seed": ({"seed": -1}, cannot("seed: -1 is less than 0")),
    "no epochs": ({"training.epochs": 0}, cannot("training.epochs: 0 is less than 1")),
    "one fold": ({"folds.count": 1}, cannot("folds.count: 1 is less than 2")),
    "share above one": ({"cohort.min_found": 80}, cannot("cohort.min_found: 80 is more than 1")),
    "rate of zero": ({"training.learning_rate": 0}, cannot("training.learning_rate: 0 must be above 0")),
    "rate that is no number": (
        {"training.learning_rate": float("nan")},
        cannot("training.learning_rate: nan is not a finite number"),
    ),
    "endless smoothing": (
        {"population": {"smoothing_fwhm_mm": float("inf")}},
        cannot("population.smoothing_fwhm_mm: inf is not a finite number"),
    ),
    "even box": (
        {"maps": {"methods": {"perturbation": {"box_size": 4}}}},
        cannot("maps.methods.perturbation.box_size: 4 is not allowed (Edge of the box, voxels (odd))"),
    ),
    "negative penalty": (
        {"baselines": {"models": {"svm": {"C": -1}}}},
        cannot(
            "baselines.models.svm.C: -1 is not a number above 0 or a list of such values (a number above 0)",
        ),
    ),
    "name with a slash": (
        {"name": "a/b"},
        cannot("name: 'a/b' may hold letters, digits and '-' only, and begin with a letter or digit"),
    ),
    "name of the folder above": (
        {"name": ".."},
        cannot("name: '..' may hold letters, digits and '-' only, and begin with a letter or digit"),
    ),
    "name with a line end": ({"name": "tiny\n"}, cannot("name: 'tiny\\n' has a line end or another control character")),
    "number for a name": ({"name": 7}, cannot("name: 7 is not a text; put quotation marks around it")),
    "no name": ({"name": OUT}, cannot("name: is missing")),
    "no target": ({"cohort.target": OUT}, cannot("cohort.target: is missing")),
    "empty section": (
        {"training": None},
        cannot("training: nothing is not a section of keys; write {} or take the key out"),
    ),
    "list for a section": ({"images": ["mni"]}, cannot("images: ['mni'] is not a section of keys")),
    "unknown network": (
        {"model.network": "ResNet"},
        cannot("model.network: 'ResNet' is neither VoxelCNN nor package.module:Class"),
    ),
    "unknown argument and too many blocks": (
        {"model.arguments": {"chanels": 8, "blocks": 9}},
        contradicts(
            "model.arguments: VoxelCNN has no chanels; it has blocks, channels, dropout",
            "model.arguments.blocks: 9 is not a whole number from 1 to 4",
        ),
    ),
    "text for channels": (
        {"model.arguments": {"channels": "8", "dropout": 1.0}},
        contradicts(
            "model.arguments.channels: '8' is not a whole number from 1 to 1024",
            "model.arguments.dropout: 1.0 is not a number from 0 to below 1",
        ),
    ),
    "source without its section": (
        {"cohort.source": "hcp"},
        "cohort.source is hcp, but there is no section cohort.hcp",
    ),
    "one label": (
        {"cohort.labels": ["F"]},
        "cohort.labels: ['F'] was given; a classification needs at least two labels, such as [F, M]. "
        "For numbers set cohort.task: regression.",
    ),
    "labels that YAML switches": (
        {"cohort.labels": [True, False]},
        listed(
            "cohort.labels: YAML turned these labels into truth values",
            "True",
            "False",
            advice="Unquoted yes, no, on, off, true and false are truth values in YAML: put quotes around them.",
        ),
    ),
    "labels that cannot be file names": (
        {"cohort.labels": ["F", "../M", "<script>", "joint"]},
        listed(
            "cohort.labels: 3 class labels cannot be used in file names",
            "'../M'",
            "'<script>'",
            "'joint'",
            advice="Labels may hold letters, digits, '.' and '-', begin and end with a letter or digit, and not be "
            "highest-third, joint, lowest-third, middle-third.",
        ),
    ),
    "label twice": (
        {"cohort.labels": ["F", "F"]},
        listed("cohort.labels: a class label is listed twice", "F", "F"),
    ),
    "atlas with a name that is no file name": (
        {"atlases": {"my/atlas": {"image": "a.nii", "labels": "a.tsv"}}},
        cannot("atlases.'my/atlas': this name may hold letters, digits and '-' only"),
    ),
    "atlas without a table": (
        {"atlases": {"a": {"image": "a.nii"}}},
        cannot("atlases.a: needs image and labels, or else fetch"),
    ),
    "files that are not there": (
        {
            "atlases": {"a": {"image": "/none/a.nii", "labels": "/none/a.tsv"}},
            "interpret": {"weights": "/none/w.safetensors"},
        },
        contradicts(
            "atlases.a.image: /none/a.nii is not a file",
            "atlases.a.labels: /none/a.tsv is not a file",
            "interpret.weights: /none/w.safetensors is not a file",
        ),
    ),
    "many things at once": (
        {"device": "gpu", "folds.count": 1, "training.epochs": "x", "sed": 1, "cohort.limit": 0.5},
        cannot(
            "sed: there is no such key; did you mean seed?",
            "device: 'gpu' is none of auto, cpu, cuda",
            "cohort.limit: 0.5 is not a whole number or null",
            "cohort.limit: 0.5 is less than 2",
            "folds.count: 1 is less than 2",
            "training.epochs: 'x' is not a whole number",
        ),
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_bad_configurations(study, case):
    change, message = CONFIGS[case]
    text = yaml.safe_dump(changed(study.config, change), sort_keys=False)
    if case == "number that YAML reads as a text":
        text = text.replace("'3e-4'", "3e-4")
        assert "3e-4\n" in text
    assert study.refused(text) == message


SYNTAX = "Config file is not valid JSON or YAML. In case of YAML, make sure to not mix whitespace and tab indentation."
KEYS = "Config file must be given as JSON or YAML with keys at top level."
TEXTS = {
    "syntax error": ("name: bad\ncohort: {source: table\n", SYNTAX),
    "tabs": ("name: bad\ncohort:\n\tsource: table\n", SYNTAX),
    "empty": ("", KEYS),
    "list at the top": ("- name: bad\n- cohort: {}\n", KEYS),
}


@pytest.mark.parametrize("case", TEXTS)
def test_files_that_are_no_configuration(study, case):
    text, message = TEXTS[case]
    assert study.refused(text) == message


def test_a_key_that_stands_twice(study):
    text = (
        yaml.safe_dump(study.config, sort_keys=False) + "maps: {methods: {gradcam: {}}}\nmaps:\n  methods: {lrp: {}}\n"
    )
    first = text.count("\n") - 2
    where = f"the lines {first} and {first + 1} of {study.folder / 'config.yaml'}"
    assert study.refused(text) == cannot(f"maps: stands in {where}; only the last would count")


def test_a_tag_that_would_run_a_program_runs_none(study):
    text = yaml.safe_dump(study.config) + f"seed: !!python/object/apply:os.system ['touch {study.folder / 'ran'}']\n"
    assert study.refused(text) == SYNTAX
    assert not (study.folder / "ran").exists()


def test_objects_dates_and_keys_that_are_no_texts(study):
    text = yaml.safe_dump(changed(study.config, {"name": OUT, "model.arguments": OUT}))
    text = text.replace("model: {}\n", "model:\n  arguments: {block: !!python/name:os.system , 1: x}\n")
    assert study.refused(text + "name: 2026-01-01\n") == cannot(
        "model.arguments.block: an object of Python (builtin_function_or_method); give a text, a number, a list or a "
        "section",
        "model.arguments.1: keys are texts, this one is 1; put quotation marks around it",
        "name: 2026-01-01 was taken for a date; put quotation marks around it",
    )


# Tables: content (rows, text or bytes), change of the configuration, message. FILE stands for the table's path.
HEADER = "participant_id\tsex\tage\n"
WHERE = "cohort.table.file (FILE)"
AS_TEXT = "Save it as plain text, CSV or TSV, in UTF-8."
QUOTES = 'Close every quotation mark, and write "" for one that belongs to a quoted cell.'
PLAIN_IDS = "Ids become file names: rename them in the table, for example 'pat_01' to 'pat01'."
NUMBERS = "Write numbers with a point, without units, and n/a where the value is unknown."
AGES = {"cohort.target": "age", "cohort.task": "regression", "cohort.labels": None}


def with_ids(*ids: str) -> list[list[str]]:
    return rows(participant_id=[*ids, *IDS[len(ids) :]])


def bad_ids(*shown: str) -> str:
    return listed(
        f"{WHERE}: {len(shown)} participant ids are not plain letters and digits (at most 64)", *shown, advice=PLAIN_IDS
    )


def text_of(table: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in table)


TABLES = {
    "empty": (b"", {}, f"{WHERE}: the table is empty"),
    "blank lines only": ("\n \n\t\n", {}, f"{WHERE}: the table is empty"),
    "header only": (HEADER, {}, f"{WHERE}: the table has a header but no rows"),
    "ids twice": (
        with_ids("003", "sub-004"),
        {},
        listed(f"{WHERE}: 2 participant ids occur more than once", "003", "004", advice="Keep one row a person."),
    ),
    "target's column twice": (
        [[*row, row[1]] for row in rows()],
        {},
        "cohort.target: the column 'sex' stands 2 times in cohort.table.file (FILE); it is not clear which one is "
        "meant\n"
        "Rename or delete one of them.",
    ),
    "ids' column twice": (
        [[*row, row[0]] for row in rows()],
        {},
        "cohort.table.id_column: the column 'participant_id' stands 2 times in cohort.table.file (FILE); it is not "
        "clear "
        "which one is meant\nRename or delete one of them.",
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
            "people "
            "out.",
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
        f"quotation "
        f"mark not closed?\n{QUOTES}",
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
    study.write(content)
    study.config = changed(study.config, change)
    if case == "images that are not there":
        (study.folder / "link.nii.gz").symlink_to(study.folder / "nowhere")
    assert study.refused() == message.replace("FILE", str(study.table)).replace("FOLDER", str(study.folder))


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
