"""Targets, limits and the phantom's people: what is the same for every source."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.cohort import people as people_module
from voxplain.cohort.limits import limit_people, strata
from voxplain.cohort.people import (
    count_people,
    data_root,
    found_people,
    parse_people,
    read_roster,
    target_is_restricted,
)

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"


def cohort_of(folder, rows, labels=("F", "M"), images=None, **changes):
    """A table cohort; `rows` are (id, target), `images` the ids whose image exists (default: all)."""
    (folder / "people.tsv").write_text("participant_id\tdx\n" + "".join(f"{i}\t{t}\n" for i, t in rows))
    for person in [i for i, _ in rows] if images is None else images:
        (folder / f"{person}.nii").touch()
    table = {"file": str(folder / "people.tsv"), "root": str(folder), "image_pattern": "{id}.nii"}
    cohort = {"source": "table", "target": "dx", "task": "classification", "labels": labels, "table": table}
    return cohort | {"limit": None, "min_found": 0.8, "on_missing_target": "drop", "restricted_target": False} | changes


def test_people_are_sorted_and_text_stays_text(tmp_path):
    people = parse_people(cohort_of(tmp_path, [("010", "01"), ("002", "1")], labels=["1", "01"]), seed=1)
    assert people[["participant_id", "target"]].to_numpy().tolist() == [["002", "1"], ["010", "01"]]


def test_people_without_a_target_are_dropped_or_refused(tmp_path):
    cohort = cohort_of(tmp_path, [("1", "F"), ("2", "n/a"), ("3", "M"), ("4", "")])
    assert parse_people(cohort, seed=1)["participant_id"].tolist() == ["1", "3"]
    assert count_people(cohort) == 2
    with pytest.raises(InputError, match=r"2 people .* have no value of 'dx'\n  - 2\n  - 4\n"):
        parse_people(cohort | {"on_missing_target": "fail"}, seed=1)
    with pytest.raises(InputError, match=r"nobody in .* has a value of 'dx'"):
        parse_people(cohort_of(tmp_path, [("1", "n/a")]), seed=1)


def test_unknown_labels_are_all_named(tmp_path):
    cohort = cohort_of(tmp_path, [("1", "F"), ("2", "f"), ("3", "M"), ("4", "Male")])
    with pytest.raises(InputError, match=r"not one of the labels \['F', 'M'\]\n  - 2: 'f'\n  - 4: 'Male'\n"):
        parse_people(cohort, seed=1)


def test_a_class_without_people(tmp_path):
    with pytest.raises(InputError, match=r"2 people .* \(F: 2\)\n  - M\n"):
        parse_people(cohort_of(tmp_path, [("1", "F"), ("2", "F")]), seed=1)
    rows = [("1", "F"), ("2", "F"), ("3", "M"), ("4", "F"), ("5", "F")]
    cohort = cohort_of(tmp_path, rows, images=["1", "2", "4", "5"])
    with pytest.raises(InputError, match=r"the cohort whose images were found .* \(F: 4\)\n  - M\n"):
        found_people(cohort, seed=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["F"], "at least two labels"),
        ([], "at least two labels"),
        ([True, False], "YAML turned these labels into truth values"),
        (["F", "joint"], "'joint'"),
        (["F", "a/b"], "'a/b'"),
        (["F", "F"], "listed twice"),
    ],
)
def test_bad_labels(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        parse_people(cohort_of(tmp_path, [("1", "F")], labels=labels), seed=1)


def test_numbers_as_labels(tmp_path):
    assert parse_people(cohort_of(tmp_path, [("1", "0"), ("2", "1")], labels=[0, 1]), seed=1)["target"].tolist() == [
        "0",
        "1",
    ]


def test_regression_targets(tmp_path):
    cohort = cohort_of(tmp_path, [("1", "1.5"), ("2", "n/a"), ("3", "-2e1")], labels=None, task="regression")
    assert parse_people(cohort, seed=1)["target"].tolist() == [1.5, -20.0]
    cohort = cohort_of(tmp_path, [("1", "1,5"), ("2", "inf"), ("3", "2"), ("4", "36+")], labels=None, task="regression")
    with pytest.raises(InputError, match=r"for 3 people\n  - 1: '1,5'\n  - 2: 'inf'\n  - 4: '36\+'"):
        parse_people(cohort, seed=1)
    cohort = cohort_of(tmp_path, [("1", "2"), ("2", "2.0")], labels=None, task="regression")
    with pytest.raises(InputError, match="the same for all 2 people"):
        parse_people(cohort, seed=1)


def test_head_sizes_must_be_positive_numbers(tmp_path):
    cohort = cohort_of(tmp_path, [("1", "F"), ("2", "M")])
    (tmp_path / "people.tsv").write_text("participant_id\tdx\ttiv\n1\tF\t0\n2\tM\t-3\n3\tM\tn/a\n4\tF\t1e6\n")
    cohort["table"]["size_column"] = "tiv"
    with pytest.raises(InputError, match=r"'tiv' of .* is not positive.*\n  - 1: 0\n  - 2: -3\n"):
        parse_people(cohort, seed=1)
    (tmp_path / "people.tsv").write_text("participant_id\tdx\ttiv\n1\tF\tbig\n2\tM\t5\n")
    with pytest.raises(InputError, match=r"head size 'tiv' of .* for 1 people\n  - 1: 'big'"):
        parse_people(cohort, seed=1)


def test_masks_are_looked_for_too(tmp_path):
    rows = [(str(n), "FM"[n % 2]) for n in range(10)]
    cohort = cohort_of(tmp_path, rows)
    cohort["table"]["mask_pattern"] = "mask-{id}.nii"
    for person, _ in rows[1:]:
        (tmp_path / f"mask-{person}.nii").touch()
    found, missing = found_people(cohort, seed=1)
    assert found["participant_id"].tolist() == [str(n) for n in range(1, 10)]
    assert missing.to_numpy().tolist() == [["0", "no mask mask-0.nii"]]


def test_tables_are_read_once_when_the_roster_is_given(tmp_path, monkeypatch):
    cohort = cohort_of(tmp_path, [(str(n), "FM"[n % 2]) for n in range(10)], images=[str(n) for n in range(1, 10)])
    expected = parse_people(cohort, 1), count_people(cohort), *found_people(cohort, 1)
    roster = read_roster(cohort, 1)
    monkeypatch.setattr(people_module, "read_roster", lambda *_: pytest.fail("read again"))
    given = parse_people(cohort, 1, roster), count_people(cohort, roster), *found_people(cohort, 1, roster)
    assert given[1] == expected[1] == 10
    for place in (0, 2, 3):
        pd.testing.assert_frame_equal(given[place], expected[place])
    assert count_people(cohort | {"limit": 6}, roster) == 6


def test_min_found_is_met_exactly(tmp_path):
    rows = [(f"{n:02d}", "FM"[n % 2]) for n in range(25)]
    cohort = cohort_of(tmp_path, rows, images=[f"{n:02d}" for n in range(7)], min_found=0.28)
    assert 0.28 * 25 > 7  # in floating point
    assert len(found_people(cohort, seed=1)[0]) == 7
    with pytest.raises(InputError, match=r"found for 7 of 25 people .* cohort\.min_found: 0\.29 asks for 29%"):
        found_people(cohort | {"min_found": 0.29}, seed=1)


def test_limit_is_drawn_from_the_people_found(tmp_path):
    rows = [(str(n), "FM"[n % 2]) for n in range(20)]
    cohort = cohort_of(tmp_path, rows, images=[str(n) for n in range(2, 20)], limit=6)
    found, missing = found_people(cohort, seed=1)
    assert found["target"].value_counts().to_dict() == {"F": 3, "M": 3}
    assert found["participant_id"].is_monotonic_increasing
    assert missing["participant_id"].tolist() == ["0", "1"]
    assert count_people(cohort) == 6
    assert count_people(cohort | {"limit": 100}) == 20
    other, _ = found_people(cohort, seed=2)
    assert set(other["participant_id"]) != set(found["participant_id"])


def people_frame(counts):
    targets = [label for label, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"participant_id": [f"{n:04d}" for n in range(len(targets))], "target": targets})


def test_limit_keeps_proportions_and_every_class():
    people = people_frame({"A": 96, "B": 2, "C": 2})
    assert limit_people(people, 50, "classification", 1)["target"].value_counts().to_dict() == {"A": 48, "B": 1, "C": 1}
    assert limit_people(people, 3, "classification", 1)["target"].value_counts().to_dict() == {"A": 1, "B": 1, "C": 1}
    assert len(limit_people(people, 2, "classification", 1)) == 2
    thirds = limit_people(people_frame({"A": 20, "B": 20, "C": 20}), 20, "classification", 1)
    assert sorted(thirds["target"].value_counts()) == [6, 7, 7]
    for limit in range(1, 101):
        assert len(limit_people(people, limit, "classification", 1)) == limit
    with pytest.raises(InputError, match=r"cohort\.limit: 0"):
        limit_people(people, 0, "classification", 1)


def test_limit_depends_neither_on_order_nor_on_others():
    people = people_frame({"A": 40, "B": 40})
    chosen = limit_people(people, 20, "classification", 1)
    assert chosen.equals(limit_people(people.sample(frac=1, random_state=3), 20, "classification", 1))
    left_out = people[~people["participant_id"].isin(chosen["participant_id"])]
    without_others = people.drop(index=left_out.index[:10])
    again = limit_people(without_others, 20, "classification", 1)
    assert len(set(again["participant_id"]) & set(chosen["participant_id"])) >= 18
    smaller = limit_people(people, 10, "classification", 1)
    assert set(smaller["participant_id"]) <= set(chosen["participant_id"])


def test_limit_of_a_regression_spans_the_targets():
    people = pd.DataFrame({"participant_id": [f"{n:03d}" for n in range(100)], "target": np.arange(100.0)})
    chosen = limit_people(people, 10, "regression", 1)["target"]
    assert np.histogram(chosen, bins=[0, 20, 40, 60, 80, 100])[0].tolist() == [2] * 5


def test_quantile_bins_are_never_empty_with_ties():
    people = pd.DataFrame({"participant_id": list("abcdef"), "target": [1.0, 1.0, 1.0, 1.0, 1.0, 9.0]})
    assert strata(people, "regression", 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert strata(people.iloc[::-1], "regression", 3).tolist() == [2, 2, 1, 1, 0, 0]
    assert strata(people, "regression", 100).max() == 5


def test_unknown_source():
    with pytest.raises(InputError, match="'nifti' is not one of hcp, bids, table, phantom"):
        parse_people({"source": "nifti", "target": "x"}, seed=1)


def phantom_of(target="Gender", task="classification", **settings):
    labels = ["F", "M"] if task == "classification" else None
    return {"source": "phantom", "target": target, "task": task, "labels": labels, "limit": None, "phantom": settings}


@pytest.mark.parametrize(
    ("space", "image"), [("mni", "MNINonLinear/T1w_restore_brain"), ("acpc", "T1w/T1w_acpc_dc_restore_brain")]
)
def test_phantom_people_need_no_files(space, image):
    cohort = phantom_of(people=12, space=space)
    people = parse_people(cohort, seed=3)
    found, missing = found_people(cohort, seed=3)
    assert found.equals(people)
    assert missing.empty
    assert people["image"].tolist() == [f"{person}/{image}.nii.gz" for person in people["participant_id"]]
    assert set(people["target"]) == {"F", "M"}
    assert people["group"].notna().all()
    assert count_people(cohort) == 12
    assert count_people(cohort | {"limit": 6}) == 6
    assert data_root(cohort) is None
    assert not people.equals(parse_people(cohort, seed=4))
    assert people.equals(parse_people(phantom_of(people=12, space=space, keep_volumes=True), seed=3))


def test_phantom_targets_and_settings():
    age = phantom_of("Age_in_Yrs", "regression", people=12)
    assert parse_people(age, seed=3)["target"].between(20, 40).all()
    assert target_is_restricted(age)
    assert not target_is_restricted(phantom_of())
    with pytest.raises(InputError, match=r"no column 'Gendre' in the design of the phantom[^$]*Did you mean 'Gender'"):
        parse_people(phantom_of("Gendre"), seed=3)
    with pytest.raises(InputError, match=r"no such settings\n  - colour\n  - seed\n"):
        parse_people(phantom_of(colour=1, seed=2), seed=3)


def test_planning_imports_nothing_heavy():
    code = (
        "import sys; import voxplain.cohort.people as p;"
        "p.parse_people({'source': 'phantom', 'target': 'Gender', 'task': 'classification', 'labels': ['F', 'M']}, 1);"
        "heavy = {'torch', 'nibabel', 'nilearn', 'sklearn', 'scipy', 'matplotlib', 'ants'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("column", "restricted"), [("Age_in_Yrs", True), ("handedness", True), ("sex", False), ("age", False)]
)
def test_restricted_fields_are_known_by_name_in_any_table(tmp_path, column, restricted):
    (tmp_path / "people.tsv").write_text(f"participant_id\t{column}\nA1\t1\nA2\t2\n")
    table = {"file": str(tmp_path / "people.tsv"), "image_pattern": "{id}.nii"}
    cohort = {"source": "table", "target": column, "task": "regression", "table": table}
    assert target_is_restricted(cohort) is restricted
    assert read_roster(cohort, 0).restricted is restricted
