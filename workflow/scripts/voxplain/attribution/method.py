"""What a method of attribution is: the types that all methods share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from voxplain.base.errors import InputError
from voxplain.models.quickening import quickened


@dataclass(frozen=True)
class Context:
    """What a method may need to know beside images, targets and settings.

    Attributes
    ----------
    participant_ids : sequence of str
        One per image; random draws of a person depend on the id, never on the batch.
    seed : int
        The run's seed.
    mean_image : Tensor [D, H, W] or None
        Mean image of the population, in the units of the images.
    noise_model : TrainedNoise or None
        For ``noise``: what `voxplain.attribution.noise_training.train_noise` gave.
    prepared : object
        What `Method.prepare` found out about the network; None where it was not asked.
    """

    participant_ids: Sequence[str]
    seed: int = 0
    mean_image: Tensor | None = None
    noise_model: object | None = None
    prepared: object | None = None


@dataclass(frozen=True)
class Attribution:
    """Maps and what is told about each of them.

    Attributes
    ----------
    maps : Tensor [n, D, H, W]
        float32.
    score_before : ndarray [n]
        What was explained, at the image itself: the weighted sum of outputs, or the probability that a perturbation
        lowers.
    score_after : ndarray [n] or None
        The same at the perturbed image.
    iterations : ndarray of int [n] or None
        Steps of an optimisation.
    conservation : ndarray [n] or None
        Sum of the map over what it should add up to, for methods that hand out a score: 1 when nothing is lost. NaN
        where there is nothing to hand out.
    """

    maps: Tensor
    score_before: np.ndarray
    score_after: np.ndarray | None = None
    iterations: np.ndarray | None = None
    conservation: np.ndarray | None = None


@dataclass(frozen=True)
class Method:
    """One entry of the registry.

    Attributes
    ----------
    name : str
        As in the config and in paths.
    function : callable
        ``function(network, images, targets, settings, context) -> Attribution`` for one batch on one device: `network`
        is a frozen copy in evaluation mode, images float32 [n, 1, D, H, W], targets float32 [n, outputs].
    settings : type
        A frozen dataclass: names and defaults of the settings, checked when it is made.
    signed : bool
        Whether maps can be negative.
    contribution : bool
        Whether a map says what the values of the image itself brought to the score (a gradient says what a change
        would bring): its signs follow the class that the person belongs to.
    explains_probability : bool
        The method lowers the probability of one class; a contrast of two classes then means the predicted class.
    prepare : callable or None
        ``prepare(model, image, settings) -> (network, prepared)``, called once before the first batch with one image
        [1, 1, D, H, W]: a frozen copy in evaluation mode that gives what the method needs sooner, and what every batch
        would find out anew, for `Context.prepared`. None: the function gets a copy with the layers that the model has,
        but for folded BatchNorm.
    """

    name: str
    function: Callable[[nn.Module, Tensor, Tensor, object, Context], Attribution]
    settings: type
    signed: bool = True
    contribution: bool = False
    explains_probability: bool = False
    prepare: Callable[[nn.Module, Tensor, object], tuple[nn.Module, object]] | None = None


def prepare_gradients(model: nn.Module, image: Tensor, settings: object) -> tuple[nn.Module, None]:
    """Prepare methods that need nothing but the network's outputs and the gradients of its input."""
    return quickened(model, image), None


def weighted_score(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the scalar that is explained of each image: the sum of its outputs weighted by `targets`, [n].

    Raises
    ------
    InputError
        When the network does not give [n, outputs] for targets of [n, outputs].
    """
    if logits.shape != targets.shape:
        raise InputError(
            f"the network returned {list(logits.shape)} for targets of {list(targets.shape)}; expected [n, outputs]. "
            "A network must return one row of logits per image (one value for regression)."
        )
    return (logits * targets).sum(dim=1)
