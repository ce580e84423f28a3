"""What a schema cannot see: contradictions, whole numbers written as 2.0, and the order of keys."""

import copy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator, validators

from voxplain.base.errors import InputError
from voxplain.configuration import check_config, cohort_of_features, cohort_of_folds, joining, ordered, tidy

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())


def fill(validator, properties, instance, schema):
    """Fill in defaults, as Snakemake does."""
    for key, part in properties.items():
        if "default" in part and isinstance(instance, dict):
            instance.setdefault(key, copy.deepcopy(part["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


VALIDATOR = validators.extend(Draft202012Validator, {"properties": fill})(SCHEMA)


def complete(**changes):
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    for key, value in changes.items():
        section = config
        *above, last = key.split("__")
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    VALIDATOR.validate(config)
    return config


def refused(classes=("F", "M"), **changes):
    with pytest.raises(InputError) as error:
        check_config(complete(**changes), list(classes))
    return str(error.value)


def test_the_demo_is_without_contradictions():
    check_config(complete(), ["F", "M"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds__compare_ungrouped": True, "folds__grouped": False}, "folds.compare_ungrouped"),
        ({"baselines__models": {"ridge": {}, "svr": {}}}, "baselines.models.svr: it does not do classification"),
        ({"interpret__weights": "net.safetensors"}, "interpret.weights"),
        ({"baselines__features": {"include": "("}}, "baselines.features.include: '(' is no regular expression"),
        ({"baselines__features": {"tables": ["/nowhere.tsv"]}}, "baselines.features.tables: /nowhere.tsv"),
        ({"features__layer": 9}, "features.layer: 9 is none of the network's blocks, 1 to 3"),
        ({"features__layer": 0}, "features.layer: 0"),
        ({"model__arguments": {"chanels": 8}}, "VoxelCNN has no chanels"),
        ({"cohort__size": {"file": "sizes.tsv", "column": "icv"}}, "cohort.size.file: take it out"),
        ({"atlases": {"parcels": {"image": "a.nii", "labels": "a.tsv"}}}, "atlases.parcels"),
        ({"population__threshold": {"value": 101}}, "top_percent"),
        ({"maps__methods": {"gradcam": {"target": "X"}}}, "maps.methods.gradcam.target: 'X'"),
        ({"maps__methods": {"smoothgrad": {"target": "true"}}}, "would cancel"),
        ({"maps__methods": {"perturbation": {"people": 1}}}, "at least 2"),
        ({"maps__methods": {"lrp": {"low": 1, "high": -1}}}, "maps.methods.lrp.low, high"),
        ({"maps__methods": {"occlusion": {"window": 4, "stride": 5}}}, "maps.methods.occlusion.stride: 5 voxels"),
        ({"maps__methods": {"noise": {"noise_min": 2}}}, "maps.methods.noise.noise_min, noise_max"),
        ({"maps__methods": {"gradcam": {"layer": 4}}}, "maps.methods.gradcam.layer: 4 is none"),
        ({"features__visualisation__layers": [1, 9]}, "features.visualisation.layers: 9 is none"),
        ({"statistics__age_gap": True}, "statistics.age_gap"),
    ],
)
def test_contradictions_are_named(changes, said):
    assert said in refused(**changes)


@pytest.mark.parametrize(
    ("method", "changes", "classes", "expected"),
    [
        ("lrp", {}, "FM", ("difference", ["F", "M"])),
        ("smoothgrad", {}, "FM", ("mean", ["F", "M"])),
        ("perturbation", {}, "FM", ("mean", ["F", "M"])),
        ("lrp", {"maps__methods": {"lrp": {"target": "M"}}}, "FM", ("difference", ["F", "M"])),
        ("lrp", {"maps__methods": {"lrp": {"target": "true"}}}, "FM", ("mean", ["F", "M"])),
        ("lrp", {"population__statistics": ["mean_absolute"]}, "FM", ("mean", ["F", "M"])),
        ("lrp", {"population__joint": "sum"}, "FM", ("sum", ["F", "M"])),
        ("smoothgrad", {"population__joint": "difference"}, "FM", ("difference", ["F", "M"])),
        ("lrp", {}, "ABC", ("mean", ["A", "B", "C"])),
        ("lrp", {"population__statistics": ["t"]}, "FM", ("welch", ["F", "M"])),
        ("lrp", {"maps__methods": {"lrp": {"target": "F"}}}, "FM", ("difference", ["M", "F"])),
        ("lrp", {}, "", ("difference", ["lowest-third", "highest-third"])),
        ("lrp", {"population__tertiles": False}, "", ("difference", ["lowest-third", "highest-third"])),
        ("smoothgrad", {}, "", ("everybody", [])),
    ],
)
def test_joint_maps_of_contributions_are_differences(method, changes, classes, expected):
    config = complete(**changes)
    assert joining(config, list(classes), method, config["population"]["statistics"][0]) == expected


def test_what_contributes_to_the_explained_class_of_three_may_be_averaged():
    contributing = complete(maps__methods={"lrp": {}, "gradcam": {}}, baselines__models={}, cohort__labels=list("ABC"))
    check_config(contributing, list("ABC"))
    refusal = refused("ABC", maps__methods={"smoothgrad": {}}, baselines__models={}, population__joint="difference")
    assert "maps.methods.smoothgrad.target" in refusal
    assert "population.joint: difference needs two classes or a number" in refusal


def test_a_number_has_neither_a_probability_nor_a_gap_without_folds():
    number = {"cohort__task": "regression", "cohort__labels": [], "cohort__target": "Age", "baselines__models": {}}
    said = refused((), **number, maps__methods={"lrp": {"start": "probability"}})
    assert "maps.methods.lrp.start: a number has no probability" in said
    said = refused((), **number, statistics__age_gap=True, interpret__weights="network.safetensors")
    assert "statistics.age_gap: take it out, a network from outside" in said


def test_all_contradictions_are_named_at_once():
    message = refused(features__layer=9, model__arguments={"chanels": 8})
    assert "features.layer" in message
    assert "chanels" in message


def test_a_number_as_target():
    changes = {"cohort__task": "regression", "cohort__target": "Age_in_Yrs", "cohort__labels": None}
    message = refused((), **changes)
    assert "baselines.models.logistic: it does not do regression; take ridge and svr" in message
    assert "cohort.labels" not in message
    assert "statistics.age_gap" in refused(statistics__age_gap=True)
    assert "cohort.labels is for classification" in refused((), **changes | {"cohort__labels": ["F", "M"]})


def test_morphometry_of_a_table_needs_a_table_of_features():
    table = {"cohort__source": "table", "cohort__table": {"file": "people.tsv"}}
    assert "name a table of features for xgboost, knn, logistic" in refused(**table)
    check_config(complete(**table, baselines__models={"svm": {}}), ["F", "M"])


def test_whole_numbers_and_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = {"a": 2.0, "b": [3.0, 0.5, "~/x", True], "model": {"arguments": {"p": 1.0}}, "c": "a~b"}
    found = tidy(config)
    assert found == {"a": 2, "b": [3, 0.5, f"{tmp_path}/x", True], "model": {"arguments": {"p": 1.0}}, "c": "a~b"}
    assert [type(value) for value in (found["a"], found["b"][0], found["model"]["arguments"]["p"])] == [int, int, float]


def test_the_order_of_keys_is_not_the_user_s():
    one, other = {"b": 1, "a": {"d": 2, "c": [3, 1]}}, {"a": {"c": [3, 1], "d": 2}, "b": 1}
    assert str(ordered(one)) == str(ordered(other))
    assert ordered(one, "b") == {"a": {"c": [3, 1], "d": 2}}


def test_head_size_and_age_do_not_decide_who_takes_part():
    table = {"file": "people.tsv", "size_column": "icv", "age_column": "years", "group_column": "family"}
    cohort = {"source": "table", "target": "sex", "task": "classification", "min_found": 0.5, "table": table}
    changed = {**cohort, "size": {"file": "x"}, "min_found": 1, "table": {**table, "size_column": None}}
    del changed["table"]["age_column"]
    assert cohort_of_folds(cohort) == cohort_of_folds(changed)
    assert cohort_of_folds(cohort)["table"]["group_column"] == "family"
    assert cohort_of_features(cohort) == {
        "source": "table", "target": "sex", "task": "classification",
        "table": {"age_column": "years", "group_column": "family"},
    }  # fmt: skip


def test_the_table_of_morphometry_matters_only_where_it_holds_the_target(tmp_path):
    (tmp_path / "main.csv").write_text("Subject,Gender\n1,F\n")
    (tmp_path / "fs.csv").write_text("Subject,FS_Mask_Vol\n1,2\n")
    files = {"unrestricted_csv": str(tmp_path / "main.csv"), "freesurfer_csv": str(tmp_path / "fs.csv")}
    cohort = {"source": "hcp", "target": "Gender", "hcp": {"root": "r", "restricted_csv": None, **files}}
    assert cohort_of_folds(cohort)["hcp"]["freesurfer_csv"] is None
    assert cohort_of_folds({**cohort, "target": "FS_Mask_Vol"})["hcp"]["freesurfer_csv"] == files["freesurfer_csv"]
