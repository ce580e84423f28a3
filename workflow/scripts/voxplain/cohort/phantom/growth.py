"""How a local change looks: a region rounded into a smooth profile, and the displacement under which it grows."""

import numpy as np
import torch

from voxplain.cohort.phantom.fields import FIELD, jacobian

# Sigma of the Gaussian that rounds a parcel into an effect's profile.
SMOOTH_MM = 3.0
# What grows pushes its neighbours away; the push dies out over this distance.
REACH_MM = 20.0


def rounded(parcel: torch.Tensor) -> torch.Tensor:
    """Turn a parcel [z, y, x] (bool) on ``FINE`` into a smooth profile on `FIELD` [z, y, x] whose peak is 1."""
    from scipy.ndimage import gaussian_filter

    share = torch.nn.functional.avg_pool3d(parcel[None, None].float(), 2)[0, 0].numpy()
    smooth = gaussian_filter(share, SMOOTH_MM / FIELD.voxel_size()[::-1])
    return torch.from_numpy(smooth / smooth.max())


def growth(shape: torch.Tensor, amount: float) -> torch.Tensor:
    """Return the displacement under which the volume grows in the form of `shape`, and hardly elsewhere.

    The displacement u (from the grown brain back to the original) is the gradient of a potential that solves
    laplace(phi) - phi / reach^2 = -c * shape: with an infinite reach the volume would change nowhere but in the shape,
    at the price of a push that is felt all over the brain. c is chosen such that the local volume at the strongest
    place is 1 + `amount` times the original.

    Parameters
    ----------
    shape : Tensor [z, y, x]
        On `FIELD`.
    amount : float
        0.5 for half as much again.

    Returns
    -------
    Tensor [3, z, y, x]
        x, y, z in mm.
    """
    from scipy.optimize import brentq

    size = FIELD.affine.diagonal()[2::-1]
    frequencies = [2 * torch.pi * torch.fft.fftfreq(n, d=float(d)) for n, d in zip(shape.shape, size, strict=True)]
    kz, ky, kx = torch.meshgrid(*frequencies, indexing="ij")
    potential = torch.fft.fftn(shape) / (kx**2 + ky**2 + kz**2 + REACH_MM**-2)
    push = torch.stack([torch.fft.ifftn(1j * k * potential).real for k in (kx, ky, kz)])
    strongest = np.unravel_index(int(jacobian(1e-3 * push).argmin()), shape.shape)
    window = (slice(None), *(slice(i - 1, i + 2) for i in strongest))

    def excess(scale: float) -> float:
        return float(jacobian(scale * push[window])[1, 1, 1]) - 1 / (1 + amount)

    # A volume that shrinks to 0 is not reached: the search starts at no change and ends before the determinant does.
    highest = 1e-6
    while excess(highest) > 0:
        highest *= 1.5
    return push * (brentq(excess, 0.0, highest) if amount > 0 else 0.0)
