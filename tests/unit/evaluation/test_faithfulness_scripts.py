"""The two scripts of faithfulness, one after the other, on the smallest network that the common grid allows."""

import numpy as np
import pandas as pd
import pytest
import torch

import measure_faithfulness
import tabulate_faithfulness
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.fixture
def at(tmp_path):
    """Seven people in two folds, a network of fold 0 and the maps of the three people in it."""
    rng = np.random.default_rng(2)
    people = [f"{i:03d}" for i in range(7)]
    write_array(rng.standard_normal((7, *COMMON.shape), dtype=np.float32), tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": people}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": people, "fold": [0, 1, 0, 1, 1, 1, 0], "target": list("ABBABAA")})
    write_table(folds, tmp_path / "folds.tsv")
    brain = np.zeros(COMMON.shape, bool)
    brain[20:30, 20:30, 20:30] = True
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    write_image(np.zeros(COMMON.shape, np.float32), COMMON.affine, tmp_path / "mean.nii.gz")
    for part, members in enumerate((["000", "006"], ["002"])):
        folder = tmp_path / f"fold-0_part-{part}"
        for person in members:
            values = rng.standard_normal(COMMON.shape, dtype=np.float32)
            write_image(values, COMMON.affine, folder / f"sub-{person}_map.nii.gz", compression=1)
        write_table(pd.DataFrame({"participant_id": members, "target": "A"}), folder / "maps.tsv")
    torch.manual_seed(0)
    arguments = {"shape": list(COMMON.shape), "channels": 1, "blocks": 1, "outputs": 2, "dropout": 0.0}
    metadata = {"network": "VoxelCNN", "arguments": arguments, "fold": 0, "task": "classification"}
    metadata |= {"labels": ["A", "B"], "target_mean": None, "target_sd": None}
    save_checkpoint(VoxelCNN(**arguments), tmp_path / "weights.safetensors", metadata)
    return tmp_path


def run(at, fold=0, people=None, methods=("lrp", "gradcam")):
    outputs = [at / f"curves_{fold}.tsv", at / f"areas_{fold}.tsv"]
    folders = [at / f"fold-0_part-{part}" for part in (0, 1)]
    measure_faithfulness.run(
        at / "weights.safetensors", at / "stack.npy", at / "index.tsv", at / "mean.nii.gz", at / "brain.nii.gz",
        at / "folds.tsv", dict.fromkeys(methods, folders), *outputs, fold=fold,
        people=dict.fromkeys(methods, people), replacements=["mean", "blur", "resample"], blur_sigma=2.0, draws=2,
        shares=[0, 40, 100], seed=1, device=("cpu", 1),
    )  # fmt: skip
    return outputs


def test_from_maps_to_the_tables(at):
    written = [run(at), run(at, fold=7)]  # nobody is in fold 7
    assert len(read_table(written[1][0])) == len(read_table(written[1][1])) == 0
    own = read_table(written[0][1])
    assert own["people"].eq(3).all()
    tabulate_faithfulness.run(*zip(*written, strict=True), at / "curves.tsv", at / "areas.tsv")
    joined, areas = read_table(at / "curves.tsv"), read_table(at / "areas.tsv")
    assert len(joined) == 2 * 3 * 2 * 3 * 2 * 3
    assert list(areas) == [
        "method", "replacement", "kind", "order", "measure", "auc", "sd", "folds", "people", "difference_to_random",
        "ranks_random", "p_random", "difference_to_intensity", "ranks_intensity", "p_intensity",
    ]  # fmt: skip
    assert len(areas) == 2 * 3 * 2 * 3 * 2
    # Both methods were given the same maps: what was measured once counts for both.
    numbers = [
        areas[areas["method"] == method].drop(columns="method").reset_index(drop=True) for method in ("lrp", "gradcam")
    ]
    pd.testing.assert_frame_equal(*(one.reset_index(drop=True) for one in numbers))
    assert areas["folds"].eq(1).all()
    assert set(areas["replacement"]) == {"mean", "blur", "resample"}
    assert areas[areas["order"] == "random"]["p_random"].isna().all()
    assert areas[areas["order"] == "map"]["p_random"].between(0, 1).all()
    for path in (*written[0], at / "curves.tsv", at / "areas.tsv"):
        assert not {"000", "002", "006"} & set(path.read_text().split())


def test_donors_come_from_the_training_side(at, monkeypatch):
    seen = []
    draw = measure_faithfulness.draw_donors
    monkeypatch.setattr(measure_faithfulness, "draw_donors", lambda *a: seen.append(draw(*a)) or seen[-1])
    run(at, people=4)
    rows = {row for donors in seen[0].values() for row in donors}
    assert rows <= {1, 3, 4, 5}
    assert set(seen[0]) < {"000", "002", "006"}
