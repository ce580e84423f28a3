"""Intensities on the common grid."""

import numpy as np

from voxplain.base.errors import InputError

KINDS = ("none", "zscore")


def check_intensity(kind: str) -> None:
    """Refuse an unknown kind of normalisation.

    Raises
    ------
    InputError
    """
    if kind not in KINDS:
        raise InputError(f"images.intensity: {kind!r} is not one of {', '.join(KINDS)}")


def normalise(data: np.ndarray, brain: np.ndarray, kind: str) -> np.ndarray:
    """Bring the intensities of one volume to a common scale.

    Parameters
    ----------
    data : ndarray [D, H, W]
    brain : ndarray of bool [D, H, W]
    kind : {'none', 'zscore'}
        ``none`` keeps the intensities, inside and outside (Kan et al. 2020). ``zscore`` gives mean 0 and standard
        deviation 1 over the brain, and 0 outside.

    Returns
    -------
    ndarray [D, H, W], float32

    Raises
    ------
    InputError
        For another kind, and for ``zscore`` of a brain that is empty or has one intensity only.
    """
    check_intensity(kind)
    if kind == "none":
        return data.astype(np.float32, copy=False)
    values = data[brain].astype(np.float64)
    if values.size == 0 or np.ptp(values) == 0:
        raise InputError("the brain is empty or has the same intensity everywhere, so it has no z-scores")
    result = np.zeros(data.shape, dtype=np.float32)
    result[brain] = (values - values.mean()) / values.std()
    return result
