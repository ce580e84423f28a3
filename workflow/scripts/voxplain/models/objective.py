"""What training minimises and what its history tells, for classes and for numbers."""

import numpy as np
import torch
from torch.nn import functional

from voxplain.base.errors import InputError
from voxplain.models.answers import Answers
from voxplain.models.loading import places_on


class Objective:
    """Loss and error of a network's outputs against the answers of the people.

    Classes: cross entropy of the logits and the share of right answers. Regression: mean squared or absolute error of
    the standardised target and the mean absolute error in the target's unit.

    Parameters
    ----------
    answers : Answers
        Of everybody.
    fitted : ndarray of int
        Places of the people trained on, whose mean and standard deviation scale a regression's target.
    loss : {'mse', 'l1'}
    device : torch.device

    Attributes
    ----------
    mean, sd : float or None
        In the target's unit; None for classes.
    measure : str
        ``accuracy`` or ``mae``.

    Raises
    ------
    InputError
        When the people trained on all have the same answer.
    """

    def __init__(self, answers: Answers, fitted: np.ndarray, loss: str, device: torch.device):
        self.mean = self.sd = None
        self.measure = "accuracy" if answers.classification else "mae"
        if len(np.unique(answers.values[fitted])) < 2:
            raise InputError(
                f"The {len(fitted)} people to train on all have the same target: there is nothing to learn. "
                "Use more people or fewer folds."
            )
        if answers.classification:
            wanted = answers.values
            self._loss = functional.cross_entropy
        else:
            self.mean, self.sd = float(answers.values[fitted].mean()), float(answers.values[fitted].std())
            wanted = ((answers.values - self.mean) / self.sd).astype(np.float32)
            self._loss = functional.mse_loss if loss == "mse" else functional.l1_loss
        self.wanted = torch.from_numpy(wanted).to(device)

    def __call__(self, outputs: torch.Tensor, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean loss and the mean measure (scalars; no gradient in the second) of a batch's outputs."""
        wanted = self.wanted[places_on(self.wanted.device, places)]
        # Mixed precision ends here: a loss in 16 bits is too coarse.
        outputs = outputs.float()
        if self.sd is None:
            return self._loss(outputs, wanted), (outputs.detach().argmax(1) == wanted).float().mean()
        outputs = outputs.squeeze(1)
        return self._loss(outputs, wanted), (outputs.detach() - wanted).abs().mean() * self.sd
