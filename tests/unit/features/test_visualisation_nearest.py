"""What real people excite, and what is made of it: values, places, percentiles."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import draw_visualisation
import visualise_features
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.features.nearest import cohort_values, compare_with_cohort, nearest_people
from voxplain.features.objectives import Objective, channel_objectives, output_objectives
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.folding import fold_batchnorm
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE = (12, 14, 10)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def looking():
    """A first convolution that looks at the voxel in the middle of its kernel, bright (0) or dark (1)."""
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(2 * 5 * 6 * 4, 1)
    ).eval()  # fmt: skip
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.zero_()
        network[0].weight[:, 0, 1, 1, 1] = torch.tensor([1.0, -1.0])
    return network.requires_grad_(False)


AFFINE = np.array([[-2.0, 0, 0, 50], [0, 3, 0, -20], [0, 0, 4, 7], [0, 0, 0, 1]])


def people_with_spots():
    """Person i has a bright spot of i + 1 at the voxel (i + 1, 5, 4)."""
    stack = np.zeros((4, *SHAPE), dtype=np.float32)
    for i in range(4):
        stack[i, i + 1, 5, 4] = i + 1
    return stack


def test_the_spot_is_found_where_it_is(looking):
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])
    cohort = cohort_values(looking, objectives, people_with_spots(), [0, 1, 2, 3], batch_size=3)
    bright = cohort[cohort["objective"] == "layer-1_channel-0"]
    assert bright["value"].tolist() == [1, 2, 3, 4]
    assert bright[["unit_0", "unit_1", "unit_2"]].to_numpy().tolist() == [[i, 4, 3] for i in range(4)]
    image = torch.zeros(1, 1, *SHAPE)
    near = nearest_people(looking, objectives[:1], cohort, image, AFFINE, 2)
    assert near["row"].tolist() == [3, 2]
    assert near["rank"].tolist() == [1, 2]
    assert near.loc[0, ["x_mm", "y_mm", "z_mm"]].tolist() == [50 - 2 * 4, -20 + 3 * 5, 7 + 4 * 4]
    edges = ["x_low_mm", "x_high_mm", "y_low_mm", "y_high_mm", "z_low_mm", "z_high_mm"]
    assert near.loc[0, edges].tolist() == [42 - 3, 42 + 3, -5 - 4.5, -5 + 4.5, 23 - 6, 23 + 6]


def test_means_are_held_against_means(looking):
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])
    stack = np.full((1, *SHAPE), 2.0, dtype=np.float32)
    values = cohort_values(looking, objectives, stack, [0], where="everywhere")["value"]
    assert values.tolist() == [2, -2]


def test_outputs_have_no_place_and_low_ones_are_sorted_from_below(looking):
    objectives = output_objectives([])
    stack = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    cohort = cohort_values(looking, objectives, stack, range(6))
    with torch.no_grad():
        outputs = looking(torch.from_numpy(stack)[:, None])[:, 0].numpy()
    for name in ("output-high", "output-low"):
        np.testing.assert_allclose(cohort.loc[cohort["objective"] == name, "value"], outputs, rtol=1e-5)
    near = nearest_people(looking, objectives, cohort, torch.zeros(1, 1, *SHAPE), AFFINE, 3)
    assert near["row"].tolist() == [*np.argsort(-outputs)[:3], *np.argsort(outputs)[:3]]
    assert near["x_mm"].isna().all()


def test_neither_the_batches_nor_the_order_of_people_matter():
    torch.manual_seed(0)
    network = fold_batchnorm(VoxelCNN(shape=SHAPE, channels=2, blocks=2).eval())
    stack = np.random.default_rng(1).normal(size=(5, *SHAPE)).astype(np.float32)
    objectives = [*output_objectives("FM"), *channel_objectives(network, torch.zeros(1, 1, *SHAPE), [2, 1])]
    table = cohort_values(network, objectives, stack, [4, 0, 2], batch_size=8)
    assert table["row"].tolist() == np.repeat([4, 0, 2], 8).tolist()
    assert table["objective"].tolist() == 3 * [o.name for o in objectives]
    again = cohort_values(network, objectives, stack, [2, 4, 0], batch_size=1)
    keys = ["row", "objective"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True), table.sort_values(keys, ignore_index=True), rtol=1e-4, atol=1e-5
    )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    with pytest.raises(ValueError, match="no rows"):
        cohort_values(network, objectives, stack, [])


def test_percentiles():
    objectives = [Objective("a", 1, 0), Objective("b", None, 1, "M")]
    cohort = pd.DataFrame({"row": [0, 1, 2, 3] * 2, "objective": ["a"] * 4 + ["b"] * 4, "value": [1, 2, 3, 4] * 2})
    table = compare_with_cohort(objectives, [3, 9], cohort)
    assert list(table.columns) == [
        *("objective", "layer", "channel", "label", "reached", "cohort_min", "cohort_median", "cohort_max"),
        *("percentile", "people"),
    ]
    assert table["percentile"].tolist() == [62.5, 100]
    assert table.loc[0, ["cohort_min", "cohort_median", "cohort_max", "people"]].tolist() == [1, 2.5, 4, 4]
    assert compare_with_cohort(objectives[:1], [0], cohort)["percentile"].tolist() == [0]


ARGUMENTS = {"shape": list(COMMON.shape), "channels": 2, "blocks": 2, "outputs": 1, "dropout": 0.0}
SETTINGS = {"steps": 2, "rotation": 0, "scale": 0, "jitter": 0}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    at = tmp_path_factory.mktemp("visualisation")
    torch.manual_seed(0)
    metadata = {"network": "VoxelCNN", "arguments": ARGUMENTS, "task": "regression", "labels": [], "fold": 0}
    save_checkpoint(VoxelCNN(**ARGUMENTS), at / "w.safetensors", {**metadata, "target_mean": 40.0, "target_sd": 10.0})
    people = [f"{i:03d}" for i in range(5)]
    stack = np.random.default_rng(0).normal(size=(5, *COMMON.shape)).astype(np.float32)
    write_array(100 * stack, at / "stack.npy")
    write_table(pd.DataFrame({"participant_id": people}), at / "index.tsv")
    folds = pd.DataFrame({"participant_id": people, "fold": [0, 1, 0, 0, 1], "target": [30, 40, 50, 60, 70]})
    write_table(folds.iloc[::-1], at / "folds.tsv")
    write_image(100 * stack.mean(axis=0), COMMON.affine, at / "mean.nii.gz")
    brain = np.zeros(COMMON.shape, dtype=bool)
    brain[10:50, 10:60, 10:50] = True
    write_image(brain, COMMON.affine, at / "brain.nii.gz")
    return at


def visualise(at, out, **changes):
    arguments = {
        "fold": 0, "settings": SETTINGS, "layers": [1], "channels": 1, "nearest": 2, "seed": 0, "hide_target": False,
        "device": ("cpu", 1),
    }  # fmt: skip
    visualise_features.run(
        at / "w.safetensors", at / "stack.npy", at / "index.tsv", at / "mean.nii.gz", at / "brain.nii.gz",
        at / "folds.tsv", out, **arguments | changes,
    )  # fmt: skip


def test_the_script_writes_volumes_and_tables_and_its_picture_is_drawn(files, tmp_path):
    visualise(files, tmp_path / "out")
    table = read_table(tmp_path / "out" / "visualisations.tsv").set_index("objective")
    assert list(table.index) == ["output-high", "output-low", "layer-1_channel-0"]
    assert table["people"].tolist() == [3, 3, 3]
    high, low, channel = (table.loc[name] for name in table.index)
    # In the target's unit: around 40, and the same network has both.
    assert low["reached"] < 40 + 10 < 40 + 100
    assert high[["cohort_min", "cohort_max"]].tolist() == low[["cohort_min", "cohort_max"]].tolist()
    assert high["reached"] > low["reached"]
    assert channel["layer"] == 1
    near = read_table(tmp_path / "out" / "nearest.tsv")
    assert set(near["participant_id"]) <= {"000", "002", "003"}
    assert near["objective"].tolist() == np.repeat(list(table.index), 2).tolist()
    assert near["value"][0] == high["cohort_max"]
    assert near["value"][2] == high["cohort_min"]
    for name in table.index:
        volume = nib.load(tmp_path / "out" / f"{name}_input.nii.gz")
        assert COMMON.matches(volume.shape, volume.affine)
        # Intensities have an SD of 100 and a step is 0.05 SD.
        assert 4 < np.abs(np.asarray(volume.dataobj)).max() < 30
    draw_visualisation.run(tmp_path / "out", tmp_path / "sheet.png", brain=files / "brain.nii.gz")
    assert (tmp_path / "sheet.png").stat().st_size > 10000


def test_answers_for_single_people_are_left_out_where_the_target_is_restricted(files, tmp_path):
    visualise(files, tmp_path / "out", hide_target=True, settings=SETTINGS | {"start": "mean"})
    table = read_table(tmp_path / "out" / "visualisations.tsv").set_index("objective")
    hidden = table.loc[["output-high", "output-low"]]
    assert hidden[["cohort_min", "cohort_max"]].isna().all(axis=None)
    assert hidden[["cohort_median", "percentile"]].notna().all(axis=None)
    assert table.loc["layer-1_channel-0", ["cohort_min", "cohort_max"]].notna().all()
    assert set(read_table(tmp_path / "out" / "nearest.tsv")["objective"]) == {"layer-1_channel-0"}
    change = np.asarray(nib.load(tmp_path / "out" / "output-high_change.nii.gz").dataobj)
    whole = np.asarray(nib.load(tmp_path / "out" / "output-high_input.nii.gz").dataobj)
    mean = np.asarray(nib.load(files / "mean.nii.gz").dataobj)
    np.testing.assert_allclose(whole - mean, change, atol=1e-3)


def test_nobody_to_compare_with(files, tmp_path):
    with pytest.raises(visualise_features.InputError, match="nobody belongs to fold 7"):
        visualise(files, tmp_path / "out", fold=7)
