"""Smooth fields on a coarse grid: everything that bends or shades a brain is computed here, cheaply.

Tensors are ordered [channel, z, y, x], as torch's ``grid_sample`` and the bytes of a NIfTI file are; positions and
displacements are in mm, RAS+, with channels x, y, z.
"""

import numpy as np
import torch
from torch.nn import functional

from voxplain.imaging.grid import HCP, Grid

# 2.8 mm: fine enough for fields whose features are no smaller than a Gaussian of sigma 3 mm.
FIELD = HCP.rescaled((65, 78, 65))
# Half of that, 1.4 mm: for counting parcels. Two of its voxels make one of FIELD's along each axis.
FINE = HCP.rescaled((130, 156, 130))


def positions(grid: Grid) -> torch.Tensor:
    """Return the voxel centres of a grid with axis-parallel voxels, in mm [3, z, y, x]."""
    axes = [
        torch.arange(n, dtype=torch.float64) * grid.affine[i, i] + grid.affine[i, 3] for i, n in enumerate(grid.shape)
    ]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z]).float()


def relative(points: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Turn positions [3, ...] in mm into ``grid_sample``'s coordinates: -1 and 1 are the centres of the end voxels."""
    turned = [
        ((points[i] - grid.affine[i, 3]) / grid.affine[i, i]) * (2 / (n - 1)) - 1 for i, n in enumerate(grid.shape)
    ]
    return torch.stack(turned)


def sample(
    volume: torch.Tensor, grid: Grid, points: torch.Tensor, nearest: bool = False, outside: str = "border"
) -> torch.Tensor:
    """Read a volume at any positions.

    Parameters
    ----------
    volume : Tensor [channels, z, y, x]
        On `grid`.
    points : Tensor [3, z', y', x']
        In mm.
    nearest : bool
        Take the nearest voxel (labels) instead of interpolating linearly.
    outside : {'border', 'zeros'}
        What lies outside the grid.

    Returns
    -------
    Tensor [channels, z', y', x']
    """
    return functional.grid_sample(
        volume[None],
        relative(points, grid).permute(1, 2, 3, 0)[None],
        mode="nearest" if nearest else "bilinear",
        padding_mode=outside,
        align_corners=True,
    )[0]


def resize(field: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Interpolate a field [channels, z, y, x] linearly onto another grid with the same outer edges."""
    return functional.interpolate(field[None], size=grid.shape[::-1], mode="trilinear", align_corners=False)[0]


def lattice_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Return the control points (z, y, x) that a B-spline of this spacing needs over `FIELD`."""
    extent = FIELD.voxel_size() * (np.array(FIELD.shape) - 1)
    return tuple(int(n) for n in (np.floor(extent / spacing_mm) + 4)[::-1])


def spline_field(coefficients: np.ndarray, spacing_mm: float) -> torch.Tensor:
    """Evaluate a uniform cubic B-spline (the free-form deformation of Rueckert et al. 1999) on `FIELD`.

    Parameters
    ----------
    coefficients : ndarray [channels, z, y, x]
        Control points, of `lattice_shape`. Independent standard normal ones give a field of unit variance on average.
    spacing_mm : float
        Between control points.

    Returns
    -------
    Tensor [channels, z, y, x] float32
    """
    bases = [
        _spline_basis(n, size, spacing_mm) for n, size in zip(FIELD.shape[::-1], FIELD.voxel_size()[::-1], strict=True)
    ]
    field = np.einsum("czyx,kz,jy,ix->ckji", coefficients, *bases, optimize=True)
    return torch.from_numpy(field).float()


def _spline_basis(voxels: int, voxel_mm: float, spacing_mm: float) -> np.ndarray:
    place = np.arange(voxels) * voxel_mm / spacing_mm
    control = np.arange(int(np.floor(place[-1])) + 4) - 1
    distance = np.abs(place[:, None] - control[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    basis = np.where(distance < 1, near, far)
    # A random field's variance is the sum of the squared weights, which is uneven by 4 % per axis: set the mean to 1.
    return basis / np.sqrt((basis**2).sum(1).mean())


def jacobian(displacement: torch.Tensor, grid: Grid = FIELD) -> torch.Tensor:
    """Return det(I + gradient of a displacement [3, z, y, x]) by central differences [z, y, x]."""
    size = grid.affine.diagonal()[:3]
    rows = []
    for i in range(3):
        along_z, along_y, along_x = torch.gradient(displacement[i], dim=(0, 1, 2))
        rows.append(torch.stack([along_x / size[0], along_y / size[1], along_z / size[2]], dim=-1))
    matrix = torch.stack(rows, dim=-2) + torch.eye(3)
    return torch.linalg.det(matrix)
