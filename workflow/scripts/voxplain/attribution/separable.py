"""Upsampling, blurring and placing as one small matrix per axis: a separable operator is three matrix products."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def along_axes(volumes: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply one matrix along each spatial axis.

    Parameters
    ----------
    volumes : Tensor [n, d, h, w]
    matrices : three Tensors [D, d], [H, h], [W, w]

    Returns
    -------
    Tensor [n, D, H, W]
    """
    depth, height, width = matrices
    out = height @ (volumes @ width.T)
    return (depth @ out.flatten(2)).unflatten(2, out.shape[2:])


def sampling_matrix(positions: np.ndarray, size: int) -> Tensor:
    """Return the matrix [len(positions), size] that interpolates linearly at positions given in voxels.

    Positions beyond the first or last voxel take its value (replicated borders).
    """
    positions = np.clip(positions, 0, size - 1)[:, None]
    weights = np.clip(1 - np.abs(positions - np.arange(size)[None]), 0, None)
    return torch.from_numpy(weights.astype(np.float32))


def upsampling_matrix(size_out: int, size_in: int) -> Tensor:
    """Return the matrix of linear upsampling that keeps the outer edges (``align_corners=False``)."""
    return sampling_matrix((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, size_in)


def blurring_matrix(size: int, taps: np.ndarray, borders: str) -> Tensor:
    """Return the matrix [size, size] of a convolution with a symmetric kernel of odd length.

    Parameters
    ----------
    size : int
        Voxels along the axis.
    taps : ndarray [2r + 1]
        The kernel.
    borders : {'replicate', 'zero'}
        What lies beyond the faces: the outermost voxel, or 0.
    """
    radius = len(taps) // 2
    rows = np.repeat(np.arange(size), len(taps))
    columns = (np.arange(size)[:, None] + np.arange(-radius, radius + 1)).ravel()
    weights = np.tile(taps, size)
    if borders == "zero":
        inside = (columns >= 0) & (columns < size)
        rows, columns, weights = rows[inside], columns[inside], weights[inside]
    matrix = np.zeros((size, size))
    np.add.at(matrix, (rows, np.clip(columns, 0, size - 1)), weights)
    return torch.from_numpy(matrix.astype(np.float32))


def gaussian_taps(sigma: float) -> np.ndarray:
    """Return a normalised Gaussian kernel cut at four standard deviations; sigma in voxels, 0 = no blur."""
    if sigma == 0:
        return np.ones(1)
    radius = int(4 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return taps / taps.sum()


def box_taps(size: int) -> np.ndarray:
    """Return a uniform kernel of `size` voxels (odd)."""
    return np.full(size, 1 / size)
