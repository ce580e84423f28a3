"""Volumes as spectra that fall with the frequency: an optimiser then moves coarse patterns as fast as fine ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Of the volume's axes, from the last: those that the spectrum is over.
AXES = (-3, -2, -1)


def falling_off(shape: Sequence[int], decay: float) -> Tensor:
    """Return the factor of every coefficient, 1 / f^decay, with a mean square of 1.

    Parameters
    ----------
    shape : (D, H, W)
        Voxels of the volume.
    decay : float
        1: the amplitudes of natural images; 0: none.

    Returns
    -------
    Tensor [D, H, W // 2 + 1]
        f in cycles per voxel; the mean intensity (f = 0) counts as the longest wave that fits.

    Notes
    -----
    Olah, Mordvintsev and Schubert 2017 (doi 10.23915/distill.00007), "preconditioning". The mean is over the whole
    spectrum, so that independent coefficients of variance 1 give voxels of variance 1 (about: the imaginary parts of
    the real-valued coefficients do not count).
    """
    depth, height, width = shape
    waves = [torch.fft.fftfreq(depth), torch.fft.fftfreq(height), torch.fft.rfftfreq(width)]
    squares = sum(torch.meshgrid(*(wave.double() ** 2 for wave in waves), indexing="ij"))
    factor = squares.sqrt().clamp(min=1 / max(shape)) ** -decay
    # Waves that the half spectrum leaves out as they are the mirror images of others.
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    mean_square = (factor**2 * twice).sum() / (depth * height * width)
    return (factor / mean_square.sqrt()).float()


def volumes_of(coefficients: Tensor, factor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the volumes [n, D, H, W] of coefficients [n, 2, D, H, W // 2 + 1]: real and imaginary part of a half."""
    # Two real numbers of variance 1 make a complex one of variance 2.
    spectra = torch.complex(coefficients[:, 0], coefficients[:, 1]) * (factor * 0.5**0.5)
    return torch.fft.irfftn(spectra, s=tuple(shape), dim=AXES, norm="ortho")


def coefficients_of(volumes: Tensor, factor: Tensor) -> Tensor:
    """Return coefficients whose volumes are the given ones [n, D, H, W]; the inverse of `volumes_of`."""
    spectra = torch.fft.rfftn(volumes, dim=AXES, norm="ortho") / (factor * 0.5**0.5)
    return torch.stack([spectra.real, spectra.imag], dim=1)
