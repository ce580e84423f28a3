"""Noise on trained weights: a network that is nearly the same, whose maps should be nearly the same too."""

import copy

import numpy as np
import torch
from torch import nn

from voxplain.base.errors import InputError
from voxplain.base.seeds import stream


def perturb(model: nn.Module, share: float, seed: int) -> nn.Module:
    """Return a copy of a network with Gaussian noise on every parameter.

    Parameters
    ----------
    model : nn.Module
        Left untouched.
    share : float
        Standard deviation of the noise as a share of that of each tensor (weights, biases, γ and β of BatchNorm, each
        for itself). A tensor without spread stays as it is, and so do BatchNorm's running statistics, which are no
        parameters.
    seed : int
        The noise of a tensor depends on the seed and on its name, not on the device or the other tensors.

    Returns
    -------
    nn.Module
        On the model's device and in its mode.

    Raises
    ------
    InputError
        For a share that is negative or not finite.
    """
    if not 0 <= share < np.inf:
        raise InputError(f"share: noise of {share} standard deviations; expected a number that is 0 or more")
    noisy = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in noisy.named_parameters():
            # NumPy's standard deviation of one number is 0, and so is its noise.
            spread = float(parameter.detach().double().cpu().numpy().std())
            noise = stream(seed, "weight noise", name).standard_normal(parameter.shape)
            parameter += torch.as_tensor(share * spread * noise, dtype=parameter.dtype, device=parameter.device)
    return noisy
