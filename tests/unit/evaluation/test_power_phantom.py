"""Phantom cohorts in memory, and a whole cell of the benchmark."""

from dataclasses import replace

import numpy as np
import pytest

from voxplain.cohort.phantom import PhantomSettings, design, make_people
from voxplain.cohort.phantom.effects import mock_truth, truth_codes
from voxplain.cohort.phantom.fields import positions
from voxplain.cohort.phantom.people import IMAGES
from voxplain.evaluation.benchmark_cells import cells_of_benchmark, sizes_of_benchmark
from voxplain.evaluation.power_phantom import benchmark_settings, phantom_cell, phantom_cohort
from voxplain.imaging.downsampling import downsample
from voxplain.imaging.grid import COMMON, mni_brain


def test_images_in_memory_are_those_that_the_workflow_reads_from_files(tmp_path):
    settings = benchmark_settings("both", 1.0, 4, 3)
    cohort = phantom_cohort(settings)
    person = design(settings)["participant_id"][1]
    make_people([person], settings, tmp_path)
    data, _, row = downsample(tmp_path / person / IMAGES["mni"], None, person)
    assert row["problem"] == ""
    np.testing.assert_allclose(cohort.images[1], data, atol=1e-4)
    assert list(cohort.people) == ["participant_id", "target", "group"]
    assert cohort.people["group"].equals(design(settings)["Family_ID"])
    overlap = 2 * (cohort.brain & mni_brain()).sum() / (cohort.brain.sum() + mni_brain().sum())
    assert overlap > 0.93


def test_without_an_effect_the_truth_is_a_mock(monkeypatch):
    monkeypatch.setattr("voxplain.evaluation.power_phantom.design", lambda settings: design(settings)[:2])
    places = positions(COMMON)
    nominal = mock_truth(PhantomSettings(), places)
    for name, effect in (("none", 1.0), ("head_size", 1.0), ("left", 0.0)):
        assert np.array_equal(phantom_cohort(benchmark_settings(name, effect, 1, 4)).truth, nominal), name
    left = benchmark_settings("left", 0.5, 1, 4)
    assert np.array_equal(phantom_cohort(left).truth, truth_codes(left, places))


def test_only_head_size_is_shown_at_native_size():
    assert benchmark_settings("head_size", 1, 1, 8).space == "acpc"
    plain = benchmark_settings("none", 1, 1, 8, {"noise": 0.0, "seed": 7})
    assert plain == replace(
        PhantomSettings(), design="none", people=8, grid="common", dtype="float32", noise=0.0, effect=1, seed=1
    )


def test_cells_are_designs_by_effects_by_seeds():
    settings = {"full": False, "effects": None, "seeds": 2, "people": None, "designs": ["both", "none"]}
    assert cells_of_benchmark(settings) == [
        *("both_effect-0.5_seed-1", "both_effect-1_seed-1", "none_effect-0_seed-1"),
        *("both_effect-0.5_seed-2", "both_effect-1_seed-2", "none_effect-0_seed-2"),
    ]
    assert sizes_of_benchmark(settings) == {"effects": [0.5, 1], "seeds": 2, "people": 128}
    full = {"effects": [0.25, 0.5, 0.75, 1, 1.5], "seeds": 2, "people": 256}
    full = {"effects": [0.25, 0.5, 0.75, 1, 1.5], "seeds": 2, "people": 256}
    assert sizes_of_benchmark(settings | {"full": True}) == full


@pytest.mark.slow
def test_a_whole_cell(tmp_path):
    training = {"arguments": {"channels": 1, "blocks": 1}, "epochs": 1, "batch_size": 4, "checkpoint": "last"}
    cell = phantom_cell(
        "intensity", 1.0, 2, 24, training=training, methods={"lrp": {"method": "lrp"}}, state_folder=tmp_path,
        shuffles=5, fwhms_mm=[0.0], phantom={"family_size": 1},
    )  # fmt: skip
    assert cell.accuracy["n_train"].item() == 18
    assert set(cell.scores["method"]) == {"lrp", "anatomy_held_out", "anatomy_all"}
