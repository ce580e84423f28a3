"""Costs that are expected, held against runs that were measured."""

import copy
from pathlib import Path

import pytest
import yaml
from snakemake.utils import validate

from voxplain.running import costs
from voxplain.running.estimate import by_stage, estimate, expected_seconds, room_needed, wall_seconds

ROOT = Path(__file__).parents[3]
CLASSES = ["F", "M"]
GROWTH = {
    "torch_threads": 1,
    "cohort": {"source": "phantom", "target": "Gender", "labels": CLASSES, "phantom": {"grid": "common"}},
    "folds": {"count": 4},
    "model": {"arguments": {"channels": 2}},
    "training": {"epochs": 2, "batch_size": 45, "milestones": [], "checkpoint": "last"},
    "baselines": {"models": {"svm": {}, "xgboost": {}, "knn": {}, "logistic": {}}},
    "maps": {"methods": {"gradcam": {}, "guided_backprop": {}}},
    "evaluation": {"faithfulness": {"people": 16}},
}


def filled(config, **changes):
    config = copy.deepcopy({"name": "x", **config})
    for dotted, value in changes.items():
        *above, last = dotted.split("__")
        section = config
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    validate(config, str(ROOT / "workflow" / "schemas" / "config.schema.yaml"))
    return config


def example(name, **changes):
    return filled(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()), **changes)


def total(parts):
    return sum(part.seconds for part in parts)


# CPU seconds of all jobs together, as measured on the machine that costs.py names.
@pytest.mark.parametrize(
    ("config", "people", "measured"),
    [
        pytest.param(example("demo"), 128, 1017, id="demo"),
        pytest.param(filled(GROWTH), 100, 235, id="growth-100"),
        pytest.param(filled(GROWTH), 400, 451, id="growth-400"),
        pytest.param(filled(GROWTH), 1113, 968, id="growth-1113"),
    ],
)
def test_measured_runs_are_foretold(config, people, measured):
    assert total(estimate(config, people, CLASSES, 151)) == pytest.approx(measured, rel=0.25)


def test_jobs_of_the_demo_are_about_as_many_as_it_has():
    assert sum(part.jobs for part in estimate(example("demo"), 128, CLASSES)) == pytest.approx(200, rel=0.15)


def test_what_is_switched_off_costs_nothing():
    whole = by_stage(estimate(example("hcp"), 1113, CLASSES))
    config = example("hcp", baselines__models={}, maps__methods={"gradcam": {}}, evaluation={})
    fewer = by_stage(estimate(config, 1113, CLASSES))
    assert "other models" in whole
    assert "other models" not in fewer
    assert {stage for stage in fewer if stage.startswith("maps")} == {"maps: gradcam"}
    assert fewer["tests of maps"][1] < whole["tests of maps"][1] / 5
    assert fewer["networks"] == whole["networks"]
    assert room_needed(config, 1113, CLASSES)["maps"] < room_needed(example("hcp"), 1113, CLASSES)["maps"]


def test_a_network_from_outside_trains_nothing():
    config = example("hcp", interpret__weights="net.safetensors", baselines__models={})
    kinds = expected_seconds(estimate(config, 1113, CLASSES))
    assert "import_network" in kinds
    assert not {"train_fold", "fit_morphometry", "describe_first_layer"} & set(kinds)


def test_a_network_of_the_user_s_own_is_counted_as_a_usual_one():
    config = example("hcp", model={"network": "mine:Net", "arguments": {"channels": "many"}})
    assert estimate(config, 100, CLASSES) == estimate(example("hcp"), 100, CLASSES)


def test_time_follows_what_it_should():
    usual = total(estimate(example("hcp"), 1113, CLASSES))
    assert total(estimate(example("hcp", training__epochs=40), 1113, CLASSES)) > 1.5 * usual
    assert total(estimate(example("hcp", statistics__permutations=2), 1113, CLASSES)) > 2 * usual
    assert total(estimate(example("hcp"), 100, CLASSES)) < usual / 3
    small = example("hcp", model__arguments={"channels": 8})
    assert total(estimate(small, 1113, CLASSES)) < usual / 2
    aligned = example("hcp", images__align="syn")
    assert total(estimate(aligned, 1113, CLASSES)) - usual == pytest.approx(1113 * costs.ALIGN_S["syn"])
    paper = estimate(example("hcp_paper"), 1113, CLASSES)
    assert wall_seconds(paper, 2) > 24 * 3600  # 3,000 passes a person: days
    assert wall_seconds(paper, 16) == pytest.approx(wall_seconds(paper, 2) / 8)


def test_every_method_and_model_has_a_cost():
    section = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())["properties"]
    methods = list(section["maps"]["properties"]["methods"]["properties"])
    models = list(section["baselines"]["properties"]["models"]["properties"])
    config = example("hcp", maps__methods={method: {} for method in methods})
    config["baselines"]["models"] = {model: {} for model in models}
    kinds = expected_seconds(estimate(config, 100, CLASSES))
    assert {f"explain {method}" for method in methods} <= set(kinds)
    assert set(costs.MORPHOMETRY_S) == set(models) - {"svm"}
    assert all(seconds > 0 for seconds in kinds.values())


def test_channels_between_and_beyond_those_measured():
    assert costs.at_channels({8: 1.0, 32: 4.0}, 8) == pytest.approx(1)
    assert costs.at_channels({8: 1.0, 32: 4.0}, 16) == pytest.approx(2)
    assert costs.at_channels({8: 1.0, 32: 4.0}, 64) == pytest.approx(8)
    # Of a single measurement the growth of training is taken.
    assert costs.at_channels({8: 10.0}, 32) == pytest.approx(10 * costs.TRAIN_S[32] / costs.TRAIN_S[8])


def test_room_of_the_growth_runs():
    """2.0 GB of images were measured for 1,113 people; maps are counted at the size of the largest."""
    room = room_needed(filled(GROWTH), 1113, CLASSES)
    assert room["images"] == pytest.approx(2.05e9, rel=0.1)
    assert 755e6 < room["maps"] < 3 * 755e6
    assert "phantom's volumes" not in room
    volumes = room_needed(example("demo"), 128, CLASSES, 1)["phantom's volumes"]
    assert volumes == 32 * costs.VOLUME_BYTES
    kept = example("demo", cohort__phantom={"people": 128, "keep_volumes": True})
    assert room_needed(kept, 128, CLASSES, 1)["phantom's volumes"] == 4 * volumes
    bucket = example("hcp", cohort__hcp__root="s3://openaccess/HCP_1200")
    assert room_needed(bucket, 1113, CLASSES, 2)["images of a bucket, for a while"] == 64 * costs.BUCKET_BYTES
