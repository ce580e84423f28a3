"""Masked accuracy: masks and normalisation in closed form, networks that need one block, and the way to the table."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

import measure_masked_accuracy
import tabulate_masked_accuracy
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.evaluation import masked_accuracy
from voxplain.evaluation.altered_images import AlteredImages
from voxplain.evaluation.masked_accuracy import mask_images, measure_masks, soft_mask
from voxplain.evaluation.masked_tables import summarise_masked
from voxplain.imaging.grid import COMMON
from voxplain.imaging.intensity import normalise
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.prediction import predict
from voxplain.models.voxel_cnn import VoxelCNN
from voxplain.population.threshold import top_voxels

SHAPE, N = (8, 9, 7), 12
BLOCK = (slice(2, 5), slice(3, 6), slice(2, 5))
CLASSES = {"task": "classification", "labels": ["A", "B"], "target_mean": None, "target_sd": None}
REGRESSION = {"task": "regression", "labels": [], "target_mean": 50.0, "target_sd": 10.0}


def of_one_fold(model, stack, people, metadata, *more, **options):
    return measure_masks({0: model}, stack, people.assign(fold=0), {0: metadata}, *more, **options)


def head(shape=SHAPE):
    brain = np.zeros(shape, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    return brain


BRAIN = head()


@pytest.fixture
def raw():
    """Raw intensities from 0, the darkest voxel of each brain, up; class B is brighter in the block."""
    images = np.random.default_rng(0).uniform(1, 3, (N, *SHAPE)) * BRAIN
    images[1::2][(slice(None), *BLOCK)] += 4
    images[:, 1, 1, 1] = 0
    return images.astype(np.float32)


@pytest.fixture
def people():
    return pd.DataFrame({"row": range(N), "target": list("AB") * (N // 2)})


class Block(nn.Module):
    """Says B, or a large number, where the block's mean exceeds a threshold."""

    def __init__(self, outputs, threshold=4.0):
        super().__init__()
        self.outputs, self.threshold = outputs, threshold

    def forward(self, images):
        score = images[:, 0][(slice(None), *BLOCK)].mean(dim=(1, 2, 3)) - self.threshold
        return torch.stack([-score, score], dim=1) if self.outputs == 2 else score[:, None]


def mask_of(*where):
    mask = np.zeros(SHAPE, np.float32)
    mask[where] = 1
    return mask


def value_of(table, metric="accuracy", draw=0, **known):
    chosen = table[(table["metric"] == metric) & (table["draw"] == draw)]
    for name, value in known.items():
        chosen = chosen[chosen[name] == value]
    (row,) = chosen.to_dict("records")
    return row["value"]


def test_a_soft_mask_is_the_absolute_map_over_its_largest_value_in_the_brain():
    volume = np.zeros(SHAPE)
    volume[2, 2, 2], volume[3, 3, 3], volume[0, 0, 0] = -4, 1, 100
    mask = soft_mask(volume, BRAIN)
    assert (mask[2, 2, 2], mask[3, 3, 3], mask[0, 0, 0]) == (1, 0.25, 0)
    assert mask.sum() == 1.25
    assert mask.dtype == np.float32
    assert not soft_mask(np.zeros(SHAPE), BRAIN).any()


def test_the_mask_comes_before_the_normalisation(raw):
    """z-scores of raw · mask, from z-scores: the same as if the raw images had been there."""
    mask = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    scored = np.stack([normalise(image, BRAIN, "zscore") for image in raw])
    expected = np.stack([normalise(image * mask, BRAIN, "zscore") for image in raw])
    found = mask_images(scored, mask, "zscore")
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert not np.allclose(found, scored * mask, atol=0.1)  # which is the mean and not black where the mask is 0
    np.testing.assert_array_equal(mask_images(scored[2], mask, "zscore"), found[2])
    np.testing.assert_array_equal(mask_images(raw, mask, "none"), raw * mask)
    # Whatever scale and level the raw intensities had.
    np.testing.assert_allclose(
        mask_images(np.stack([normalise(7 * image + 3 * BRAIN, BRAIN, "zscore") for image in raw]), mask, "zscore"),
        expected,
        atol=2e-5,
    )


