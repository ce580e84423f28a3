"""Noise on trained weights."""

import numpy as np
import pandas as pd
import pytest
import torch

import perturb_weights
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_table
from voxplain.models.checkpoint import load_checkpoint, save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN
from voxplain.models.weight_noise import perturb


@pytest.fixture
def model(cohort):
    torch.manual_seed(0)
    model = VoxelCNN(shape=cohort[0].shape[1:], channels=8, blocks=1, outputs=2, dropout=0.2)
    model(torch.from_numpy(cohort[0][:4, None]))  # other running statistics than the initial ones
    return model.eval()


def test_noise_is_a_share_of_the_spread_of_each_tensor(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    noisy = perturb(model, 0.1, seed=1)
    assert not noisy.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    parameters, new = dict(model.named_parameters()), dict(noisy.named_parameters())
    for name, parameter in parameters.items():
        spread, noise = parameter.std(unbiased=False), (new[name] - parameter).detach()
        if spread == 0:  # γ and β of BatchNorm before training
            assert not noise.any()
            continue
        shares = noise / spread
        assert 0 < shares.abs().max() < 0.1 * 6
        if shares.numel() > 200:
            # A standard deviation from n numbers strays by 1 / √(2n) of itself.
            assert shares.std().item() == pytest.approx(0.1, rel=4 / np.sqrt(2 * shares.numel()))
            assert abs(shares.mean().item()) < 4 * 0.1 / np.sqrt(shares.numel())
    kept = {name for name in before if name not in parameters}
    assert any("running_mean" in name for name in kept)
    assert all(torch.equal(noisy.state_dict()[name], before[name]) for name in kept)


def test_noise_hangs_on_the_seed_only(model):
    def weights(**options):
        return torch.cat([p.flatten() for p in perturb(model, **{"share": 0.1, "seed": 1} | options).parameters()])

    assert torch.equal(weights(), weights())
    assert not torch.equal(weights(), weights(seed=2))
    plain = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert torch.equal(weights(share=0.0), plain)
    torch.testing.assert_close(weights(share=0.2) - plain, 2 * (weights() - plain), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_an_impossible_share_is_refused(model, share):
    with pytest.raises(InputError, match="share"):
        perturb(model, share, 0)


def test_the_script_keeps_metadata_and_predicts_whom_the_network_has_not_seen(model, cohort, tmp_path):
    stack, labels = cohort
    people = [f"{place:03d}" for place in range(len(stack))]
    write_array(stack, tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": people}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": people, "fold": np.arange(len(people)) % 3, "target": labels})
    write_table(folds[::-1], tmp_path / "folds.tsv")
    arguments = {"shape": list(stack.shape[1:]), "channels": 8, "blocks": 1, "outputs": 2, "dropout": 0.2}
    metadata = {"network": "VoxelCNN", "arguments": arguments, "task": "classification", "labels": ["A", "B"]}
    metadata |= {"target_mean": None, "target_sd": None, "fold": 1}
    save_checkpoint(model, tmp_path / "weights.safetensors", metadata)
    perturb_weights.run(
        tmp_path / "weights.safetensors", tmp_path / "stack.npy", tmp_path / "index.tsv", tmp_path / "folds.tsv",
        tmp_path / "noisy.safetensors", tmp_path / "predictions.tsv", fold=1, share=0.5, seed=3, device=("cpu", 1),
    )  # fmt: skip
    noisy, written = load_checkpoint(tmp_path / "noisy.safetensors")
    assert {key: written[key] for key in metadata} == metadata
    assert written["weight_noise"] == 0.5
    expected = perturb(model, 0.5, 3)
    images = torch.from_numpy(stack[1::3, None])
    with torch.no_grad():
        outputs = expected(images)
        torch.testing.assert_close(noisy.eval()(images), outputs)
    table = read_table(tmp_path / "predictions.tsv")
    assert table["participant_id"].tolist() == people[1::3]
    assert table["target"].tolist() == labels[1::3]
    np.testing.assert_allclose(table["score"], outputs[:, 1] - outputs[:, 0], rtol=1e-4, atol=1e-5)
