"""Noise importance: the voxels that a network cannot bear noise in.

Bintsi et al. 2021 (arXiv 2108.05388), as far as published, with the map of U-Noise (Koker et al. 2021, arXiv
2101.05791): a noise model, trained against the frozen network on the people that the network was trained on, says for
each voxel of a new image how much noise it bears, B in (0, 1); the map is relu(-logit B), so that it is 0 where more
than half of the largest noise is tolerated and grows where noise is not. The published division by the maximum is left
to the summary over people. The model has learned to keep the whole answer of the network, so that the map does not
depend on the output that the table names as explained. See `voxplain.attribution.noise_training`.
"""

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.method import Attribution, Context, weighted_score
from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise, noise_sd
from voxplain.base.errors import InputError
from voxplain.base.seeds import stream


def noise(
    network: nn.Module, images: Tensor, targets: Tensor, settings: NoiseSettings, context: Context
) -> Attribution:
    """Return relu(-logit B), [n, D, H, W], of one batch; the score after is that of the image with the learned noise.

    Arguments as in `voxplain.attribution.method.Method`; the trained model is ``context.noise_model``.

    Raises
    ------
    InputError
        Without a trained noise model, and for one of other settings or of images of another shape.
    """
    trained = _trained(context, settings, images)
    with torch.no_grad():
        before = weighted_score(network(images), targets)
        logits = trained.model.to(images.device)(images)
        drawn = draw(images, context.participant_ids, context.seed, "noise")
        noisy = images + drawn * noise_sd(logits, trained.settings, trained.intensity_sd)
        after = weighted_score(network(noisy), targets)
    return Attribution(torch.relu(-logits[:, 0]), before.cpu().numpy(), after.cpu().numpy())


def draw(images: Tensor, participant_ids, seed: int, *words: object) -> Tensor:
    """Return standard normal noise of the images' shape; that of a person depends on the seed, the words and the id."""
    shape = tuple(images.shape[1:])
    drawn = np.stack([stream(seed, *words, i).standard_normal(shape, dtype=np.float32) for i in participant_ids])
    return torch.from_numpy(drawn).to(images.device)


def _trained(context: Context, settings: NoiseSettings, images: Tensor) -> TrainedNoise:
    trained = context.noise_model
    if trained is None:
        raise InputError(
            "noise needs a trained noise model: train one with voxplain.attribution.noise_training.train_noise and "
            "give it as noise_model="
        )
    if trained.settings != settings:
        raise InputError(
            f"noise: the noise model was trained with other settings: {trained.settings}, not {settings}. "
            "Give those that it was trained with, or train it again."
        )
    shape = list(images.shape[2:])
    if shape != list(trained.shape):
        raise InputError(f"noise: the noise model was trained on images of {list(trained.shape)} voxels, not {shape}")
    return trained
