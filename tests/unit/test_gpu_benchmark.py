"""The study for a GPU, on the CPU and tiny: every stage runs, counts right, and ends when its time is over."""

import importlib
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("gpu")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def run(gpu, tmp_path):
    """Return a function that runs the study on the CPU with more words and returns what it wrote."""

    def once(*words):
        output = tmp_path / "new" / "gpu.json"
        assert gpu.main(["--device", "cpu", "--small", "--output", str(output), *words]) == 0
        return json.loads(output.read_text())

    return once


def test_every_stage_is_done_for_everybody_and_written(run):
    methods = ["noise", "gradcam", "perturbation"]
    found = run("--stages", "machine", "training", "maps", "options", "--methods", *methods)
    assert list(found) == ["study", "seconds", "machine", "training", "gradcam", "noise_training", "noise",
                           "perturbation", "options"]  # fmt: skip
    training = found["training"]
    assert (training["done"], training["of"], len(training["accuracy"])) == (2, 2, 2)
    assert training["seconds"] == pytest.approx(sum(training["seconds_of_each"]))
    assert all(found[method]["done"] == found[method]["of"] == 24 for method in methods)
    assert found["noise_training"]["done"] == 2
    assert set(found["machine"]["product_flops"]) == {"float32", "bfloat16"}
    assert all(isinstance(rate, float) and rate > 0 for rate in found["options"].values())
    assert training["wanted_s"] is None  # of the full study alone


def test_sizes_can_be_given(run):
    found = run("--people", "16", "--folds", "4", "--epochs", "2", "--stages", "training")
    assert {key: found["study"][key] for key in ("people", "folds", "epochs")} == {
        "people": 16,
        "folds": 4,
        "epochs": 2,
    }
    assert found["training"]["done"] == 4
    assert "gradcam" not in found


def test_a_limit_of_time_ends_the_study_cleanly(run):
    found = run("--limit-s", "0", "--stages", "training", "maps", "options", "peers")
    assert list(found) == ["study", "seconds"]


def test_without_a_gpu_nothing_is_measured(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--output", str(tmp_path / "gpu.json")]) == 1
    assert "torch sees no GPU" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


def test_operations_of_a_sample_are_those_of_the_layers(gpu):
    """Two a multiplication: 27 weights a voxel and channel, and backward twice that without the input's gradient."""
    operations = importlib.import_module("training_speed").operations
    layers, widths, shape = [], (1, 32, 64, 128), np.array([58, 70, 58])
    for inputs, outputs in pairwise(widths):
        layers.append(2 * 27 * inputs * outputs * int(np.prod(shape - 2)))
        shape = (shape - 2) // 2
    layers.append(2 * 22400 * 2)
    assert operations((58, 70, 58), 32, training=False) == sum(layers)
    assert operations((58, 70, 58), 32) == 3 * sum(layers) - layers[0]
