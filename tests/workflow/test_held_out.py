"""The network of a fold has not seen the people of the fold: neither their images nor their answers change it."""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_array, write_table
from voxplain.models import fold as one_fold
from voxplain.models.checkpoint import load_checkpoint
from voxplain.models.settings import TrainingSettings

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
PEOPLE = [f"p{number:02d}" for number in range(16)]
FOLD = 1
# Folds are interleaved, so that the people of one are no run of rows, and each has both classes.
FOLDS = {person: number % 4 for number, person in enumerate(PEOPLE)}
TARGETS = {person: "FM"[number // 4 % 2] for number, person in enumerate(PEOPLE)}
TESTED = [person for person in PEOPLE if FOLDS[person] == FOLD]
TRAINING = [person for person in PEOPLE if FOLDS[person] != FOLD]
SMITH, JONES = "1" * 16, "2" * 16
GROUPS = {"p00": SMITH, "p02": SMITH, "p04": SMITH, "p03": JONES, "p05": JONES, "p06": JONES}  # the others: not known


@pytest.fixture
def train_fold():
    """The script, imported: it lies outside the package."""
    spec = importlib.util.spec_from_file_location("workflow_script_train_fold", SCRIPTS / "train_fold.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def volumes():
    return np.random.default_rng(0).standard_normal((len(PEOPLE), 24, 26, 24)).astype(np.float32)


@pytest.fixture
def trained(train_fold, tmp_path):
    """Return a function that trains the network of the fold in a folder of its own."""

    def start(name, volumes, *, checkpoint="best", targets=TARGETS, groups=GROUPS, grouped=True):
        at = tmp_path / name
        write_array(volumes, at / "stack.npy")
        write_table(pd.DataFrame({"participant_id": PEOPLE}), at / "index.tsv")
        # Both tables in other orders than the stack; the second also has somebody without an image.
        folds = [(person, FOLDS[person], targets[person]) for person in reversed(PEOPLE)]
        write_table(pd.DataFrame(folds, columns=["participant_id", "fold", "target"]), at / "folds.tsv")
        nothing = {"size": None, "age": None, "image": "t1.nii.gz", "mask": None}
        rows = [
            {"participant_id": person, "target": targets.get(person, "F"), "group": groups.get(person), **nothing}
            for person in ["p99", *PEOPLE[5:], *PEOPLE[:5]]
        ]
        write_table(pd.DataFrame(rows), at / "participants.tsv")
        settings = TrainingSettings(
            arguments={"channels": 2}, labels=["F", "M"], epochs=2, batch_size=4, learning_rate=1e-3,
            checkpoint=checkpoint, validation_fraction=0.25,
        )  # fmt: skip
        train_fold.run(
            stack=at / "stack.npy", index=at / "index.tsv", folds=at / "folds.tsv",
            participants=at / "participants.tsv", weights=at / "weights.safetensors", history=at / "history.tsv",
            predictions=at / "predictions.tsv", fold=FOLD, settings=settings, grouped=grouped, seed=5,
            device=("cpu", 1), partial=str(at / "partial" / "train_fold"), code="code",
        )  # fmt: skip
        return at

    return start


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def changed(volumes, people, to=None):
    """Return a copy with other numbers (or one number) in the images of some people."""
    other = volumes.copy()
    rows = [PEOPLE.index(person) for person in people]
    other[rows] = 5 - 3 * other[rows] if to is None else to
    return other


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_images_of_the_tested_do_not_reach_the_network(trained, volumes, checkpoint):
    first = trained("first", volumes, checkpoint=checkpoint)
    other = trained("other", changed(volumes, TESTED), checkpoint=checkpoint)
    broken = trained("broken", changed(volumes, TESTED, np.nan), checkpoint=checkpoint)
    assert weights(other) == weights(first)
    assert weights(broken) == weights(first)
    histories = [read_table(at / "history.tsv").drop(columns="seconds") for at in (first, other, broken)]
    pd.testing.assert_frame_equal(histories[1], histories[0], check_exact=True)
    pd.testing.assert_frame_equal(histories[2], histories[0], check_exact=True)
    # Not because nothing was read: the predictions are of these images.
    scores = [read_table(at / "predictions.tsv")["score"] for at in (first, other, broken)]
    assert (scores[0] != scores[1]).all()
    assert scores[2].isna().all()


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_answers_of_the_tested_do_not_reach_the_network(trained, volumes, checkpoint):
    swapped = TARGETS | {person: {"F": "M", "M": "F"}[TARGETS[person]] for person in TESTED}
    first = trained("first", volumes, checkpoint=checkpoint)
    other = trained("other", volumes, checkpoint=checkpoint, targets=swapped)
    assert weights(other) == weights(first)
    tables = [read_table(at / "predictions.tsv") for at in (first, other)]
    pd.testing.assert_frame_equal(tables[0].drop(columns="target"), tables[1].drop(columns="target"))
    assert dict(zip(tables[1]["participant_id"], tables[1]["target"], strict=True)) == {p: swapped[p] for p in TESTED}


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_everybody_who_is_trained_on_counts(trained, volumes, checkpoint):
    first = trained("first", volumes, checkpoint=checkpoint)
    _, metadata = load_checkpoint(first / "weights.safetensors")
    assert metadata["fold"] == FOLD
    assert metadata["people_trained"] + metadata["people_validated"] == len(TRAINING) == len(PEOPLE) - len(TESTED)
    assert (metadata["people_validated"] > 0) == (checkpoint == "best")
    counting = [
        person
        for person in TRAINING
        if weights(trained(person, changed(volumes, [person]), checkpoint=checkpoint)) != weights(first)
    ]
    # Who only validates may choose the same epoch with another image.
    assert len(counting) >= metadata["people_trained"]


def test_each_of_the_tested_is_predicted_once_from_their_own_image(trained, volumes):
    first = read_table(trained("first", volumes) / "predictions.tsv").set_index("participant_id")
    assert sorted(first.index) == TESTED
    assert (first["fold"] == FOLD).all()
    assert first["target"].to_dict() == {person: TARGETS[person] for person in TESTED}
    other = read_table(trained("other", changed(volumes, TESTED[:1])) / "predictions.tsv").set_index("participant_id")
    moved = ~np.isclose(other["score"], first["score"], rtol=1e-4)
    assert list(first.index[moved]) == TESTED[:1]


@pytest.fixture
def handed_over(monkeypatch):
    """Note with which arguments the script trains."""
    calls, train = [], one_fold.train

    def noting(*args, **kwargs):
        calls.append(inspect.signature(train).bind(*args, **kwargs).arguments)
        return train(*args, **kwargs)

    monkeypatch.setattr(one_fold, "train", noting)
    return calls


def test_one_person_without_a_group_does_not_switch_off_grouping(trained, volumes, handed_over):
    trained("first", volumes)
    (call,) = handed_over
    assert [PEOPLE[row] for row in call["rows_train"]] == TRAINING
    assert list(call["targets"]) == [TARGETS[person] for person in TRAINING]
    groups = dict(zip(TRAINING, call["groups"], strict=True))
    assert {person: groups[person] for person in TRAINING if person in GROUPS} == {
        person: GROUPS[person] for person in TRAINING if person in GROUPS
    }
    alone = [groups[person] for person in TRAINING if person not in GROUPS]
    assert alone
    assert len({*alone, SMITH, JONES}) == len(alone) + 2


def test_people_whose_groups_are_not_known_are_their_own(trained, volumes, handed_over):
    trained("first", volumes, groups={})
    (call,) = handed_over
    assert len(set(call["groups"])) == len(TRAINING)


def test_grouping_can_be_switched_off(trained, volumes, handed_over):
    trained("first", volumes, grouped=False)
    (call,) = handed_over
    assert call.get("groups") is None
