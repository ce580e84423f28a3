"""Images that are altered when they are read: a cohort with masks applied costs no second copy of it."""

from collections.abc import Callable

import numpy as np


class AlteredImages:
    """The images of a stack, each altered when it is read; stands in for the stack in training and prediction.

    Parameters
    ----------
    stack : array [n, D, H, W]
        May be memory-mapped. What it gives is copied before it is altered.
    alter : callable
        Takes and returns float32 [..., D, H, W]; what becomes of an image must not depend on those beside it.

    Attributes
    ----------
    shape, ndim, dtype
        As of an array; the dtype is float32.
    """

    def __init__(self, stack: np.ndarray, alter: Callable[[np.ndarray], np.ndarray]):
        self._stack, self._alter = stack, alter
        self.shape, self.ndim, self.dtype = tuple(stack.shape), stack.ndim, np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, rows: object) -> np.ndarray:
        return self._alter(np.array(self._stack[rows], dtype=np.float32))
