"""The answer of a network that a perturbation takes away."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxplain.attribution.method import weighted_score
from voxplain.attribution.perturbation_settings import PerturbationSettings
from voxplain.base.errors import InputError


@dataclass(frozen=True)
class Answer:
    """What is lowered for each person of a batch.

    Attributes
    ----------
    outputs : Tensor [n, outputs]
        Of the network for the images themselves.
    classes : Tensor [n] or None
        The explained class; None for regression.
    temperature : Tensor [n]
        What logits are divided by while a mask is optimised.
    output_sd : float
    """

    outputs: Tensor
    classes: Tensor | None
    temperature: Tensor
    output_sd: float

    @classmethod
    def of(cls, network: nn.Module, images: Tensor, targets: Tensor, settings: PerturbationSettings) -> "Answer":
        """Run the network once; a row of `targets` that is not one class explains the predicted class."""
        with torch.no_grad():
            outputs = network(images)
        weighted_score(outputs, targets)  # refuses other shapes
        if outputs.shape[1] == 1:
            if settings.jitter == 1 and settings.initial == 1:
                raise InputError(
                    "perturbation of a regression needs jitter of at least 2, or initial below 1: exp(-(Δ/SD)²) has no "
                    "gradient where nothing has changed yet"
                )
            return cls(outputs, None, torch.ones_like(outputs[:, 0]), settings.output_sd)
        one_class = (targets == 1).sum(dim=1).eq(1) & (targets == 0).sum(dim=1).eq(targets.shape[1] - 1)
        classes = torch.where(one_class, targets.argmax(dim=1), outputs.argmax(dim=1))
        return cls(outputs, classes, temperatures(outputs, classes, settings.confidence), settings.output_sd)

    def of_people(self, keep: Tensor) -> "Answer":
        """Return what is lowered for some of the people, by a boolean or by numbers."""
        classes = None if self.classes is None else self.classes[keep]
        return Answer(self.outputs[keep], classes, self.temperature[keep], self.output_sd)

    def probability(self, outputs: Tensor) -> Tensor:
        """Return what the network itself says, [n], for the outputs [n, outputs] of one image per person."""
        return self._lowered(outputs[:, None], 1.0)[:, 0]

    def tempered(self, outputs: Tensor) -> Tensor:
        """Return what is optimised, [n, m], for the outputs [n, m, outputs] of m images per person."""
        return self._lowered(outputs, self.temperature[:, None, None])

    def _lowered(self, outputs: Tensor, temperature: Tensor | float) -> Tensor:
        if self.classes is None:
            return torch.exp(-(((outputs - self.outputs[:, None])[..., 0] / self.output_sd) ** 2))
        classes = self.classes[:, None, None].expand(-1, outputs.shape[1], 1)
        return (outputs / temperature).softmax(dim=2).gather(2, classes)[..., 0]


def temperatures(logits: Tensor, classes: Tensor, confidence: float | None) -> Tensor:
    """Return for each person the least T of at least 1 at which softmax(logits/T) is not above `confidence`, [n].

    The probability of an overconfident network has no gradient: the mask then either never leaves 1 or falls at once
    to wherever rounding sends it. Dividing logits by a constant (Guo et al. 2017, arXiv 1706.04599) changes neither the
    class nor the order of images, and makes maps independent of how far training has driven the logits apart.

    Parameters
    ----------
    logits : Tensor [n, outputs]
    classes : Tensor [n]
    confidence : float or None
        Between the chance level and 1; None leaves all temperatures at 1.
    """
    ones = torch.ones_like(logits[:, 0])
    if confidence is None:
        return ones
    # A probability above 1/2 belongs to the largest logit and then falls with T: halve the interval of log T.
    low, high = 0 * ones, torch.log(logits.amax(dim=1) - logits.amin(dim=1) + 1).clamp(min=1) + 10
    for _ in range(40):
        middle = (low + high) / 2
        p = (logits / middle.exp()[:, None]).softmax(dim=1).gather(1, classes[:, None])[:, 0]
        low, high = torch.where(p > confidence, middle, low), torch.where(p > confidence, high, middle)
    p = logits.softmax(dim=1).gather(1, classes[:, None])[:, 0]
    return torch.where(p > confidence, high.exp(), ones)
