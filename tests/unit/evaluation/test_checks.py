"""What the tests of maps and the benchmarks cannot do is said before anything is computed, under the key that asks."""

import copy

import pytest

from voxplain.attribution import METHOD_NAMES
from voxplain.evaluation.checks import of_the_evaluation

CLASSES = ["F", "M"]
CONFIG = {
    "cohort": {"source": "table"},
    "images": {"align": "none", "space": "mni"},
    "interpret": {"weights": None},
    "atlases": {"demo": {}, "other": {}},
    "evaluation": {
        "localization": {"truth": None},
        "reproducibility": {"people": 0},
        "retraining": {"networks": 0},
    },
    "phantom_benchmark": {
        "methods": {"soft": {"method": "smoothgrad"}},
        "training": {"epochs": 2, "arguments": {"channels": 2}},
        "phantom": {"noise": 0.1},
    },
    "planted_benchmark": {
        "regions": ["Left", 7], "atlas": None, "kind": "both", "volume_effect": 0.8, "intensity_effect": 0.3,
        "spread": 0.25,
    },
}  # fmt: skip
PHANTOM = {"source": "phantom", "phantom": {"grid": "hcp"}}


def problems(classes=CLASSES, **changes):
    """Return what is wrong with the configuration after changes, ``a__b`` being the key b under a."""
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        section = config
        *above, last = key.split("__")
        for name in above:
            section = section[name]
        section[last] = value
    return of_the_evaluation(config, classes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"evaluation__reproducibility__people": 4, "evaluation__retraining__networks": None},
        {"interpret__weights": "net.safetensors"},
        {"planted_benchmark__atlas": "other"},
        {"cohort": PHANTOM, "atlases": {}, "planted_benchmark__atlas": "parcels"},
        {"planted_benchmark__regions": [], "atlases": {}, "images__space": "acpc"},
        {"images__align": "affine", "images__space": "acpc"},
    ],
)
def test_nothing_is_wrong(changes, tmp_path):
    truth = tmp_path / "truth.nii.gz"
    truth.touch()
    assert problems(evaluation__localization__truth=str(truth), **changes) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evaluation__localization__truth": "/nowhere.nii"}, "evaluation.localization.truth: /nowhere.nii does not"),
        ({"evaluation__reproducibility__people": 3}, "evaluation.reproducibility.people: 3 is too few; at least 4, or"),
        ({"atlases": {}}, "planted_benchmark.regions: they are regions of an atlas"),
        ({"planted_benchmark__atlas": "mine"}, "planted_benchmark.atlas: 'mine' is none of demo, other"),
        ({"cohort": PHANTOM, "planted_benchmark__atlas": "mine"}, "'mine' is none of demo, other, parcels"),
        ({"cohort": {"source": "phantom", "phantom": {"grid": "common"}}}, "planted_benchmark.regions: images on the"),
        ({"images__space": "acpc"}, "planted_benchmark.regions: A change of atlas regions can only be planted in"),
        ({"images__align": "rigid"}, "images.align: rigid"),
        ({"planted_benchmark__volume_effect": 0}, "volume_effect: 0, expected more, because kind is both"),
        ({"planted_benchmark__regions": [1.5]}, "regions: [1.5], expected a list of indices or names"),
        ({"phantom_benchmark__methods": {"ball": {"method": "crystal"}}}, "phantom_benchmark.methods.ball.method: 'cr"),
        ({"phantom_benchmark__training": {"epoch": 2}}, "phantom_benchmark.training: there is no epoch; there are amp"),
        ({"phantom_benchmark__training": {"labels": ["A", "B"]}}, "phantom_benchmark.training: there is no labels"),
        ({"phantom_benchmark__training": {"epochs": 0}}, "epochs 0 must be at least 1"),
        ({"phantom_benchmark__phantom": {"noises": 1}}, "phantom_benchmark.phantom: there is no noises; there are"),
        ({"phantom_benchmark__phantom": {"noise": 2.0}}, "noise: 2.0, expected a number from 0.0 to 0.5"),
        ({"phantom_benchmark__phantom": {"seed": 2, "people": 9}}, "phantom_benchmark.phantom: take out people, seed,"),
    ],
)
def test_each_refusal_is_one_problem_and_names_its_key(changes, said):
    (problem,) = problems(**changes)
    assert said in problem


def test_a_network_from_outside_is_not_trained_again():
    found = problems(
        interpret__weights="net.safetensors",
        evaluation__reproducibility__people=8,
        evaluation__retraining__networks=None,
    )
    assert [line.split(":")[0] for line in found] == [
        "evaluation.reproducibility.people",
        "evaluation.retraining.networks",
    ]


@pytest.mark.parametrize(("classes", "least"), [(["a"] * 2, 4), (["a"] * 3, 6), ([], 6)])
def test_how_many_people_are_enough_hangs_on_the_groups(classes, least):
    assert problems(classes, evaluation__reproducibility__people=least) == []
    assert f"at least {least}, or 0" in problems(classes, evaluation__reproducibility__people=least - 1)[0]


def test_all_problems_are_told_at_once():
    found = problems(
        evaluation__localization__truth="/nowhere.nii",
        phantom_benchmark__methods={"ball": {"method": "crystal"}, "cube": {"method": "tarot"}},
        planted_benchmark__spread=2,
        images__align="rigid",
    )
    assert len(found) == 5
    assert ", ".join(METHOD_NAMES) in found[1]
