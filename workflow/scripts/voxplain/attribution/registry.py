"""The methods by name, and the one function that runs any of them.

A new method is one file with a function and a settings class (see `voxplain.attribution.method.Method`) and one line
below.
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.gradcam import CamSettings, gradcam
from voxplain.attribution.guided_backprop import GuidedBackpropSettings, guided_backprop
from voxplain.attribution.hirescam import hirescam
from voxplain.attribution.integrated_gradients import IntegratedGradientsSettings, integrated_gradients
from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.method import Attribution, Context, Method
from voxplain.attribution.noise import noise
from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise
from voxplain.attribution.occlusion import OcclusionSettings, occlusion
from voxplain.attribution.perturbation import perturbation
from voxplain.attribution.perturbation_settings import PerturbationSettings
from voxplain.attribution.smoothgrad import SmoothGradSettings, smoothgrad
from voxplain.base.errors import InputError, refuse
from voxplain.models.folding import fold_batchnorm

METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Add a method to `METHODS`.

    Raises
    ------
    ValueError
        When the name is taken.
    """
    if method.name in METHODS:
        raise ValueError(f"a method named {method.name!r} is registered already")
    METHODS[method.name] = method


register(Method("gradcam", gradcam, CamSettings, contribution=True))
register(Method("hirescam", hirescam, CamSettings, contribution=True))
register(Method("guided_backprop", guided_backprop, GuidedBackpropSettings, contribution=True))
register(Method("perturbation", perturbation, PerturbationSettings, signed=False, explains_probability=True))
register(Method("lrp", lrp, LrpSettings, contribution=True))
register(Method("smoothgrad", smoothgrad, SmoothGradSettings))
register(Method("integrated_gradients", integrated_gradients, IntegratedGradientsSettings, contribution=True))
register(Method("occlusion", occlusion, OcclusionSettings, contribution=True))
register(Method("noise", noise, NoiseSettings, signed=False))


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if name not in METHODS:
        raise InputError(f"there is no attribution method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]


def checked_settings(name: str, settings: dict) -> object:
    """Return the settings object of a method, defaults filled in.

    Raises
    ------
    InputError
        For settings that the method does not have, and for impossible values.
    """
    method = find_method(name)
    known = [field.name for field in fields(method.settings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        refuse(f"{name} has no such settings", unknown, f"It has: {', '.join(known) or 'none'}.")
    return method.settings(**settings)


def explain(name: str, model: nn.Module, images: Tensor | np.ndarray, targets: Tensor, /, **settings) -> Tensor:
    """Return the maps of `attribute`: float32 [n, D, H, W] on the CPU."""
    return attribute(name, model, images, targets, **settings).maps


def attribute(
    name: str,
    model: nn.Module,
    images: Tensor | np.ndarray,
    targets: Tensor,
    /,  # a method may have a setting called model
    *,
    batch_size: int | None = None,
    participant_ids: Sequence[str] | None = None,
    seed: int = 0,
    mean_image: Tensor | np.ndarray | None = None,
    noise_model: TrainedNoise | None = None,
    **settings,
) -> Attribution:
    """Explain a network for some images.

    The work is done on a copy of the network in evaluation mode, frozen and with BatchNorm folded where possible; the
    network itself is left as it was. Maps do not depend on `batch_size` beyond rounding, which the steps of
    ``perturbation`` enlarge (to about 1e-4 on average).

    Parameters
    ----------
    name : str
        A key of `METHODS`.
    model : nn.Module
        Returns logits [n, outputs]; its device is used.
    images : Tensor or ndarray [n, 1, D, H, W]
    targets : Tensor [n, outputs]
        Weights over the outputs: one-hot for a class, (-1, +1) for the contrast, 1 for regression; see
        `voxplain.attribution.targets`.
    batch_size : int, optional
        People per batch; default: `usual_batch_size`.
    participant_ids : sequence of str, optional
        For the random draws of each person; default: the images' numbers.
    seed : int
    mean_image : array [D, H, W], optional
        Needed by ``perturbation`` with ``replacement='mean'``, and by methods with ``baseline='mean'``.
    noise_model : TrainedNoise, optional
        Needed by ``noise``; see `voxplain.attribution.noise_training`.
    **settings
        Of the method: the fields of ``METHODS[name].settings``.

    Returns
    -------
    Attribution
        On the CPU, float32, without NaN; a map may be zero everywhere.

    Raises
    ------
    InputError
        For unknown methods and settings, other shapes, networks that the method cannot explain, and gradients that are
        not finite.
    """
    method = find_method(name)
    options = checked_settings(name, settings)
    images = torch.as_tensor(images, dtype=torch.float32)
    if images.ndim != 5 or images.shape[1] != 1 or not len(images):
        raise InputError(f"images: {list(images.shape)}, expected [n, 1, D, H, W] with n of at least 1")
    if len(targets) != len(images):
        raise InputError(f"{len(images)} images, but targets for {len(targets)}")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size: {batch_size} must be at least 1")
    ids = [str(i) for i in range(len(images))] if participant_ids is None else list(participant_ids)
    if len(ids) != len(images):
        raise InputError(f"{len(images)} images, but {len(ids)} participant ids")
    mean_image = None if mean_image is None else torch.as_tensor(mean_image, dtype=torch.float32)

    network = fold_batchnorm(model, images[:1])
    device = next(network.parameters()).device
    batch_size = batch_size or usual_batch_size(device, options)
    parts = []
    # In full precision: the coarser products that GPUs use by default would add a texture of their own.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            context = Context(ids[rows], seed, mean_image, noise_model)
            parts.append(method.function(network, images[rows].to(device), targets[rows].to(device), options, context))
    result = _joined(parts)
    bad = [
        i for i, finite in zip(ids, result.maps.isfinite().flatten(1).all(dim=1).tolist(), strict=True) if not finite
    ]
    if bad:
        refuse(f"{name}: maps that are not finite", bad, "Check the images and the weights of the network for NaN.")
    return result


def usual_batch_size(device: torch.device, options: object) -> int:
    """Return how many people are explained at once where nobody says: enough to fill the device, and no more.

    On a CPU activations of more than about 4 images fall out of the caches and of the allocator's pools, which costs a
    third of the speed.
    """
    images = 4 if device.type == "cpu" else 48
    return max(1, images // getattr(options, "jitters", 1))


def _joined(parts: list[Attribution]) -> Attribution:
    def column(name):
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    maps = torch.cat([part.maps.detach().float().cpu() for part in parts])
    columns = ("score_before", "score_after", "iterations", "conservation")
    return Attribution(maps, *(column(name) for name in columns))
