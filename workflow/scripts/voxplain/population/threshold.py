"""From a population map to a mask: where the map is strongest, inside the brain."""

import warnings

import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.seeds import stream


def threshold(volume: np.ndarray, brain: np.ndarray, kind: str = "top_percent", value: float = 5.0) -> np.ndarray:
    """Mark the voxels of the brain at which a map is strongest.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        Signed or not; the absolute value decides.
    brain : ndarray of bool [D, H, W]
    kind : {'top_percent', 'absolute'}
        ``top_percent``: the strongest `value` percent of the brain's voxels, exactly ``round(value / 100 * voxels)``,
        so that methods are compared at equal volume. ``absolute``: |map| ≥ `value` (Kan et al. 2020: 0.65 and
        0.04 on maps divided by their maximum).
    value : float
        Percent in (0, 100], or a threshold ≥ 0.

    Returns
    -------
    ndarray of bool [D, H, W]
        Never outside the brain and never where the map is 0.

    Raises
    ------
    InputError
        For an unknown kind, a value out of range, an empty brain, unequal shapes or a map that is not finite.

    Warns
    -----
    UserWarning
        When the mask is empty, or smaller than asked for because the map is 0 elsewhere.
    """
    strength, brain = _checked(volume, brain)
    if kind == "absolute":
        if not 0 <= value < np.inf:
            refuse(f"An absolute threshold must be 0 or more, got {value}.")
        mask = brain & (strength >= value) & (strength > 0)
        wanted = 0
    elif kind == "top_percent":
        if not 0 < value <= 100:
            refuse(f"A threshold in percent of the brain must lie above 0 and not above 100, got {value}.")
        wanted = round(value * int(brain.sum()) / 100)
        mask = top_voxels(volume, brain, wanted)
    else:
        refuse(f"Unknown kind of threshold {kind!r}; expected top_percent or absolute.")
    found = int(mask.sum())
    if not found:
        reason = "the map is 0 in the whole brain" if not strength[brain].any() else f"no voxel reaches {kind} {value}"
        warnings.warn(f"The mask is empty: {reason}.", stacklevel=2)
    elif found < wanted:
        warnings.warn(f"The mask has {found} voxels instead of {wanted}: elsewhere the map is 0.", stacklevel=2)
    return mask


def top_voxels(volume: np.ndarray, brain: np.ndarray, count: int) -> np.ndarray:
    """Mark the `count` voxels of the brain with the largest absolute value; fewer when the map is 0 elsewhere.

    Equal values are taken in a fixed shuffled order. The order of memory would prefer one side of the head, and maps
    with plateaus (masks clamped to 1) would become lateralised by accident.

    Returns
    -------
    ndarray of bool [D, H, W]
    """
    strength, brain = _checked(volume, brain)
    values = strength[brain]
    mask = np.zeros(brain.shape, dtype=bool)
    count = min(count, values.size)
    if count < 1:
        return mask
    # All that are larger than the last value taken, and of those equal to it the first in the shuffled order.
    last = np.partition(values, values.size - count)[values.size - count]
    chosen, equal = values > last, np.flatnonzero(values == last)
    order = np.argsort(stream(0, "ties of a threshold").permutation(values.size)[equal])
    chosen[equal[order[: count - int(chosen.sum())]]] = last > 0
    mask[brain] = chosen
    return mask


def _checked(volume: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    strength, brain = np.abs(np.asarray(volume)), np.asarray(brain, dtype=bool)
    if strength.shape != brain.shape:
        refuse(f"The map has the shape {strength.shape}, the brain mask {brain.shape}.")
    if not brain.any():
        refuse("The brain mask is empty.")
    if not np.isfinite(strength[brain]).all():
        refuse("The map is NaN or infinite at some voxels of the brain.")
    return strength, brain