def test_a_mask_of_ones_changes_nothing_and_one_of_zeros_leaves_nothing(raw):
    scored = np.stack([normalise(image, BRAIN, "zscore") for image in raw])
    np.testing.assert_allclose(mask_images(scored, np.ones(SHAPE), "zscore"), scored, atol=2e-6)
    assert not mask_images(scored, np.zeros(SHAPE), "zscore").any()
    assert not mask_images(np.zeros_like(scored), np.ones(SHAPE), "zscore").any()
    with pytest.raises(InputError, match="percentile"):
        mask_images(scored, np.ones(SHAPE), "percentile")


def test_altered_images_stand_in_for_a_stack(raw):
    kept = raw.copy()

    def halve(images):
        images *= 0.5
        return images

    images = AlteredImages(raw, halve)
    assert (images.shape, images.ndim, len(images), images.dtype) == (raw.shape, 4, N, raw.dtype)
    np.testing.assert_array_equal(images[np.array([3, 1])], kept[[3, 1]] / 2)
    np.testing.assert_array_equal(images[5], kept[5] / 2)
    assert len(list(images)) == N
    np.testing.assert_array_equal(raw, kept)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_network_of_one_block(raw, people, task):
    metadata, model = (CLASSES, Block(2)) if task == "classification" else (REGRESSION, Block(1))
    if task == "regression":
        guesses = predict(model, raw, range(N), metadata, "cpu")
        people["target"] = guesses["prediction"]  # the network is right about everybody
    without = BRAIN.astype(np.float32) - mask_of(*BLOCK)
    names = {"whole": np.ones(SHAPE, np.float32), "block": mask_of(*BLOCK), "without": without}
    masks = {(name, "joint", "threshold"): mask for name, mask in names.items()}
    table = of_one_fold(model, raw, people, metadata, masks, BRAIN, "none", draws=20, seed=1)
    metric = "accuracy" if task == "classification" else "mae"
    good, bad = (1, 0.5) if task == "classification" else (0, np.abs(people["target"].astype(float) - 10).mean())
    assert value_of(table, metric, mask="none") == pytest.approx(good)
    assert value_of(table, metric, method="whole") == pytest.approx(good, abs=1e-5)
    assert value_of(table, metric, method="block") == pytest.approx(good, abs=1e-5)
    if task == "classification":
        assert value_of(table, metric, method="without") == bad
    else:  # the block is black: the answer is (0 - 4) SD
        assert value_of(table, metric, method="without") == pytest.approx(bad, rel=1e-5)
    random = table[(table["method"] == "block") & (table["draw"] > 0) & (table["metric"] == metric)]
    assert len(random) == 20
    np.testing.assert_allclose(random["volume"], 27 / BRAIN.sum(), rtol=1e-6)  # of equal volume
    targets = people["target"]
    summary = summarise_masked([table.assign(fold=0)], targets, task, metadata["labels"])
    row = summary[(summary["method"] == "block") & (summary["metric"] == metric)].iloc[0]
    better = (random["value"] <= good + 1e-6).sum() if metric == "mae" else (random["value"] >= good).sum()
    assert better < 5
    assert (row["random_mean"] > row["mean"]) == (metric == "mae")
    assert row["random_mean"] == pytest.approx(random["value"].mean())
    assert row["whole"] == pytest.approx(good)


