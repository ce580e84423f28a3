"""Dot products between the images of people: all that a kernel machine needs to know of their voxels."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np

from voxplain.base.errors import refuse

BLOCK_BYTES = 64 * 2**20
# Of the sample's voxels. Everybody is read in runs of as many voxels: short ones would be slow on disks that seek.
SAMPLE_BLOCK_BYTES = 256 * 2**20
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class DotProducts:
    """What is known of the images of n people, of whom the first m can be learned from.

    Attributes
    ----------
    products : ndarray float64 [n, m]
        Of everybody's image with those of the first m people.
    squares : ndarray float64 [n]
        Of each image with itself.
    sums : ndarray float64 [n]
        Over the voxels.
    """

    products: np.ndarray
    squares: np.ndarray
    sums: np.ndarray


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
    people = range(len(stack))
    products, sums = np.zeros((len(stack), len(stack))), np.zeros(len(stack))
    with reading(stack) as read:
        for start, stop in _voxel_blocks(stack, len(stack), block_bytes):
            block = read(people, start, stop)
            products += block @ block.T
            sums += block.sum(axis=1)
    _check_finite(sums)
    return products, sums


def dot_products_with(
    stack: np.ndarray, sample: Sequence[int], block_bytes: int = SAMPLE_BLOCK_BYTES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the dot products of all images with those of a sample; time and memory are linear in the people.

    Parameters
    ----------
    stack : array [n, ...]
        As in `dot_products`.
    sample : sequence of int [m]
        Rows of the stack.
    block_bytes : int
        Of one block of the sample's voxels in double precision; the result comes on top.

    Returns
    -------
    products : ndarray float64 [n, m]
    squares : ndarray float64 [n]
        Dot products of the images with themselves.
    sums : ndarray float64 [n]

    Raises
    ------
    InputError
        As `dot_products`.
    """
    products, squares, sums = np.zeros((len(stack), len(sample))), np.zeros(len(stack)), np.zeros(len(stack))
    at_once = min(ROWS_AT_ONCE, len(sample))
    with reading(stack) as read:
        for start, stop in _voxel_blocks(stack, len(sample), block_bytes):
            of_the_sample = read(sample, start, stop)
            for first in range(0, len(stack), at_once):
                rows = slice(first, min(first + at_once, len(stack)))
                block = read(range(rows.start, rows.stop), start, stop)
                products[rows] += block @ of_the_sample.T
                squares[rows] += np.einsum("ij,ij->i", block, block)
                sums[rows] += block.sum(axis=1)
    _check_finite(sums)
    return products, squares, sums


def _check_finite(sums: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(sums))
    if len(bad):
        refuse(
            f"{len(bad)} images have voxels that are not finite numbers",
            (f"row {row} of the stack" for row in bad),
            "Make the stack anew.",
        )


def _voxel_blocks(stack: np.ndarray, people: int, block_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the first voxel of each block and that of the next one; a block has values of so many people."""
    voxels, step = int(np.prod(stack.shape[1:])), max(1, block_bytes // (8 * max(people, 1)))
    for start in range(0, voxels, step):
        yield start, min(start + step, voxels)


@contextmanager
def reading(stack: np.ndarray) -> Iterator[Callable[[Sequence[int], int, int], np.ndarray]]:
    """Give a function that returns the values of some rows from one voxel to another, float64 [rows, voxels].

    A whole file that is mapped to be read only is read in plain reads: not even the neighbours of what is asked for
    then count as the job's memory.
    """
    values = stack.reshape(len(stack), -1)
    whole_file = (
        isinstance(stack, np.memmap)
        and stack.mode == "r"
        and stack.flags.c_contiguous
        and os.path.getsize(stack.filename) == stack.offset + stack.nbytes
    )
    with open(stack.filename, "rb") if whole_file else nullcontext() as file:

        def read(rows: Sequence[int], start: int, stop: int) -> np.ndarray:
            if not whole_file:
                return values[rows, start:stop].astype(np.float64)
            block, line = np.empty((len(rows), stop - start)), np.empty(stop - start, stack.dtype)
            for place, row in enumerate(rows):
                file.seek(stack.offset + (row * values.shape[1] + start) * stack.itemsize)
                file.readinto(line)
                block[place] = line
            return block

        yield read


def rbf_kernel(images: DotProducts, rows_a: np.ndarray, rows_b: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma * squared distance) between images of two sets of people.

    Parameters
    ----------
    images : DotProducts
    rows_a, rows_b : array of int [a], [b]
        The latter among the first m people.
    gamma : float
        In 1 / squared intensity.

    Returns
    -------
    ndarray float64 [a, b]
    """
    # In place: with thousands of people each copy is hundreds of megabytes.
    kernel = images.squares[rows_a][:, None] + images.squares[rows_b]
    between = images.products[np.ix_(rows_a, rows_b)]
    between *= 2
    kernel -= between
    np.maximum(kernel, 0, out=kernel)
    kernel *= -gamma
    return np.exp(kernel, out=kernel)


def gamma_scale(images: DotProducts, voxels: int, train: np.ndarray) -> float:
    """Return the kernel width that scikit-learn calls ``scale``: 1 / (voxels * variance of all training values).

    Parameters
    ----------
    images : DotProducts
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
    square = images.squares[train].sum() / values
    variance = square - (images.sums[train].sum() / values) ** 2
    return float(1 / (voxels * variance)) if variance > 1e-12 * square else 1.0


def residualise(images: DotProducts, train: np.ndarray, confounder: np.ndarray) -> DotProducts:
    """Return what dot products and sums would be if a confounder were regressed out of every voxel.

    In every voxel x of person i becomes ``x_i - slope * (c_i - mean of c in training)`` with the least-squares slope
    (and intercept) of the training people. The slope is a weighted sum of training images, so the residual images are
    A X with A = I - u w', u the centred confounder and w = u / sum of squares on training people and 0 elsewhere; hence
    their products are A (X X') A' and their sums A X 1. As w is 0 on all but training people, products with these are
    enough.

    Parameters
    ----------
    images : DotProducts
    train : array of int
        Rows of the training people, from whom alone the slopes are learned; among the first m people.
    confounder : array [n]
        Finite.

    Returns
    -------
    DotProducts
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
        return images
    columns = images.products.shape[1]
    weights = np.zeros(columns)
    weights[train] = centred[train] / np.sum(centred[train] ** 2)
    # w'X is the image of slopes: what follows are its dot products with everybody, with itself, and its sum.
    with_slopes = images.products @ weights
    of_slopes = weights @ with_slopes[:columns]
    products = images.products - np.outer(centred, with_slopes[:columns])
    products -= np.outer(with_slopes, centred[:columns])
    products += of_slopes * np.outer(centred, centred[:columns])
    change = centred * with_slopes
    squares = images.squares - change - change + of_slopes * (centred * centred)
    return DotProducts(products, squares, images.sums - centred * (weights @ images.sums[:columns]))
