"""Bad configurations at the front door: what is said, word for word, and that nothing was begun."""

import pytest
import yaml

from bad_input import OUT, changed, listed

CANNOT = "The configuration cannot be used"
EXPLAINED = "config/README.md explains every key."


def cannot(*problems: str) -> str:
    return listed(CANNOT, *problems, advice=EXPLAINED)


def contradicts(*problems: str) -> str:
    return listed("The configuration contradicts itself", *problems, advice=EXPLAINED)


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