def test_draws_do_not_depend_on_people_or_other_masks_and_equal_masks_have_one_arrangement(raw, people):
    soft = {("a", "joint", "soft"): soft_mask(np.random.default_rng(2).random(SHAPE), BRAIN)}
    more = {("b", "F", "threshold"): np.zeros(SHAPE, np.float32)} | soft

    def measure(people, masks):
        return of_one_fold(Block(1), raw, people, REGRESSION, masks, BRAIN, "none", 3, 5)

    people["target"] = np.arange(N, dtype=float)
    first, second = measure(people, soft), measure(people.iloc[::-1], more)
    pick = ["method", "mask", "draw", "metric", "value", "volume", "n"]
    pd.testing.assert_frame_equal(
        first[first["method"] == "a"][pick].reset_index(drop=True),
        second[second["method"] == "a"][pick].reset_index(drop=True),
    )
    assert first[(first["method"] == "a") & (first["metric"] == "mae")]["value"].nunique() > 1
    empty = second[(second["method"] == "b") & (second["metric"] == "mae")]
    assert list(empty["draw"]) == [0, 1, 2, 3]
    assert empty["value"].nunique() == 1
    assert empty["volume"].eq(0).all()
    assert measure(people.iloc[:0], soft).empty


def roughness(mask):
    """Share of the mask's faces that have a neighbour outside it."""
    return sum(np.abs(np.diff(mask, axis=axis)).sum() for axis in range(3)) / mask.sum()


def test_random_masks_are_about_as_smooth_as_the_map_that_a_mask_comes_from(monkeypatch):
    """Made from the two values of a mask alone they would fall into pieces, and find something everywhere."""
    brain = head((24, 24, 24))
    volume = gaussian_filter(np.random.default_rng(0).normal(size=brain.shape), 2)
    soft, threshold = soft_mask(volume, brain), top_voxels(volume, brain, 500).astype(np.float32)
    seen = []
    monkeypatch.setattr(masked_accuracy, "mask_images", lambda images, mask, intensity: seen.append(mask) or images)
    people = pd.DataFrame({"row": [0], "target": [1.0]})
    found = {}
    for known in ({}, {("lrp", "joint", "soft"): soft}):
        seen.clear()
        masks = {("lrp", "joint", "threshold"): threshold} | known
        of_one_fold(Block(1), np.ones((1, *brain.shape), np.float32), people, REGRESSION, masks, brain, "none", 8, 1)
        real, *random = seen[:9]
        np.testing.assert_array_equal(real, threshold)
        assert all(one.sum() == threshold.sum() and not one[~brain].any() for one in random)
        found[bool(known)] = np.mean([roughness(one) for one in random])
    assert found[True] < 0.9 * found[False]


def test_what_cannot_be_applied_is_refused(raw, people):
    masks = {("a", "F", "soft"): np.full(SHAPE, 2.0), ("b", "F", "soft"): np.ones((2, 2, 2)), ("c", "F", "soft"): BRAIN}
    with pytest.raises(InputError, match=r"a F soft: values from 2.0(.|\n)*b F soft: has the shape") as error:
        of_one_fold(Block(2), raw, people, CLASSES, masks, BRAIN, "none", 1, 1)
    assert "c F" not in str(error.value)
    with pytest.raises(InputError, match="-1"):
        of_one_fold(Block(2), raw, people, CLASSES, {}, BRAIN, "none", -1, 1)


def test_folds_are_joined_draw_by_draw():
    def part(fold, values):
        rows = [("none", "none", "none", 0, 0.9 + fold / 20, 1.0)]
        rows += [("lrp", "F", "soft", draw, value, 0.2) for draw, value in enumerate(values)]
        names = ["method", "group", "mask", "draw", "value", "volume"]
        return pd.DataFrame(rows, columns=names).assign(fold=fold, metric="accuracy", n=10)

    parts = [part(0, [0.8, 0.5, 0.9]), part(1, [0.7, 0.6, 0.4])]
    targets = pd.Series(list("AAAB"))
    (row,) = summarise_masked([*parts, parts[0].iloc[:0]], targets, "classification", ["A", "B"]).to_dict("records")
    assert row["mean"] == pytest.approx(0.75)
    assert row["sd"] == pytest.approx(np.std([0.8, 0.7], ddof=1))
    draws = [0.55, 0.65]
    assert (row["random_mean"], row["random_sd"]) == pytest.approx((0.6, np.std(draws, ddof=1)))
    assert row["random_95"] == pytest.approx(np.percentile(draws, 95))
    assert row["p"] == pytest.approx(1 / 3)
    assert (row["whole"], row["chance"], row["volume"]) == pytest.approx((0.925, 0.75, 0.2))
    assert (row["draws"], row["folds"], row["people"]) == (2, 2, 20)
    errors = [part.assign(metric="mae") for part in parts]
    (row,) = summarise_masked(errors, pd.Series([1.0, 2, 6]), "regression", []).to_dict("records")
    assert row["random_95"] == pytest.approx(np.percentile(draws, 5))  # the good end of an error
    assert row["p"] == 1
    assert row["chance"] == pytest.approx(5 / 3)
    unknown = parts[1].assign(metric="auc").assign(value=np.nan)  # a fold without one of the classes
    (row,) = summarise_masked([parts[0].assign(metric="auc"), unknown], targets, "classification", ["A", "B"]).to_dict(
        "records"
    )
    assert (row["mean"], row["folds"], row["people"], row["draws"]) == (0.8, 1, 10, 2)
    with pytest.raises(InputError, match="Nobody"):
        summarise_masked([parts[0].iloc[:0]], targets, "classification", ["A", "B"])


