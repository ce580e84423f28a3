"""The two scripts of the noise method, one after the other, on the smallest networks that the common grid allows."""

import numpy as np
import pandas as pd
import pytest
import torch

import tabulate_noise
import train_noise
from voxplain.attribution.noise_model import NoiseSettings, load_noise_model
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN

ARGUMENTS = {"shape": list(COMMON.shape), "channels": 1, "blocks": 1, "outputs": 1, "dropout": 0.0}
PEOPLE = [f"{i:03d}" for i in range(6)]  # ids with leading zeros
SETTINGS = NoiseSettings(depth=1, channels=1, epochs=1, people_per_step=2)


@pytest.fixture
def at(tmp_path):
    rng = np.random.default_rng(2)
    write_array(rng.standard_normal((6, *COMMON.shape), dtype=np.float32), tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": PEOPLE}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": PEOPLE, "fold": [0, 1] * 3, "target": rng.uniform(20, 80, 6)})
    write_table(folds.sample(frac=1, random_state=0), tmp_path / "folds.tsv")
    write_table(folds.assign(fold="external"), tmp_path / "external.tsv")
    brain = np.zeros(COMMON.shape, bool)
    brain[20:40, 20:40, 20:40] = True
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    torch.manual_seed(0)
    metadata = {"network": "VoxelCNN", "arguments": ARGUMENTS, "task": "regression", "labels": []}
    metadata |= {"target_mean": 50.0, "target_sd": 15.0, "fold": 0}
    save_checkpoint(VoxelCNN(**ARGUMENTS), tmp_path / "weights.safetensors", metadata)
    return tmp_path


def run(at, fold, folds="folds.tsv"):
    outputs = [at / f"noise_{fold}.safetensors", at / f"history_{fold}.tsv", at / f"utility_{fold}.tsv"]
    train_noise.run(
        at / "weights.safetensors", at / "stack.npy", at / "index.tsv", at / folds, at / "brain.nii.gz", *outputs,
        fold=fold, settings=SETTINGS, shares=[0, 50, 100], seed=4, device=("cpu", 1),
        partial=str(at / "partial" / f"train_noise-{fold}"), code="c0de",
    )  # fmt: skip
    return outputs


def test_from_networks_to_the_table(at, monkeypatch):
    seen = {"train_noise": [], "noise_utility": []}

    def noting(name, place):
        function = getattr(train_noise, name)

        def noted(*arguments):
            seen[name].append(list(arguments[place]))
            return function(*arguments)

        monkeypatch.setattr(train_noise, name, noted)

    noting("train_noise", 2)
    noting("noise_utility", 3)
    written = [run(at, fold) for fold in (0, 1)]
    assert seen["train_noise"] == [[1, 3, 5], [0, 2, 4]]
    assert seen["noise_utility"] == [[0, 2, 4], [1, 3, 5]]
    noise_model, history, utility = written[0]
    assert load_noise_model(noise_model).settings == SETTINGS
    assert len(read_table(history)) == 1
    table = read_table(utility)
    assert list(table) == ["fold", "order", "share_clean", "n", "mae"]
    assert table["n"].eq(3).all()
    clean, noisy = (table[table["share_clean"] == share]["mae"] for share in (100, 0))
    assert clean.nunique() == noisy.nunique() == 1
    assert clean.iloc[0] != noisy.iloc[0]
    assert not list((at / "partial").glob("*"))
    tabulate_noise.run([paths[2] for paths in written], at / "noise.tsv")
    summary = read_table(at / "noise.tsv")
    assert summary["metric"].eq("mae").all()
    assert summary["folds"].eq(2).all()
    assert len(summary) == 6


def test_a_network_from_elsewhere_has_nobody_new_to_it(at):
    noise_model, _, utility = run(at, "external", "external.tsv")
    assert read_table(utility)["n"].eq(6).all()
    assert load_noise_model(noise_model).shape == COMMON.shape
