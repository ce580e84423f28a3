"""The two scripts of the first layer, one after the other, on networks whose features are known."""

import numpy as np
import pandas as pd
import pytest
import torch

import compare_first_layer
import describe_first_layer
from voxplain.base.files import read_table, write_array, write_table
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN

ARGUMENTS = {"shape": [12, 14, 10], "channels": 3, "blocks": 1, "outputs": 2, "dropout": 0.0}
PEOPLE = [f"{i:03d}" for i in range(24)]  # ids with leading zeros


def write_network(path, order):
    """Feature `order[0]` is the image, `order[1]` the image turned round, the last one 0."""
    torch.manual_seed(0)
    model = VoxelCNN(**ARGUMENTS)
    with torch.no_grad():
        conv = model.features[0].conv
        conv.weight.zero_()
        conv.bias.zero_()
        conv.weight[order[0], 0, 1, 1, 1], conv.weight[order[1], 0, 1, 1, 1] = 1, -1
        conv.bias[order[1]] = 10
    metadata = {"network": "VoxelCNN", "arguments": ARGUMENTS, "task": "classification", "labels": ["F", "M"]}
    save_checkpoint(model, path, {**metadata, "target_mean": None, "target_sd": None, "fold": 0})


@pytest.fixture
def at(tmp_path):
    rng = np.random.default_rng(2)
    target = np.array(["F", "M"] * 12)
    level = 3 + 1.0 * (target == "M") + rng.normal(0, 0.2, 24)
    stack = (rng.uniform(0, 1, (24, 12, 14, 10)) + level[:, None, None, None]).astype(np.float32)
    write_array(stack, tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": PEOPLE}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": PEOPLE, "fold": [0] * 12 + [1] * 12, "target": target})
    write_table(folds.sample(frac=1, random_state=0), tmp_path / "folds.tsv")
    tiv = pd.DataFrame({"participant_id": PEOPLE, "tiv_mm3": rng.normal(1.4e6, 1e5, 24), "tiv_source": "FS"})
    write_table(tiv, tmp_path / "confounders.tsv")
    for fold, order in enumerate(([0, 1], [2, 0])):
        write_network(tmp_path / f"fold-{fold}.safetensors", order)
        describe_first_layer.run(
            tmp_path / f"fold-{fold}.safetensors", tmp_path / "stack.npy", tmp_path / "index.tsv",
            tmp_path / "folds.tsv", tmp_path / f"first_layer_fold-{fold}.tsv",
            fold=fold, layer=1, bins=256, device=("cpu", 1),
        )  # fmt: skip
    compare_first_layer.run(
        [tmp_path / f"first_layer_fold-{fold}.tsv" for fold in (0, 1)], tmp_path / "confounders.tsv",
        tmp_path / "first_layer.tsv", tmp_path / "counts.tsv", folds=["0", "1"], labels=["F", "M"],
        hide_target=False,
    )  # fmt: skip
    return tmp_path


def test_each_network_describes_the_people_it_has_not_seen(at):
    stack = np.load(at / "stack.npy")
    for fold, image_feature in ((0, 0), (1, 2)):
        described = read_table(at / f"first_layer_fold-{fold}.tsv")
        assert list(described.columns) == ["participant_id", "target", "feature", "mean", "entropy"]
        assert list(dict.fromkeys(described["participant_id"])) == PEOPLE[12 * fold : 12 * fold + 12]
        assert described["target"].tolist() == np.repeat(["F", "M"] * 6, 3).tolist()
        inner = stack[12 * fold : 12 * fold + 12, 1:-1, 1:-1, 1:-1].mean(axis=(1, 2, 3))
        means = described.loc[described["feature"] == image_feature, "mean"]
        np.testing.assert_allclose(means, inner / np.sqrt(1 + 1e-5), rtol=1e-5)


def test_folds_stand_side_by_side(at):
    table, counts = read_table(at / "first_layer.tsv"), read_table(at / "counts.tsv")
    assert list(table.columns)[:4] == ["fold", "feature", "statistic", "adjusted"]
    means = table[(table["statistic"] == "mean") & (table["adjusted"] == "none")].set_index(["fold", "feature"])
    higher = {(0, 0): 1, (0, 1): -1, (1, 2): 1, (1, 0): -1}
    for key, row in means.iterrows():
        assert row["significant"] == (key in higher)
        assert np.sign(row["difference"]) == higher.get(key, 0)
        assert row["n_F"] == row["n_M"] == 6
    assert len(counts) == 2 * 2 * 2
    chosen = counts[(counts["statistic"] == "mean") & (counts["adjusted"] == "none")]
    assert chosen[["features", "higher_F", "higher_M"]].to_numpy().tolist() == [[3, 1, 1], [3, 1, 1]]


def test_unknown_head_size(at):
    write_table(read_table(at / "confounders.tsv").assign(tiv_mm3=np.nan), at / "confounders.tsv")
    compare_first_layer.run(
        [at / "first_layer_fold-0.tsv"], at / "confounders.tsv", at / "first_layer.tsv", at / "counts.tsv",
        folds=["external"], labels=["F", "M"], hide_target=True,
    )  # fmt: skip
    table = read_table(at / "first_layer.tsv")
    assert set(table["adjusted"]) == {"none"}
    assert set(table["fold"]) == {"external"}
    assert table[["n_F", "n_M"]].isna().all(axis=None)  # of a restricted target
