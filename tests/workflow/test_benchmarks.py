"""Both benchmarks from end to end: phantoms made for the purpose, and changes planted in a cohort's own images."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import read_table, write_image, write_table
from voxplain.imaging.grid import COMMON, HCP, mni_brain

IDS = [f"zq{number:02d}x" for number in range(12)]
TARGETS = ("phantom_benchmark", "planted_benchmark")
GRID = HCP.rescaled((70, 84, 70))
REGIONS = {3: ("Ball R", (36.0, -20.0, 12.0)), 7: ("Ball L", (-40.0, 10.0, 20.0))}
EFFECTS = (0, 1)
SIZES = {"seeds": 1, "fwhms_mm": [0], "shuffles": 5}


def write_cohort(folder):
    """Write textured brains in MNI space with a table of them, and an atlas of two balls."""
    brain = mni_brain(GRID.shape)
    for number, person in enumerate(IDS):
        data = np.random.default_rng(number).normal(600, 100, GRID.shape) * brain
        nib.save(nib.Nifti1Image(data.astype(np.int16), GRID.affine), folder / f"{person}.nii.gz")
    table = pd.DataFrame({"participant_id": IDS, "sex": list("FM" * 6), "t1": [f"{person}.nii.gz" for person in IDS]})
    write_table(table, folder / "people.tsv")
    where = np.moveaxis(np.indices(COMMON.shape), 0, -1) @ COMMON.affine[:3, :3].T + COMMON.affine[:3, 3]
    labels = sum(label * (np.linalg.norm(where - centre, axis=-1) < 14) for label, (_, centre) in REGIONS.items())
    write_image(labels.astype(np.uint8), COMMON.affine, folder / "balls.nii.gz")
    names = {"index": list(REGIONS), "name": [name for name, _ in REGIONS.values()]}
    write_table(pd.DataFrame(names), folder / "balls.tsv")


@pytest.fixture(scope="module")
def run(tmp_path_factory, workflow):
    folder = tmp_path_factory.mktemp("benchmarks")
    write_cohort(folder)
    training = {"epochs": 1, "batch_size": 4, "checkpoint": "last"}
    config = {
        "name": "tiny",
        "torch_threads": 1,
        "cohort": {
            "source": "table",
            "target": "sex",
            "labels": ["F", "M"],
            "table": {"file": str(folder / "people.tsv"), "root": str(folder), "image_column": "t1"},
        },
        "images": {"subjects_per_job": 6},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 2}},
        "training": training,
        "maps": {"methods": {"gradcam": {"target": "M"}}},
        "atlases": {"balls": {"image": str(folder / "balls.nii.gz"), "labels": str(folder / "balls.tsv")}},
        "phantom_benchmark": {
            **SIZES,
            "designs": ["both", "none"],
            "effects": [1],
            "people": 24,
            "statistics": ["mean_signed"],
            "methods": {"gradcam": {"method": "gradcam"}},
            "training": {**training, "arguments": {"channels": 2}},
        },
        "planted_benchmark": {**SIZES, "regions": ["Ball R", 7], "effects": list(EFFECTS), "held_out": 0.5},
    }
    done = workflow(folder, config)
    done.run(*TARGETS)
    return done


def scores(run, name):
    return read_table(run.results / "tables" / f"{name}.tsv")


def test_the_table_of_phantoms_has_every_design_method_and_level(run):
    table = scores(run, "phantom_benchmark")
    assert sorted(set(zip(table["design"], table["effect"], strict=True))) == [("both", 1), ("none", 0)]
    rows = table.groupby(["method", "level", "joint"], dropna=False).size()
    assert rows.tolist() == [2] * 5  # both anatomies; Grad-CAM's mean and difference, and people's own maps
    assert set(table["method"]) == {"gradcam", "anatomy_held_out", "anatomy_all"}
    assert table["auc"].between(0, 1).all()
    assert table.loc[table["method"] == "anatomy_all", "n"].eq(24).all()
    assert table.loc[table["method"] == "gradcam", "n"].between(4, 8).all()


def test_the_table_of_plantings_has_every_effect_and_statistic(run):
    table = scores(run, "planted_benchmark")
    assert set(table["design"]) == {"planted"}
    assert table["effect"].value_counts().to_dict() == dict.fromkeys(EFFECTS, 9)
    own = table[(table["method"] == "gradcam") & (table["level"] == "population")]
    assert own.groupby(["statistic", "joint"]).size().eq(2).all()
    assert own["n"].eq(6).all()
    # The t-map of the images themselves finds what is there, and nothing where nothing is.
    anatomy = table[table["method"] == "anatomy_all"].set_index("effect")["auc"]
    assert anatomy[1] > 0.8 > 0.65 > anatomy[0]


def test_labels_are_halves_that_all_effects_share_and_planted_images_are_gone(run):
    folders = sorted((run.results / "private" / "planted").iterdir())
    assert [folder.name for folder in folders] == [f"effect-{effect}_seed-1" for effect in EFFECTS]
    labels = [pd.concat([read_table(path) for path in sorted(folder.glob("*.tsv"))]) for folder in folders]
    assert sorted(labels[0]["participant_id"]) == IDS
    assert labels[0]["label"].value_counts().tolist() == [6, 6]
    pd.testing.assert_frame_equal(*labels)
    assert not list(run.results.rglob("planted/*/*.npy"))
    assert not list(run.results.rglob("partial/*"))


def test_no_table_or_picture_names_a_person(run):
    files = [path for folder in ("power", "tables", "figures") for path in (run.results / folder).rglob("*.*")]
    assert {"scores.tsv", "accuracy.tsv", "cost.tsv"} <= {path.name for path in files}
    assert {f"{name}.svg" for name in TARGETS} <= {path.name for path in files}
    for path in files:
        written = path.read_bytes()
        assert not [person for person in IDS if person.encode() in written], path


def test_nothing_is_left_to_do(run):
    assert "Nothing to be done" in run.run("--dry-run", *TARGETS).stdout
