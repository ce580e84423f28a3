"""The methods by name, and the one function that runs any of them.

A new method is one file with a function and a settings class (see `voxplain.attribution.method.Method`) and one line
below.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from voxplain.attribution.gradcam import CamSettings, gradcam, prepare_cam
from voxplain.attribution.guided_backprop import GuidedBackpropSettings, guided_backprop
from voxplain.attribution.hirescam import hirescam
from voxplain.attribution.integrated_gradients import IntegratedGradientsSettings, integrated_gradients
from voxplain.attribution.lrp import LrpSettings, lrp
from voxplain.attribution.memory_budget import CPU_IMAGES, prepare_passes
from voxplain.attribution.method import Attribution, Context, Method, prepare_gradients
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


register(Method("gradcam", gradcam, CamSettings, contribution=True, prepare=prepare_cam))
register(Method("hirescam", hirescam, CamSettings, contribution=True, prepare=prepare_cam))
register(
    Method("guided_backprop", guided_backprop, GuidedBackpropSettings, contribution=True, prepare=prepare_gradients)
)
register(
    Method(
        "perturbation", perturbation, PerturbationSettings, signed=False, explains_probability=True,
        prepare=prepare_gradients,
    )
)  # fmt: skip
register(Method("lrp", lrp, LrpSettings, contribution=True))
register(Method("smoothgrad", smoothgrad, SmoothGradSettings, prepare=prepare_passes))
register(
    Method(
        "integrated_gradients", integrated_gradients, IntegratedGradientsSettings, contribution=True,
        prepare=prepare_passes,
    )
)  # fmt: skip
register(
    Method(
        "occlusion", occlusion, OcclusionSettings, contribution=True, prepare=partial(prepare_passes, gradients=False)
    )
)
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
    ``perturbation`` enlarge (to about 2e-3 on average).

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
    images = _checked(images, targets, participant_ids)
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size: {batch_size} must be at least 1")
    explainer = Explainer(name, model, images[:1], seed, mean_image, noise_model, **settings)
    return explainer(images, targets, participant_ids, batch_size)


class Explainer:
    """A method made ready for one network: what is the same for all people is done once. See `attribute`.

    Parameters
    ----------
    name : str
    model : nn.Module
        Left as it is.
    image : Tensor [1, 1, D, H, W]
        Any one.
    seed, mean_image, noise_model, **settings
        As in `attribute`.

    Attributes
    ----------
    network : nn.Module
        Frozen, in evaluation mode, with the outputs of `model`.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        image: Tensor,
        seed: int = 0,
        mean_image: Tensor | np.ndarray | None = None,
        noise_model: TrainedNoise | None = None,
        /,
        **settings,
    ):
        self.method = find_method(name)
        self.options = checked_settings(name, settings)
        self.seed, self.noise_model = seed, noise_model
        self.mean_image = None if mean_image is None else torch.as_tensor(mean_image, dtype=torch.float32)
        self.device = next(model.parameters()).device
        prepare = self.method.prepare or _prepare_folded
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            self.network, self.prepared = prepare(model, image.to(self.device), self.options)

    def __call__(
        self,
        images: Tensor,
        targets: Tensor,
        participant_ids: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> Attribution:
        """Explain the network for some images.

        Parameters
        ----------
        images : Tensor [n, 1, D, H, W]
            float32.
        targets, participant_ids, batch_size
            As in `attribute`, which checks them.
        """
        ids = [str(i) for i in range(len(images))] if participant_ids is None else list(participant_ids)
        parts = []
        # In full precision: the coarser products that GPUs use by default would add a texture of their own.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for rows in batches_of(len(images), batch_size or usual_batch_size(self.device, self.options)):
                context = Context(ids[rows], self.seed, self.mean_image, self.noise_model, self.prepared)
                here = (volumes[rows].to(self.device) for volumes in (images, targets))
                parts.append(self.method.function(self.network, *here, self.options, context))
        result = _joined(parts)
        finite = result.maps.isfinite().flatten(1).all(dim=1).tolist()
        bad = [person for person, fine in zip(ids, finite, strict=True) if not fine]
        if bad:
            refuse(
                f"{self.method.name}: maps that are not finite",
                bad,
                "Check the images and the weights of the network for NaN.",
            )
        return result


def _checked(images: Tensor | np.ndarray, targets: Tensor, participant_ids: Sequence[str] | None) -> Tensor:
    images = torch.as_tensor(images, dtype=torch.float32)
    if images.ndim != 5 or images.shape[1] != 1 or not len(images):
        raise InputError(f"images: {list(images.shape)}, expected [n, 1, D, H, W] with n of at least 1")
    if len(targets) != len(images):
        raise InputError(f"{len(images)} images, but targets for {len(targets)}")
    if participant_ids is not None and len(participant_ids) != len(images):
        raise InputError(f"{len(images)} images, but {len(participant_ids)} participant ids")
    return images


def _prepare_folded(model: nn.Module, image: Tensor, settings: object) -> tuple[nn.Module, None]:
    return fold_batchnorm(model, image), None


def batches_of(count: int, batch_size: int) -> list[slice]:
    """Return batches of at most `batch_size`, of about equal size: torch takes twice as long for a single image."""
    batches = -(-count // batch_size)
    ends = [count * (i + 1) // batches for i in range(batches)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def usual_batch_size(device: torch.device, options: object) -> int:
    """Return how many people are explained at once where nobody says: enough to fill the device, and no more.

    On a CPU the gain ends at about 8 images, and their activations already take a gigabyte in the default network.
    """
    images = CPU_IMAGES if device.type == "cpu" else 48
    return max(1, images // getattr(options, "jitters", 1))


def _joined(parts: list[Attribution]) -> Attribution:
    def column(name):
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    maps = torch.cat([part.maps.detach().float().cpu() for part in parts])
    columns = ("score_before", "score_after", "iterations", "conservation")
    return Attribution(maps, *(column(name) for name in columns))
