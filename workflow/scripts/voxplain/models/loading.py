"""Volumes of some people on the device that computes, and their answers as numbers."""

from collections.abc import Sequence

import numpy as np
import torch

from voxplain.base.errors import InputError, refuse

# Share of the free memory of a GPU that the cohort may take; the rest is for activations.
RESIDENT_SHARE = 0.4
READ_AT_ONCE = 64


class Volumes:
    """Batches of volumes of some rows of the stack.

    On a GPU the rows are copied once when they fit, otherwise batch by batch through pinned memory, while the GPU
    computes. On the CPU the memory map is read batch by batch: the operating system keeps what fits.

    Parameters
    ----------
    stack : array [n, D, H, W]
        float32, in memory or memory-mapped.
    rows : sequence of int
        Rows of the stack; place i of this object is row ``rows[i]``.
    device : torch.device
    resident : bool
        Whether rows that fit may stay on a GPU: worth it when they are read more than once.
    """

    def __init__(self, stack: np.ndarray, rows: Sequence[int], device: torch.device, resident: bool = True):
        self.stack, self.device = stack, torch.device(device)
        self.rows = np.asarray(rows, dtype=np.int64)
        check_rows(stack, self.rows)
        self.shape = tuple(int(n) for n in stack.shape[1:])
        self.resident = self._copy_all() if resident and self._fits() else None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: Sequence[int]) -> torch.Tensor:
        """Return the volumes at some places as float32 [n, 1, D, H, W] on the device."""
        if self.resident is not None:
            return self.resident[places_on(self.device, places)].unsqueeze(1)
        return self._read(self.rows[np.asarray(places)]).to(self.device, non_blocking=True).unsqueeze(1)

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        volumes = torch.from_numpy(np.ascontiguousarray(self.stack[rows], dtype=np.float32))
        return volumes.pin_memory() if self.device.type == "cuda" else volumes

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        return 4 * len(self.rows) * int(np.prod(self.shape)) < RESIDENT_SHARE * free

    def _copy_all(self) -> torch.Tensor:
        resident = torch.empty((len(self.rows), *self.shape), dtype=torch.float32, device=self.device)
        for start in range(0, len(self.rows), READ_AT_ONCE):
            resident[start : start + READ_AT_ONCE] = self._read(self.rows[start : start + READ_AT_ONCE])
        return resident


def places_on(device: torch.device, places: Sequence[int]) -> torch.Tensor:
    """Return places as a tensor on the device; a GPU goes on computing meanwhile."""
    numbers = torch.as_tensor(np.asarray(places))
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers


def check_rows(stack: np.ndarray, rows: np.ndarray) -> None:
    """Refuse a stack that is not [n, D, H, W] and rows that it does not have."""
    if stack.ndim != 4:
        raise InputError(f"The stack of images has shape {stack.shape}, expected [people, D, H, W].")
    outside = [int(row) for row in rows if not 0 <= row < len(stack)]
    if outside:
        refuse(f"Rows that the stack of {len(stack)} images does not have", outside, "Make images/ and folds again.")
