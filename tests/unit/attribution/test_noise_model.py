"""Noise models: their shapes, what they see, and their files."""

import pytest
import torch

from voxplain.attribution.noise_model import (
    NoiseSettings,
    TrainedNoise,
    UNet3d,
    VoxelNoise,
    build_noise_model,
    load_noise_model,
    noise_sd,
    save_noise_model,
)  # fmt: skip
from voxplain.base.errors import InputError
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(8, 16, 24), (7, 9, 11), (1, 2, 3)])
def test_any_shape(depth, shape):
    model = UNet3d(depth, channels=2).eval()
    assert model(torch.randn(2, 1, *shape)).shape == (2, 1, *shape)


def test_layers_of_the_published_recipe():
    model = UNet3d(depth=2, channels=4)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv3d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [
        (1, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (24, 8), (8, 8), (12, 4), (4, 4), (4, 1),
    ]  # fmt: skip


def test_padding_is_cut_off_where_it_was_put():
    torch.manual_seed(0)
    model = UNet3d(depth=2, channels=3).eval()
    whole = torch.randn(1, 1, 8, 8, 12)
    whole[:, :, [0, 6, 7]] = whole[:, :, [1, 5, 5]]  # 3 voxels are missing of the first axis, 0 and 1 of the others
    whole[..., 11] = whole[..., 10]
    expected = model(whole)[:, :, 1:6, :, :11]
    torch.testing.assert_close(model(whole[:, :, 1:6, :, :11]), expected)


def test_the_voxel_model_is_the_same_for_everybody():
    model = VoxelNoise((3, 4, 5))
    with torch.no_grad():
        model.logits.normal_()
    logits = model(torch.randn(6, 1, 3, 4, 5))
    assert logits.shape == (6, 1, 3, 4, 5)
    assert torch.equal(logits[0], logits[5])
    with pytest.raises(InputError, match=r"\[3, 4, 5\] voxels, but the images have \[3, 4, 6\]"):
        model(torch.randn(6, 1, 3, 4, 6))


def test_range_of_the_noise():
    settings = NoiseSettings(noise_min=0.5, noise_max=2.0)
    found = noise_sd(torch.tensor([-50.0, 0.0, 50.0]), settings, intensity_sd=3.0)
    assert found.tolist() == pytest.approx([1.5, 3.75, 6.0])


@pytest.mark.parametrize("kind", ["unet", "voxel"])
def test_files_keep_everything(kind, tmp_path):
    torch.manual_seed(0)
    settings = NoiseSettings(model=kind, depth=2, channels=3, lambda_=0.02, confidence=None)
    model = build_noise_model(settings, (6, 7, 8))
    images = torch.randn(4, 1, 6, 7, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.train()(images)
    trained = TrainedNoise(model.eval(), settings, (6, 7, 8), 1.25, 3)
    save_noise_model(trained, tmp_path / "a.safetensors")
    save_noise_model(trained, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    found = load_noise_model(tmp_path / "a.safetensors")
    assert (found.settings, found.shape, found.intensity_sd, found.fold) == (settings, (6, 7, 8), 1.25, 3)
    assert not found.model.training
    assert torch.equal(found.model(images), model(images))


def test_a_network_is_no_noise_model(tmp_path):
    metadata = {
        "network": "VoxelCNN", "arguments": {"shape": [12, 12, 12], "outputs": 2, "blocks": 1, "channels": 2},
        "task": "classification", "labels": ["A", "B"], "target_mean": None, "target_sd": None, "fold": 0,
    }  # fmt: skip
    save_checkpoint(VoxelCNN(**metadata["arguments"]), tmp_path / "w.safetensors", metadata)
    with pytest.raises(InputError, match=r"no noise model of this software \(format 'voxplain-1'"):
        load_noise_model(tmp_path / "w.safetensors")


def test_tensors_of_another_model_are_refused(tmp_path):
    wrong = TrainedNoise(VoxelNoise((3, 3, 3)), NoiseSettings(model="voxel"), (3, 3, 4), 1.0)
    save_noise_model(wrong, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"(?s)do not fit the noise model.*size mismatch for logits.*Train it again"):
        load_noise_model(tmp_path / "w.safetensors")


def test_settings_that_cannot_work_are_named_together():
    with pytest.raises(InputError) as caught:
        NoiseSettings(
            model="gru", depth=0, channels=0, epochs=0, people_per_step=0, lambda_=0, learning_rate=-1, noise_min=2,
            confidence=1,
        )  # fmt: skip
    named = {line.removeprefix("  - ").split(":")[0] for line in str(caught.value).splitlines()[1:]}
    assert named == {
        "model", "depth", "channels", "epochs", "people_per_step", "lambda_", "learning_rate", "noise_min, noise_max",
        "confidence",
    }  # fmt: skip