@pytest.fixture
def at(tmp_path):
    """Five people in two folds, a network of fold 0, and maps and masks of two methods and two groups."""
    rng = np.random.default_rng(2)
    ids = [f"{i:03d}" for i in range(5)]
    write_array(rng.standard_normal((5, *COMMON.shape), dtype=np.float32), tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": ids}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": ids[::-1], "fold": [0, 1, 0, 1, 1], "target": list("ABBAB")})
    write_table(folds, tmp_path / "folds.tsv")
    brain = np.zeros(COMMON.shape, bool)
    brain[20:30, 20:30, 20:30] = True
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    for name in ("lrp_F", "lrp_joint", "noise_F", "noise_joint"):
        volume = rng.standard_normal(COMMON.shape, dtype=np.float32)
        write_image(volume, COMMON.affine, tmp_path / f"{name}.nii.gz", compression=1)
        write_image(brain & (volume > 1), COMMON.affine, tmp_path / f"{name}_mask.nii.gz")
    torch.manual_seed(0)
    arguments = {"shape": list(COMMON.shape), "channels": 1, "blocks": 1, "outputs": 2, "dropout": 0.0}
    metadata = {"network": "VoxelCNN", "arguments": arguments, "fold": 0, **CLASSES}
    save_checkpoint(VoxelCNN(**arguments), tmp_path / "weights.safetensors", metadata)
    return tmp_path


def test_from_a_network_to_the_table(at):
    groups = ["F", "joint"]
    for method in ("lrp", "noise"):
        names = [f"{method}_{group}" for group in groups]
        measure_masked_accuracy.run(
            [at / "weights.safetensors"] * 2, at / "stack.npy", at / "index.tsv", at / "folds.tsv",
            at / "brain.nii.gz", [at / f"{name}.nii.gz" for name in names],
            [at / f"{name}_mask.nii.gz" for name in names], at / f"{method}.tsv", method=method, groups=groups,
            names=[0, 1], tested=None, intensity="zscore", draws=1, seed=1, device=("cpu", 1),
        )  # fmt: skip
    own = read_table(at / "lrp.tsv")
    assert len(own) == 2 * 3 * (1 + 2 * 2 * 2)
    assert own.groupby("fold")["n"].unique().to_dict() == {0: [2], 1: [3]}
    tabulate_masked_accuracy.run(
        [at / "lrp.tsv", at / "noise.tsv"], at / "folds.tsv", at / "table.tsv",
        task="classification", labels=["A", "B"],
    )  # fmt: skip
    table = read_table(at / "table.tsv")
    assert len(table) == 2 * 2 * 2 * 3
    assert list(table)[:4] == ["method", "group", "mask", "metric"]
    soft = table[table["mask"] == "soft"]
    assert soft["volume"].between(0.1, 0.4).all()
    assert table["chance"].isin([0.6, 0.5]).all()
    for path in ("lrp.tsv", "table.tsv"):
        assert not {"000", "002", "004"} & set((at / path).read_text().split())
