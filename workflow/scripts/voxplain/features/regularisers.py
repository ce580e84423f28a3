"""What keeps a synthesised volume from becoming noise: penalties, blurs, and random transforms of what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxplain.attribution.separable import along_axes, blurring_matrix, gaussian_taps


def sum_of_squares(volumes: Tensor) -> Tensor:
    """Return Σ v² of each volume, [n]."""
    return volumes.square().flatten(1).sum(dim=1)


def total_variation(volumes: Tensor) -> Tensor:
    """Return Σ |difference of neighbours| over the three axes of each volume [n, D, H, W], [n]."""
    return sum(volumes.diff(dim=axis).abs().flatten(1).sum(dim=1) for axis in (1, 2, 3))


def blurred(volumes: Tensor, sigma: float) -> Tensor:
    """Return volumes [n, D, H, W] under a Gaussian of `sigma` voxels; beyond the faces the outermost voxels go on."""
    if sigma == 0:
        return volumes
    taps = gaussian_taps(sigma)
    return along_axes(volumes, [blurring_matrix(size, taps, "replicate").to(volumes) for size in volumes.shape[1:]])


@dataclass(frozen=True)
class Transforms:
    """Random changes of place, size and direction, one for each step.

    Attributes
    ----------
    matrices : Tensor [steps, 3, 3]
        From a displacement (voxels) in the volume that is seen to one in the volume that is moved.
    shifts : Tensor [steps, 3]
        Voxels.
    """

    matrices: Tensor
    shifts: Tensor

    @classmethod
    def draw(
        cls, random: np.random.Generator, steps: int, jitter: int | Sequence[int], scale: float, rotation: float
    ) -> "Transforms":
        """Draw shifts (whole voxels up to ±jitter), sizes (1 ± scale) and angles (±rotation degrees about each axis).

        Every kind takes the same random numbers whatever the others are set to.
        """
        jitter = np.broadcast_to(np.asarray(jitter), 3)
        places, sizes, angles = random.random((steps, 3)), random.random(steps), random.random((steps, 3))
        shifts = np.floor(places * (2 * jitter + 1)) - jitter
        sizes = 1 + scale * (2 * sizes - 1)
        matrices = _rotations(np.deg2rad(rotation * (2 * angles - 1))) / sizes[:, None, None]
        return cls(torch.from_numpy(matrices.astype(np.float32)), torch.from_numpy(shifts.astype(np.float32)))

    @staticmethod
    def reach(half: np.ndarray, jitter: np.ndarray, scale: float, rotation: float) -> np.ndarray:
        """Return how far from the centre any draw looks, along each axis, to fill what lies within ±`half` of it.

        Parameters
        ----------
        half, jitter : ndarray [3]
            Voxels.
        scale, rotation : float
            As in `draw`.

        Returns
        -------
        ndarray [3]
            Voxels; an upper bound: cosines count as 1.
        """
        sine = np.sin(np.deg2rad(min(rotation, 90.0)))
        entries = np.eye(3)
        for axis in range(3):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[first, second] = turn[second, first] = sine
            entries = turn @ entries
        turned = np.minimum(entries @ half, np.linalg.norm(half))  # a rotation lengthens nothing
        return turned / (1 - scale) + jitter

    def none(self) -> bool:
        """Tell whether every step leaves the volume as it is."""
        return bool((self.matrices == torch.eye(3)).all() and (self.shifts == 0).all())


def _rotations(angles: np.ndarray) -> np.ndarray:
    """Return rotation matrices [n, 3, 3] of angles [n, 3] (radians) about the three axes, one after the other."""
    total = np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.tile(np.eye(3), (len(angles), 1, 1))
        cosine, sine = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        turn[:, first, first] = turn[:, second, second] = cosine
        turn[:, first, second], turn[:, second, first] = -sine, sine
        total = turn @ total
    return total


def transformed(volumes: Tensor, matrices: Tensor, shifts: Tensor, centre: Sequence[float]) -> Tensor:
    """Move, scale and turn volumes, with linear interpolation and 0 beyond their faces.

    Parameters
    ----------
    volumes : Tensor [n, D, H, W]
    matrices : Tensor [n, 3, 3]
    shifts : Tensor [n, 3]
        Voxel v of the result is taken from ``centre + matrix @ (v - centre) + shift``.
    centre : (float, float, float)
        Voxel that size and direction change about.

    Returns
    -------
    Tensor [n, D, H, W]
    """
    sizes = volumes.shape[1:]
    axes = [torch.arange(size, dtype=volumes.dtype, device=volumes.device) for size in sizes]
    middle = torch.as_tensor(np.asarray(centre), dtype=volumes.dtype, device=volumes.device)
    relative = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) - middle
    matrices, shifts = matrices.to(volumes), shifts.to(volumes)
    places = torch.einsum("dhwi,nji->ndhwj", relative, matrices) + (middle + shifts)[:, None, None, None]
    lengths = torch.tensor([max(size - 1, 1) for size in sizes], dtype=volumes.dtype, device=volumes.device)
    # grid_sample counts the axes from the last, and from -1 to 1 between the centres of the outermost voxels.
    grid = (2 * places / lengths - 1).flip(-1)
    sampled = torch.nn.functional.grid_sample(volumes[:, None], grid, padding_mode="zeros", align_corners=True)
    return sampled[:, 0]
