"""Dot products between the images of all people: all that a kernel machine needs to know of their voxels."""

import os
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from voxplain.base.errors import refuse

BLOCK_BYTES = 64 * 2**20


def dot_products(stack: np.ndarray, block_bytes: int = BLOCK_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Return the dot products of all pairs of images, and their sums, in one pass over the voxels.

    Computed in double precision, block of voxels by block: the memory is that of a block and of the result, however
    large the stack.

    Parameters
    ----------
    stack : array [n, ...]
        Usually a memory-mapped float32 array [n, D, H, W]. A whole file that is mapped to be read only is read in
        plain reads, because the pages of a map would count as the job's memory.
    block_bytes : int
        Of one block in double precision.

    Returns
    -------
    products : ndarray float64 [n, n]
    sums : ndarray float64 [n]

    Raises
    ------
    InputError
        Naming rows with values that are not finite.
    """
    people = len(stack)
    products, sums = np.zeros((people, people)), np.zeros(people)
    for block in _voxel_blocks(stack, max(1, block_bytes // (8 * max(people, 1)))):
        products += block @ block.T
        sums += block.sum(axis=1)
    bad = np.flatnonzero(~np.isfinite(sums))
    if len(bad):
        refuse(
            f"{len(bad)} images have voxels that are not finite numbers",
            (f"row {row} of the stack" for row in bad),
            "Make the stack anew.",
        )
    return products, sums


def _voxel_blocks(stack: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """Yield the values of `step` voxels at a time, float64 [n, at most step]."""
    values = stack.reshape(len(stack), -1)
    whole_file = (
        isinstance(stack, np.memmap)
        and stack.mode == "r"
        and stack.flags.c_contiguous
        and os.path.getsize(stack.filename) == stack.offset + stack.nbytes
    )
    with open(stack.filename, "rb") if whole_file else nullcontext() as file:
        for start in range(0, values.shape[1], step):
            stop = min(start + step, values.shape[1])
            if not whole_file:
                yield values[:, start:stop].astype(np.float64)
                continue
            block, line = np.empty((len(values), stop - start)), np.empty(stop - start, stack.dtype)
            for row in range(len(values)):
                file.seek(stack.offset + (row * values.shape[1] + start) * stack.itemsize)
                file.readinto(line)
                block[row] = line
            yield block


def rbf_kernel(products: np.ndarray, rows_a: np.ndarray, rows_b: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma * squared distance) between images of two sets of people.

    Parameters
    ----------
    products : array [n, n]
        Of `dot_products`.
    rows_a, rows_b : array of int [a], [b]
    gamma : float
        In 1 / squared intensity.

    Returns
    -------
    ndarray float64 [a, b]
    """
    squares = np.diag(products)
    distances = squares[rows_a][:, None] + squares[rows_b] - 2 * products[np.ix_(rows_a, rows_b)]
    return np.exp(-gamma * np.maximum(distances, 0))


def gamma_scale(products: np.ndarray, sums: np.ndarray, voxels: int, train: np.ndarray) -> float:
    """Return the kernel width that scikit-learn calls ``scale``: 1 / (voxels * variance of all training values).

    Parameters
    ----------
    products : array [n, n]
    sums : array [n]
    voxels : int
        Per image.
    train : array of int
        Rows of the training people.

    Returns
    -------
    float
        1 for images that are constant, as in scikit-learn.
    """
    values = len(train) * voxels
    square = np.diag(products)[train].sum() / values
    variance = square - (sums[train].sum() / values) ** 2
    return float(1 / (voxels * variance)) if variance > 1e-12 * square else 1.0


def residualise(
    products: np.ndarray, sums: np.ndarray, train: np.ndarray, confounder: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what dot products and sums would be if a confounder were regressed out of every voxel.

    In every voxel x of person i becomes ``x_i - slope * (c_i - mean of c in training)`` with the least-squares slope
    (and intercept) of the training people. The slope is a weighted sum of training images, so the residual images are
    A X with A = I - u w', u the centred confounder and w = u / sum of squares on training people and 0 elsewhere; hence
    their products are A (X X') A' and their sums A X 1.

    Parameters
    ----------
    products : array [n, n]
    sums : array [n]
    train : array of int
        Rows of the training people, from whom alone the slopes are learned.
    confounder : array [n]
        Finite.

    Returns
    -------
    products : ndarray [n, n]
    sums : ndarray [n]
        Unchanged when the confounder is constant in training.

    Raises
    ------
    InputError
        Naming rows without a confounder.
    """
    confounder = np.asarray(confounder, dtype=float)
    missing = np.flatnonzero(~np.isfinite(confounder))
    if len(missing):
        refuse(
            f"Residualising needs a finite confounder for everybody; it is missing for {len(missing)} people",
            (f"row {row}" for row in missing),
            "Leave these people out of the residualised model.",
        )
    mean = confounder[train].mean()
    centred = confounder - mean
    if np.abs(centred[train]).max() <= 1e-12 * abs(mean):
        return products, sums
    weights = np.zeros(len(confounder))
    weights[train] = centred[train] / np.sum(centred[train] ** 2)
    # w'X is the image of slopes: what follows are its dot products with everybody, with itself, and its sum.
    with_slopes = products @ weights
    change = np.outer(centred, with_slopes)
    left = products - change - change.T + (weights @ with_slopes) * np.outer(centred, centred)
    return left, sums - centred * (weights @ sums)
