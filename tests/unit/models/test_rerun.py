"""A cross-validation in one job: the same as fold by fold, the same after a kill, and shuffled within folds."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_array, write_table
from voxplain.base.seeds import seed_for
from voxplain.models import fold as one_fold
from voxplain.models.holdout import families_of
from voxplain.models.rerun import cross_validate, shuffle_targets, unrelated_targets
from voxplain.models.settings import TrainingSettings

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
IDS = [f"p{number:02d}" for number in range(24)]
SEED = 7


def script(name):
    """Import a script of the workflow, which lies outside the package."""
    spec = importlib.util.spec_from_file_location(f"workflow_script_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def settings(small):
    return TrainingSettings(arguments=small, labels=["A", "B"], epochs=2, batch_size=5, learning_rate=3e-3)


@pytest.fixture
def people(cohort):
    """Three folds of eight people, four of each class."""
    return pd.DataFrame({"participant_id": IDS, "fold": [n // 2 % 3 for n in range(24)], "target": cohort[1]})


@pytest.fixture
def files(cohort, people, tmp_path):
    """The files that both scripts read; folds and participants in other orders than the stack, two known families."""
    write_array(cohort[0], tmp_path / "stack.npy")
    write_table(people[["participant_id"]], tmp_path / "index.tsv")
    write_table(people.iloc[::-1], tmp_path / "folds.tsv")
    groups = {"p00": "1" * 16, "p01": "1" * 16, "p03": "2" * 16, "p04": "2" * 16}
    participants = pd.DataFrame({"participant_id": ["p99", *IDS[9:], *IDS[:9]]})
    write_table(participants.assign(group=participants["participant_id"].map(groups)), tmp_path / "participants.tsv")
    names = {"stack": "stack.npy", "index": "index.tsv", "folds": "folds.tsv", "participants": "participants.tsv"}
    return {key: tmp_path / name for key, name in names.items()}


def run_again(files, folder, settings, **changes):
    options = {"permutation": None, "grouped": True, "seed": SEED, "device": ("cpu", 1), "code": "c"}
    options |= {"partial": str(folder / "partial" / "job"), "settings": settings, **changes}
    script("cross_validate").run(**files, predictions=folder / "rerun.tsv", **options)
    return (folder / "rerun.tsv").read_text()


@pytest.mark.parametrize("grouped", [True, False])
def test_one_job_predicts_what_the_jobs_of_the_folds_predict(files, people, settings, tmp_path, grouped):
    for fold in range(3):
        script("train_fold").run(
            **files, weights=tmp_path / "w.safetensors", history=tmp_path / "h.tsv",
            predictions=tmp_path / f"fold-{fold}.tsv", fold=fold, settings=settings, grouped=grouped,
            seed=seed_for(SEED, "fold", fold), device=("cpu", 1), partial=str(tmp_path / "partial" / "t"), code="c",
        )  # fmt: skip
    lines = [(tmp_path / f"fold-{fold}.tsv").read_text().splitlines() for fold in range(3)]
    expected = [lines[0][0], *(line for part in lines for line in part[1:])]
    assert run_again(files, tmp_path, settings, grouped=grouped).splitlines() == expected
    assert not list((tmp_path / "partial").iterdir())


def test_families_change_the_inner_split(files, settings, tmp_path):
    assert run_again(files, tmp_path, settings) != run_again(files, tmp_path, settings, grouped=False)


def test_a_killed_job_goes_on_where_it_was(files, settings, tmp_path, monkeypatch):
    undisturbed = run_again(files, tmp_path, settings, permutation=2)
    train, seeds = one_fold.train, []

    def dies_in_the_third_fold(*arguments):
        seeds.append(arguments[5])
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(one_fold, "train", dies_in_the_third_fold)
    (tmp_path / "rerun.tsv").unlink()
    with pytest.raises(KeyboardInterrupt):
        run_again(files, tmp_path, settings, permutation=2)
    assert not (tmp_path / "rerun.tsv").exists()
    assert run_again(files, tmp_path, settings, permutation=2) == undisturbed
    # The first two folds were trained once, the third again.
    assert seeds == [seed_for(SEED, "permutation", 2, fold) for fold in (0, 1, 2, 2)]


@pytest.mark.parametrize("change", ["images", "targets", "settings", "seed"])
def test_pieces_of_another_cross_validation_are_not_used(cohort, people, settings, tmp_path, monkeypatch, change):
    stack, seeds = cohort[0], dict.fromkeys(range(3), 1)
    cross_validate(stack, people, settings, "cpu", seeds, tmp_path)
    trained = []
    train = one_fold.train
    monkeypatch.setattr(one_fold, "train", lambda *arguments: trained.append(1) or train(*arguments))
    cross_validate(stack, people, settings, "cpu", seeds, tmp_path)
    assert not trained
    if change == "images":
        stack = stack + np.float32(0.1)
    elif change == "targets":
        people = people.assign(target=people["target"].to_numpy()[::-1])
    elif change == "settings":
        settings = TrainingSettings(**{**vars(settings), "epochs": 1})
    else:
        seeds = seeds | {1: 2}
    cross_validate(stack, people, settings, "cpu", seeds, tmp_path)
    assert len(trained) == 3


def test_a_permutation_is_trained_on_and_measured_against_its_own_targets(files, people, settings, tmp_path):
    run_again(files, tmp_path, settings, permutation=1)
    table = read_table(tmp_path / "rerun.tsv")
    assert list(table) == ["participant_id", "fold", "target", "prediction", "score", "p_A", "p_B"]
    families = families_of(read_table(files["participants"]), people["participant_id"])
    targets = shuffle_targets(people, SEED, 1, families)
    shuffled = people.assign(target=targets).set_index("participant_id")["target"]
    assert sorted(table["participant_id"]) == IDS
    assert table["target"].tolist() == shuffled[table["participant_id"]].tolist()
    assert (shuffled != people.set_index("participant_id")["target"]).sum() >= 4


def test_a_network_learns_the_shuffled_answers(cohort, people, tmp_path, monkeypatch):
    """The targets handed to the training are the permuted ones of the training people, and no others."""
    shuffled = people.assign(target=shuffle_targets(people, SEED, 1))
    seen = {}

    def note(stack, rows, targets, settings, device, seed, *_):
        seen[seed] = dict(zip(rows, targets, strict=True))
        raise KeyboardInterrupt

    monkeypatch.setattr(one_fold, "train", note)
    settings = TrainingSettings(labels=["A", "B"])
    with pytest.raises(KeyboardInterrupt):
        cross_validate(cohort[0], shuffled, settings, "cpu", {0: 10, 1: 11, 2: 12}, tmp_path)
    assert seen == {10: shuffled["target"][shuffled["fold"] != 0].to_dict()}


def test_regression_keeps_its_numbers(cohort, people, small, tmp_path):
    ages = pd.Series([20 + 0.1 * n for n in range(24)])
    people = people.assign(target=ages.astype(str))
    settings = TrainingSettings(arguments=small, task="regression", epochs=1, batch_size=5)
    table = cross_validate(cohort[0], people, settings, "cpu", dict.fromkeys(range(3), 1), tmp_path)
    assert list(table) == ["participant_id", "fold", "target", "prediction", "score"]
    assert table["target"].tolist() == people.sort_values("fold", kind="stable")["target"].tolist()
    assert table["prediction"].astype(float).tolist() == table["score"].tolist()


def test_targets_are_shuffled_within_folds_whatever_the_order(people):
    shuffled = people.assign(target=shuffle_targets(people, SEED, 1))
    for _, fold in shuffled.groupby("fold"):
        assert sorted(fold["target"]) == ["A"] * 4 + ["B"] * 4
    turned = people.iloc[::-1]
    pd.testing.assert_series_equal(shuffle_targets(turned, SEED, 1).sort_index(), shuffled["target"])
    assert not shuffled["target"].equals(people["target"])
    assert not shuffle_targets(people, SEED, 2).equals(shuffled["target"])
    assert not shuffle_targets(people, SEED + 1, 1).equals(shuffled["target"])


def test_every_arrangement_within_a_fold_is_as_likely():
    """One fold of four people, two of each class: six arrangements."""
    people = pd.DataFrame({"participant_id": list("abcd"), "fold": 0, "target": list("AABB")})
    seen = pd.Series(["".join(shuffle_targets(people, 1, number)) for number in range(1200)]).value_counts()
    assert len(seen) == 6
    assert seen.between(150, 250).all()  # 200 ± 4 standard deviations


def test_families_exchange_their_targets_as_wholes():
    """Twins of one class each, and singletons: no permutation makes twins of two classes or splits their values."""
    pairs = [("F", "F"), ("M", "M"), ("F", "F"), ("M", "M"), ("M", "M")]
    targets = [target for pair in pairs for target in pair] + ["F", "M", "F"]
    ids = [f"q{number:02d}" for number in range(len(targets))]
    people = pd.DataFrame({"participant_id": ids, "fold": 0, "target": targets})
    families = pd.Series([f"f{number // 2}" if number < 10 else f"s{number}" for number in range(len(ids))])
    seen = set()
    for number in range(60):
        shuffled = shuffle_targets(people, SEED, number, families)
        twins = [(shuffled[place], shuffled[place + 1]) for place in range(0, 10, 2)]
        assert all(one == other for one, other in twins)
        assert sorted(twins) == sorted(pairs)
        assert sorted(shuffled[10:]) == ["F", "F", "M"]
        seen.add(tuple(shuffled))
    assert len(seen) > 15  # of 10 arrangements of the pairs times 3 of the singletons
    # Names of families and the order of people do not matter.
    renamed, order = families.map(lambda name: f"x{name[::-1]}"), people.index[::-1]
    expected = shuffle_targets(people, SEED, 3, families)
    assert shuffle_targets(people.loc[order], SEED, 3, renamed).sort_index().tolist() == expected.tolist()


def test_siblings_exchange_their_targets_with_each_other():
    people = pd.DataFrame({"participant_id": ["a", "b"], "fold": 0, "target": ["F", "M"]})
    draws = {tuple(shuffle_targets(people, SEED, number, pd.Series(["x", "x"]))) for number in range(20)}
    assert draws == {("F", "M"), ("M", "F")}


def test_people_without_a_known_family_are_their_own():
    participants = pd.DataFrame({"participant_id": ["a", "b", "c", "d"], "group": ["x", None, "x", None]})
    families = families_of(participants, pd.Series(["d", "c", "a"], index=[5, 6, 7]))
    assert families.to_dict() == {5: "person d", 6: "x", 7: "x"}


@pytest.mark.parametrize("numbers", [False, True])
def test_unrelated_targets_know_less_of_the_truth_than_a_shuffling_usually_does(numbers):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=48) if numbers else np.array(["F", "M"] * 24)
    people = pd.DataFrame(
        {"participant_id": [f"p{i:02d}" for i in range(48)], "fold": np.repeat([0, 1, 2], 16), "target": truth}
    )

    def related(shuffled):
        codes = (lambda column: column.astype(float)) if numbers else (lambda column: (column == "M").astype(float))
        pairs = [(codes(rows["target"]), codes(shuffled[rows.index])) for _, rows in people.groupby("fold")]
        return sum(np.corrcoef(own, its)[0, 1] ** 2 for own, its in pairs)

    usual = np.mean([related(shuffle_targets(people, 1, number)) for number in range(40)])
    chosen = unrelated_targets(people, 1, 1)
    assert related(chosen) < 0.35 * usual
    assert sorted(chosen) == sorted(people["target"])
    backwards = unrelated_targets(people[::-1], 1, 1)
    pd.testing.assert_series_equal(backwards.sort_index(), chosen)
    assert not chosen.equals(unrelated_targets(people, 1, 2))
