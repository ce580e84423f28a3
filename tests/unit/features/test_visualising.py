"""The job of visualisations: files, what stays private, and going on after a kill."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

import draw_visualisation
import visualise_features
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.features.synthesised import Visualisation
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN

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
        "device": ("cpu", 1), "code": "1", "partial": out.parent / "partial" / "job",
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
    # A unit of the target is a tenth of the network's.
    assert (table["reached_per_norm"] > 0).all()
    assert table["percentile_per_norm"].between(0, 100).all()
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
    values = ["cohort_min", "cohort_median", "cohort_max", "cohort_max_per_norm"]
    assert hidden[values].isna().all(axis=None)
    assert hidden[["percentile", "percentile_per_norm"]].notna().all(axis=None)
    assert table.loc["layer-1_channel-0", values].notna().all()
    assert set(read_table(tmp_path / "out" / "nearest.tsv")["objective"]) == {"layer-1_channel-0"}
    change = np.asarray(nib.load(tmp_path / "out" / "output-high_change.nii.gz").dataobj)
    whole = np.asarray(nib.load(tmp_path / "out" / "output-high_input.nii.gz").dataobj)
    mean = np.asarray(nib.load(files / "mean.nii.gz").dataobj)
    np.testing.assert_allclose(whole - mean, change, atol=1e-3)


def test_flat_layers_answer_like_outputs_where_the_target_is_restricted(files, tmp_path):
    visualise(files, tmp_path / "out", hide_target=True, layers=["head.linear", "head.flatten", 1])
    table = read_table(tmp_path / "out" / "visualisations.tsv").set_index("objective")
    answers = ["output-high", "output-low", "head.linear_channel-0", "head.flatten_channel-0"]
    assert list(table.index) == [*answers, "layer-1_channel-0"]
    assert table.loc[answers, ["cohort_min", "cohort_median", "cohort_max"]].isna().all(axis=None)
    assert set(read_table(tmp_path / "out" / "nearest.tsv")["objective"]) == {"layer-1_channel-0"}
    draw_visualisation.run(tmp_path / "out", tmp_path / "sheet.png")
    only = tmp_path / "only"
    visualise(files, only, hide_target=True, layers=["head.linear"])
    assert len(read_table(only / "nearest.tsv")) == 0


def test_nobody_named_is_a_table_without_rows(files, tmp_path):
    visualise(files, tmp_path / "out", nearest=0)
    near = read_table(tmp_path / "out" / "nearest.tsv")
    assert len(near) == 0
    assert list(near.columns[:4]) == ["objective", "rank", "participant_id", "value"]


def test_a_killed_job_goes_on_and_gives_the_same_files(files, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole" / "out", tmp_path / "killed" / "out"
    visualise(files, whole)
    made = []
    keep = Visualisation.keep

    def keep_two(one, folder):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(one.objective.name)
        keep(one, folder)

    monkeypatch.setattr(Visualisation, "keep", keep_two)
    with pytest.raises(KeyboardInterrupt):
        visualise(files, out)
    assert not out.exists()
    (state,) = (out.parent / "partial").iterdir()
    assert {path.stem for path in state.glob("*.npz")} == set(made) == {"output-high", "output-low"}
    assert state.stat().st_mode & 0o077 == 0, "answers for people may be in it"
    made.clear()
    visualise(files, out)
    assert made == ["layer-1_channel-0"]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in whole.iterdir())
    for path in whole.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    assert not list((out.parent / "partial").iterdir())


def test_other_settings_do_not_go_on_with_what_is_kept(files, tmp_path, monkeypatch):
    keep, made = Visualisation.keep, []
    monkeypatch.setattr(Visualisation, "keep", lambda one, folder: (made.append(one.objective.name), keep(one, folder)))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    for case, changes in enumerate(({}, {"code": "2"}, {"settings": SETTINGS | {"l2": 1.0}}, {"fold": 1}, {"seed": 1})):
        for expected in (2, 0):
            made.clear()
            visualise(files, tmp_path / f"{case}-{expected}", layers=[], **changes)
            assert len(made) == expected, changes


def test_nobody_to_compare_with(files, tmp_path):
    with pytest.raises(InputError, match=r"nobody belongs to fold 7 \(folds of the people: 0, 1\)"):
        visualise(files, tmp_path / "out", fold=7)
    with pytest.raises(InputError, match="one name\n  - layer-1_channel-0"):
        visualise(files, tmp_path / "out", layers=[1, 1])
