"""Models of how much noise each voxel bears, and their files.

The published method names a U-Net and no more (Bintsi et al. 2021, arXiv 2108.05388); its layers are those of the
nearest recipe that is published in full, U-Noise (Koker et al. 2021, arXiv 2101.05791): blocks of twice (convolution
3³, BatchNorm, ReLU), max-pooling, nearest-neighbour upsampling, connections that skip the coarser levels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from voxplain.base.errors import InputError, refuse
from voxplain.models.checkpoint import read_tensors, write_tensors

FORMAT = "voxplain-noise-1"
KINDS = ("unet", "voxel")


@dataclass(frozen=True)
class NoiseSettings:
    """Settings of `voxplain.attribution.noise.noise` and of the training of its noise model.

    Attributes
    ----------
    model : {'unet', 'voxel'}
        ``unet``: a U-Net that sees the image of a person. ``voxel``: one free value per voxel, the same for everybody.
    lambda_ : float
        Weight λ of the reward for noise, the mean over voxels of log B. Where no B reaches 1, training ends with a
        task loss of about λ/2, so λ is how much change of the network's answer is accepted: squared standard
        deviations of a regression's target, nats of classes. λ divided by the number of voxels is the λ of a sum.
    noise_min, noise_max : float
        Standard deviation of the noise where B is 0 and where it is 1, in standard deviations of the images' intensity
        over the brain.
    depth : int
        Times that the U-Net halves the volume.
    channels : int
        Of the U-Net at full size; doubled at each halving.
    epochs : int
        Passes over the people trained on.
    people_per_step : int
        Images in a step of the optimiser.
    cubes : int or None
        Edge in voxels of the cubes of which a random half, another one for every image and step, stays free of noise
        while the model is trained; None: noise everywhere, as published. See `voxplain.attribution.noise_training`.
    learning_rate : float
        Of Adam at the start; it falls to 0 along half a cosine, which averages the last steps.
    confidence : float or None
        Classes: the logits of a person are divided by a constant that brings the probability of the predicted class
        down to this. A surer network would bear any noise; None = as they are.
    """

    model: str = "unet"
    lambda_: float = 1e-3
    noise_min: float = 0.0
    noise_max: float = 1.0
    depth: int = 3
    channels: int = 4
    epochs: int = 12
    people_per_step: int = 4
    cubes: int | None = 8
    learning_rate: float = 1e-2
    confidence: float | None = 0.9

    def __post_init__(self):
        problems = [] if self.model in KINDS else [f"model: {self.model!r} is not one of {', '.join(KINDS)}"]
        problems += [
            f"{name}: {getattr(self, name)!r} must be at least 1"
            for name in ("depth", "channels", "epochs", "people_per_step", "cubes")
            if getattr(self, name) is not None and not getattr(self, name) >= 1
        ]
        problems += [
            f"{name}: {getattr(self, name)!r} must be above 0"
            for name in ("lambda_", "learning_rate")
            if not getattr(self, name) > 0
        ]
        if not 0 <= self.noise_min < self.noise_max:
            problems.append(f"noise_min, noise_max: {self.noise_min!r}, {self.noise_max!r}: expected 0 <= min < max")
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            problems.append(f"confidence: {self.confidence!r} must be at least 0.5 and less than 1")
        if problems:
            refuse("settings of noise that cannot work", problems)


class UNet3d(nn.Module):
    """Logits of B for every voxel, from the image around it; for volumes of any shape.

    Parameters
    ----------
    depth, channels : int
        See `NoiseSettings`.
    """

    def __init__(self, depth: int, channels: int):
        super().__init__()
        widths = [channels * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([1, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.pool = nn.MaxPool3d(2)
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv3d(channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [n, 1, D, H, W] for images [n, 1, D, H, W]."""
        shape, unit = images.shape[2:], 2**self.depth
        missing = [-n % unit for n in shape]
        # torch lists the last axis first, and each axis as (before, after).
        pad = [width for n in reversed(missing) for width in (n // 2, n - n // 2)]
        x = nn.functional.pad(images, pad, mode="replicate")
        kept = []
        for block in self.down[:-1]:
            kept.append(block(x))
            x = self.pool(kept[-1])
        x = self.down[-1](x)
        for block in self.up:
            x = block(torch.cat([self.enlarge(x), kept.pop()], dim=1))
        x = self.head(x)
        for axis, (n, extra) in enumerate(zip(shape, missing, strict=True), start=2):
            x = x.narrow(axis, extra // 2, n)
        return x


class VoxelNoise(nn.Module):
    """Logits of B that are free in every voxel and the same for everybody; images must lie on one grid.

    Parameters
    ----------
    shape : sequence of 3 int
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 1, *shape))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [n, 1, D, H, W] for images [n, 1, D, H, W].

        Raises
        ------
        InputError
            For images of another shape.
        """
        if images.shape[2:] != self.logits.shape[2:]:
            raise InputError(
                f"the noise model has one value for each of {list(self.logits.shape[2:])} voxels, but the images have "
                f"{list(images.shape[2:])}"
            )
        return self.logits.expand(len(images), -1, -1, -1, -1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv3d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def build_noise_model(settings: NoiseSettings, shape: Sequence[int]) -> nn.Module:
    """Return an untrained noise model; the weights of a U-Net come from torch's global random generator."""
    if settings.model == "voxel":
        return VoxelNoise(shape)
    return UNet3d(settings.depth, settings.channels)


def noise_sd(logits: Tensor, settings: NoiseSettings, intensity_sd: float) -> Tensor:
    """Return the standard deviation of the noise in the images' unit: B of the logits, scaled to the noise's range."""
    return intensity_sd * (logits.sigmoid() * (settings.noise_max - settings.noise_min) + settings.noise_min)


@dataclass(frozen=True)
class TrainedNoise:
    """A trained noise model.

    Attributes
    ----------
    model : nn.Module
        Logits of B, [n, 1, D, H, W], for images; in evaluation mode.
    settings : NoiseSettings
    shape : tuple of 3 int
        Voxels of the images it was trained on.
    intensity_sd : float
        Standard deviation of their intensity over the brain, in the images' unit.
    fold : int or str
        Whose people it was not trained on; as in the checkpoint of the network.
    """

    model: nn.Module
    settings: NoiseSettings
    shape: tuple[int, ...]
    intensity_sd: float
    fold: int | str | None = None


def save_noise_model(trained: TrainedNoise, path: str | Path) -> None:
    """Write a noise model as safetensors; equal models give equal files."""
    facts = {
        "settings": asdict(trained.settings),
        "shape": list(trained.shape),
        "intensity_sd": trained.intensity_sd,
        "fold": trained.fold,
    }
    header = {"format": FORMAT, **{name: json.dumps(value) for name, value in facts.items()}}
    write_tensors(trained.model.state_dict(), header, path)


def load_noise_model(path: str | Path) -> TrainedNoise:
    """Read a noise model that `save_noise_model` wrote; on the CPU.

    Raises
    ------
    InputError
        For a file that is no noise model, or whose tensors do not fit its settings.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path}: no noise model of this software (format {header.get('format')!r}, not {FORMAT!r}).")
    facts: Mapping = {name: json.loads(header[name]) for name in ("settings", "shape", "intensity_sd", "fold")}
    settings = NoiseSettings(**facts["settings"])
    model = build_noise_model(settings, facts["shape"])
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path}: the tensors do not fit the noise model ({error}). Train it again.") from None
    return TrainedNoise(model.eval(), settings, tuple(facts["shape"]), facts["intensity_sd"], facts["fold"])
