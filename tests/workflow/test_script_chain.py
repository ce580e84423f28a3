"""A left-right flip in any script of the map stage is seen: a network that looks at one spot on the left, explained."""

import importlib.util
import inspect
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from voxplain.base.files import read_array, read_table, write_array, write_image, write_table
from voxplain.imaging.grid import COMMON, Grid, mni_brain
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN, voxels_after

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
METHODS, GROUPS = ("guided_backprop", "hirescam"), ("F", "M", "joint")
PEOPLE = {"p01": "F", "p02": "M", "p03": "F", "p04": "M", "p05": "M", "p06": "F"}
SPOT, RADIUS = (-42.0, -20.0, 20.0), 14.0
# From left to right, unlike the common grid: whoever ignores an affine is seen as well.
MNI = Grid((91, 109, 91), np.array([[2.0, 0, 0, -90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]]))
# The numbers of the labels say nothing about their sides.
REGIONS = {
    1: ("Spot R", (42.0, -20.0, 20.0)),
    2: ("Front L", (-25.0, 40.0, 15.0)),
    3: ("Spot L", SPOT),
    5: ("Front R", (25.0, 40.0, 15.0)),
    8: ("Middle", (0.0, -20.0, 50.0)),
}
SPOT_L = 3


def script(name):
    """Import a script of the workflow, which lies outside the package."""
    spec = importlib.util.spec_from_file_location(f"workflow_script_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def positions(grid):
    """Return x, y, z in mm of the voxels of a grid, [3, D, H, W]."""
    return np.moveaxis(nib.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)


def ball(grid, centre, radius=RADIUS):
    return np.linalg.norm(positions(grid) - np.reshape(centre, (3, 1, 1, 1)), axis=0) <= radius


def asymmetric_brain():
    """Return the MNI brain without half of what mirrors the spot, so that a flipped brain mask tears the spot apart."""
    mirrored = ball(COMMON, REGIONS[1][1], RADIUS + 4)
    return mni_brain() & ~(mirrored & (positions(COMMON)[1] < REGIONS[1][1][1]))


def write_images(folder):
    """Smooth random brains from 0 to 1, brighter at the spot, where class M is brighter than class F."""
    rng, brain = np.random.default_rng(0), asymmetric_brain()
    bright = ball(COMMON, SPOT, RADIUS + 4)
    volumes = []
    for label in PEOPLE.values():
        noise = gaussian_filter(rng.standard_normal(COMMON.shape), 2)
        noise = (noise - noise.min()) / np.ptp(noise)
        volumes.append(np.where(brain, noise + {"F": 2.0, "M": 2.5}[label] * bright, 0).astype(np.float32))
    write_array(np.stack(volumes), folder / "stack.npy")
    write_table(pd.DataFrame({"participant_id": list(PEOPLE)}), folder / "index.tsv")
    write_image(np.mean(volumes, axis=0), COMMON.affine, folder / "mean.nii.gz")
    write_image(brain, COMMON.affine, folder / "brain_mask.nii.gz")
    folds = pd.DataFrame({"participant_id": list(PEOPLE), "fold": 0, "target": list(PEOPLE.values())})
    write_table(folds, folder / "folds.tsv")


def write_network(path):
    """One convolution that hands on what is brighter than 1.5, and a head that adds up the spot: +1 for M, -1 for F."""
    arguments = {"shape": list(COMMON.shape), "channels": 1, "blocks": 1, "outputs": 2, "dropout": 0.0}
    model = VoxelCNN(**arguments)
    # Along each axis the pooled voxel i sees the voxels 2 i + 1 and 2 i + 2, as the convolution takes one off.
    scale = np.diag([2.0, 2, 2, 1])
    scale[:3, 3] = 1.5
    seen = ball(Grid(voxels_after(COMMON.shape, 1), COMMON.affine @ scale), SPOT).ravel()
    with torch.no_grad():
        for parameter in (model.features[0].conv.weight, model.head.linear.weight, model.head.linear.bias):
            parameter.zero_()
        model.features[0].conv.weight[..., 1, 1, 1] = 1
        model.features[0].conv.bias.fill_(-1.5)
        model.head.linear.weight[:, torch.from_numpy(seen)] = torch.tensor([[-1.0], [1.0]])
    metadata = {"network": "VoxelCNN", "arguments": arguments, "task": "classification", "labels": ["F", "M"]}
    save_checkpoint(model, path, {**metadata, "target_mean": None, "target_sd": None, "fold": 0})


def write_atlas(image, table):
    labels = np.zeros(MNI.shape, dtype=np.int16)
    for label, (_, centre) in REGIONS.items():
        labels[ball(MNI, centre)] = label
    write_image(labels, MNI.affine, image)
    write_table(pd.DataFrame([(i, name) for i, (name, _) in REGIONS.items()], columns=["index", "name"]), table)


def write_truth(image, table):
    write_image(ball(COMMON, SPOT), COMMON.affine, image)
    columns = {"index": SPOT_L, "name": "Spot L", "hemisphere": "left", "kind": "intensity"}
    write_table(pd.DataFrame([columns]), table)


def run_explain(explain, at, method, part):
    explain.run(
        weights=at / "weights.safetensors", stack=at / "stack.npy", index=at / "index.tsv", mean=at / "mean.nii.gz",
        folds=at / "folds.tsv", noise_model=None, output=at / method / f"part-{part}", method=method,
        settings={"people": None, "batch_size": 2}, fold=0, part=part, parts=2, seed=1,
        device=("cpu", 1), partial=str(at / "partial" / f"{method}-{part}"), code="code",
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return the folder with all that the scripts of the map stage made, one after the other."""
    at = tmp_path_factory.mktemp("chain")
    write_images(at)
    write_network(at / "weights.safetensors")
    write_atlas(at / "mni.nii.gz", at / "mni.tsv")
    write_truth(at / "truth.nii.gz", at / "truth_regions.tsv")

    explain = script("explain")
    for method, part in product(METHODS, range(2)):
        run_explain(explain, at, method, part)
    summarise_maps, threshold_map = script("summarise_maps"), script("threshold_map")
    for method, group in product(METHODS, GROUPS):
        classes = [at / f"{method}_{label}.nii.gz" for label in GROUPS[:2]]
        parts = [at / method / f"part-{part}" for part in range(2)]
        summarise_maps.run(
            maps=classes if group == "joint" else parts, folds=at / "folds.tsv", brain=at / "brain_mask.nii.gz",
            output=at / f"{method}_{group}.nii.gz", group=group, statistic="mean_signed",
            how="mean" if group == "joint" else "everybody", joined=[], people=None, seed=1, task="classification",
            normalise="none", smoothing_fwhm_mm=8,
        )  # fmt: skip
        threshold_map.run(
            population=at / f"{method}_{group}.nii.gz", brain=at / "brain_mask.nii.gz",
            output=at / f"{method}_{group}_mask.nii.gz", kind="top_percent", value=1.0,
        )  # fmt: skip
    settings = {"image": at / "mni.nii.gz", "labels": at / "mni.tsv"}
    script("prepare_atlas").run(name="spots", settings=settings, image=at / "spots.nii.gz", table=at / "spots.tsv")
    maps = [at / f"{method}_{group}.nii.gz" for method, group in product(METHODS, GROUPS)]
    script("tabulate_regions").run(
        maps=maps, masks=[at / f"{method}_{group}_mask.nii.gz" for method, group in product(METHODS, GROUPS)],
        image=at / "spots.nii.gz", table=at / "spots.tsv", methods=METHODS, groups=GROUPS, count=1,
        regions=at / "regions.tsv", top=at / "top_regions.tsv",
    )  # fmt: skip
    script("score_localization").run(
        maps=maps, people_maps={method: [at / method / f"part-{part}" for part in range(2)] for method in METHODS},
        shuffled_labels=dict.fromkeys(METHODS), trained_on=[], joining={}, statistic="mean_signed", normalise={},
        smoothing_fwhm_mm=0, folds=at / "folds.tsv", brain=at / "brain_mask.nii.gz", truth=at / "truth.nii.gz",
        truth_regions=at / "truth_regions.tsv", regions=at / "regions.tsv", methods=METHODS, groups=GROUPS, top=1,
        localization=at / "localization.tsv", planted=at / "planted.tsv", people=dict.fromkeys(METHODS), seed=1,
        task="classification", shuffles=19, min_inside=0.9,
    )  # fmt: skip
    return at


def rows_of(path, method, group):
    table = read_table(path)
    return table[(table["method"] == method) & (table["group"] == group)]


def mm_of(path, value=None):
    """Return the positions [n, 3] of an image's voxels (above 0, or of one value), by the affine in its own header."""
    image = nib.load(path)
    data = np.asarray(image.dataobj)
    return nib.affines.apply_affine(image.affine, np.argwhere(data > 0 if value is None else data == value))


every_map = pytest.mark.parametrize(("method", "group"), list(product(METHODS, GROUPS)))


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_each_person_is_at_the_spot_and_nowhere_else(done, method):
    for number, person in enumerate(sorted(PEOPLE)):
        where = mm_of(done / method / f"part-{number % 2}" / f"sub-{person}_map.nii.gz")
        assert len(where) > 20
        # A pooled voxel whose centre lies in the ball sees up to half a voxel further along each axis.
        assert np.linalg.norm(where - SPOT, axis=1).max() < RADIUS + COMMON.voxel_size().max()


def test_methods_are_handed_the_images_and_their_mean_as_they_are(done, monkeypatch):
    explain, calls = script("explain"), []
    signature = inspect.signature(explain.explain_people)
    monkeypatch.setattr(explain, "explain_people", lambda *args, **kw: calls.append(signature.bind(*args, **kw)))
    run_explain(explain, done, METHODS[0], 0)
    (given,) = [call.arguments for call in calls]
    stack = read_array(done / "stack.npy")
    np.testing.assert_array_equal(given["stack"], stack)
    np.testing.assert_allclose(given["mean_image"], stack.mean(axis=0), rtol=1e-5, atol=1e-6)


@every_map
def test_the_strongest_voxels_of_the_population_lie_on_the_left(done, method, group):
    where = mm_of(done / f"{method}_{group}_mask.nii.gz")
    assert len(where) == round(asymmetric_brain().sum() / 100)
    assert (where[:, 0] < 0).all()
    np.testing.assert_allclose(where.mean(axis=0), SPOT, atol=1.5)


def test_the_regions_of_the_prepared_atlas_are_where_the_atlas_has_them(done):
    names = read_table(done / "spots.tsv").set_index("index")["name"]
    assert len(names) == len(REGIONS)
    for label, (name, centre) in REGIONS.items():
        assert names[label] == name
        np.testing.assert_allclose(mm_of(done / "spots.nii.gz", label).mean(axis=0), centre, atol=1)


@every_map
def test_the_region_on_the_left_is_on_top(done, method, group):
    regions = rows_of(done / "regions.tsv", method, group).set_index("region")
    left, right = regions.loc["Spot L"], regions.loc["Spot R"]
    assert left["rank"] == 1
    assert left["mean"] > 0
    assert left["share"] > 0.9
    assert left["share"] > 20 * right["share"]
    assert left["inside"] > 0.9
    assert right["inside"] == 0
    assert rows_of(done / "top_regions.tsv", method, group)["region"].tolist() == ["Spot L"]


@every_map
def test_what_was_planted_on_the_left_is_found(done, method, group):
    found, people = rows_of(done / "localization.tsv", method, group).to_dict("records")
    assert (found["level"], people["level"], people["n"]) == ("population", "people", 6 if group == "joint" else 3)
    assert found["auc_p"] == 1 / 20
    assert people["inside"] > 0.7 > 0.1 > people["inside_chance"]
    assert found["voxels"] == ball(COMMON, SPOT).sum()
    assert found["auc"] > 0.98
    assert found["dice"] > 0.7 > 0.1 > found["dice_chance"]
    (planted,) = rows_of(done / "planted.tsv", method, group).to_dict("records")
    assert (planted["region"], planted["hemisphere"], planted["rank"]) == ("Spot L", "left", 1)
    assert planted["in_top"]
