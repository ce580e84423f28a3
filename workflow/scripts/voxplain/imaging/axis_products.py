"""A volume times one matrix along each axis, a few slices at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

# Slices that are resampled at a time, so that they stay in the processor's cache.
SLAB = 4
# Rows of a matrix that are multiplied at a time: as many float32 as fit into the processor's widest register.
BAND = 16


def resize(data: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Apply one matrix along each axis.

    Parameters
    ----------
    data : ndarray [D, H, W]
        Any real type and memory order; converted to float32 a few slices at a time.
    matrices : list of three ndarray
        ``matrices[a]`` is [n_out, n_in] of axis a, such as `voxplain.imaging.resizing.resize_matrices` gives.

    Returns
    -------
    ndarray [D', H', W'], float32, C order
    """
    # The large first products read the volume as it lies in memory.
    order = slowest_first(data)
    source = data.transpose(order)
    n_slowest, n_middle, _ = source.shape
    shape = tuple(len(matrices[axis]) for axis in order)
    slowest, middle, fastest = (list(_bands(matrices[axis])) for axis in order)
    # Products of small matrices are a third faster when neither is given transposed.
    fastest = [(to, among, np.ascontiguousarray(band.T)) for to, among, band in fastest]
    # What no band reaches stays 0.
    part = np.zeros((SLAB, n_middle, shape[2]), dtype=np.float32)
    rows = np.zeros((n_slowest, *shape[1:]), dtype=np.float32)
    result = np.zeros(shape, dtype=np.float32)
    with one_blas_thread():
        for start in range(0, n_slowest, SLAB):
            slab = source[start : start + SLAB].astype(np.float32, copy=False)
            n = len(slab)
            for to, among, band in fastest:
                np.matmul(slab[:, :, among], band, out=part[:n, :, to])
            for to, among, band in middle:
                np.matmul(band, part[:n, among], out=rows[start : start + n, to])
        for to, among, band in slowest:
            np.matmul(band, rows[among].reshape(band.shape[1], -1), out=result[to].reshape(len(band), -1))
    return np.ascontiguousarray(result.transpose(np.argsort(order)))


def slowest_first(data: np.ndarray) -> np.ndarray:
    """Return the axes in the order of memory, the one with the largest steps first; int [3]."""
    return np.argsort([-abs(stride) for stride in data.strides], kind="stable")


def _bands(matrix: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield a few rows of a matrix at a time, and their columns that are not 0: (rows, columns, values in float32).

    Every target voxel lies among few source voxels: most of the matrix is 0 and need not be multiplied.
    """
    for start in range(0, len(matrix), BAND):
        rows = slice(start, min(start + BAND, len(matrix)))
        used = np.flatnonzero(matrix[rows].any(axis=0))
        if used.size:
            columns = slice(int(used[0]), int(used[-1]) + 1)
            yield rows, columns, np.ascontiguousarray(matrix[rows, columns], dtype=np.float32)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's matrix products on one thread for the length of a block.

    On a busy machine, threads that wait for each other make these small products twenty times slower. Changing the
    number costs some time as well: hold the block around a loop over volumes.
    """
    with _blas().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
