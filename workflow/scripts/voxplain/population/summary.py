"""From the maps of people to one map of the population: statistics over people, smoothing, joint maps."""

from collections.abc import Iterable, Sequence

import numpy as np

from voxplain.base.errors import refuse

STATISTICS = ("mean_rectified", "mean_absolute", "mean_signed", "t")
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


def summarise(maps: Iterable[tuple[str, np.ndarray]], statistic: str, normalise: str = "none") -> np.ndarray:
    """Summarise the maps of people voxel by voxel, one map at a time, in memory that does not grow with the people.

    Parameters
    ----------
    maps : iterable of (str, ndarray [D, H, W])
        Ids and finite maps, as `voxplain.population.maps.walk_maps` gives them.
    statistic : {'mean_rectified', 'mean_absolute', 'mean_signed', 't'}
        Mean of max(map, 0) (Kan et al. 2020, eqs. 5 and 7), of |map| or of the map itself, or the one-sample
        t-statistic of the map against 0 (mean · √n / sd, ddof 1; 0 where the sd is 0). The signed ones need maps
        whose signs mean the same in all people, such as maps of the contrast of two classes.
    normalise : {'none', 'max'}
        ``max`` divides each person's map by its own largest absolute value (after rectification), as the paper does;
        an all-zero map stays as it is. It removes the differences in size between people, hence not the default.

    Returns
    -------
    float32 ndarray [D, H, W]

    Raises
    ------
    InputError
        For an unknown statistic or normalisation, no map at all, one person only for ``t``, or maps of unequal shape.

    Notes
    -----
    Mean and sum of squares are updated after Welford (1962) in float64, which keeps the variance right when it is
    small beside the mean.
    """
    if statistic not in STATISTICS:
        refuse(f"Unknown statistic {statistic!r}; expected one of {', '.join(STATISTICS)}.")
    if normalise not in ("none", "max"):
        refuse(f"Unknown normalisation {normalise!r} of maps; expected none or max.")
    count, mean, variance = _moments(maps, statistic, normalise)
    if statistic != "t":
        return mean.astype(np.float32)
    return _over_error(mean, variance / count)


def welch(
    first: Iterable[tuple[str, np.ndarray]], second: Iterable[tuple[str, np.ndarray]], normalise: str = "none"
) -> np.ndarray:
    """Return Welch's t-statistic of the maps of two groups, voxel by voxel: positive where the second's are larger.

    Parameters
    ----------
    first, second : iterable of (str, ndarray [D, H, W])
    normalise : str
        As in `summarise`.

    Returns
    -------
    float32 ndarray [D, H, W]
        (mean₂ − mean₁) / √(var₁/n₁ + var₂/n₂), ddof 1; 0 where neither group varies.

    Raises
    ------
    InputError
        As `summarise` for ``t``.
    """
    n, mean, variance = _moments(first, "t", normalise)
    other_n, other_mean, other_variance = _moments(second, "t", normalise)
    return _over_error(other_mean - mean, variance / n + other_variance / other_n)


def _moments(
    maps: Iterable[tuple[str, np.ndarray]], statistic: str, normalise: str
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of maps, their mean and their variance (ddof 1; for ``t`` only)."""
    count, mean, squares = 0, None, None
    for person, volume in maps:
        values = prepared(volume, statistic, normalise)
        if mean is None:
            mean, squares = np.zeros(values.shape), np.zeros(values.shape)
        if values.shape != mean.shape:
            refuse(f"The map of participant {person} has the shape {values.shape}, those before it {mean.shape}.")
        count += 1
        delta = values - mean
        mean += delta / count
        if statistic == "t":
            squares += delta * (values - mean)
    if mean is None:
        refuse("There are no maps to summarise.")
    if statistic == "t" and count < 2:
        refuse(f"The t-statistic needs the maps of at least 2 people, got {count}; choose another statistic.")
    return count, mean, squares / max(count - 1, 1)


def _over_error(mean: np.ndarray, error_squared: np.ndarray) -> np.ndarray:
    error = np.sqrt(error_squared)
    return np.divide(mean, error, out=np.zeros_like(mean), where=error > 0).astype(np.float32)


def prepared(volume: np.ndarray, statistic: str, normalise: str = "none") -> np.ndarray:
    """Return what a statistic averages over people: max(map, 0), |map| or the map itself, float64; see `summarise`."""
    values = np.asarray(volume, dtype=np.float64)
    if statistic == "mean_rectified":
        values = np.maximum(values, 0)
    elif statistic == "mean_absolute":
        values = np.abs(values)
    largest = np.abs(values).max(initial=0) if normalise == "max" else 0
    return values / largest if largest > 0 else values


def smooth(volume: np.ndarray, fwhm_mm: float, affine: np.ndarray, brain: np.ndarray | None = None) -> np.ndarray:
    """Smooth a map with a Gaussian, inside the brain only.

    Parameters
    ----------
    volume : ndarray [D, H, W]
    fwhm_mm : float
        Full width at half maximum in mm; 0 leaves the values as they are.
    affine : ndarray [4, 4]
        Gives the voxel's edges, which may be unequal.
    brain : ndarray of bool [D, H, W], optional
        What lies outside is neither used nor kept (0): the weights of the voxels inside are rescaled to sum to 1, so
        that the rim of the brain is not pulled towards the background and nothing leaks in from it.

    Returns
    -------
    float32 ndarray [D, H, W]
        Without `brain` equal to `nilearn.image.smooth_img`.

    Raises
    ------
    InputError
        For a negative or infinite width, or a brain of another shape.
    """
    if not 0 <= fwhm_mm < np.inf:
        refuse(f"The smoothing width must be 0 mm or more, got {fwhm_mm}.")
    values = np.asarray(volume, dtype=np.float64)
    if brain is not None:
        brain = np.asarray(brain, dtype=bool)
        if brain.shape != values.shape:
            refuse(f"The brain mask has the shape {brain.shape}, the map {values.shape}.")
        values = np.where(brain, values, 0)
    if fwhm_mm > 0:
        sigma = fwhm_mm / FWHM_PER_SIGMA / np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
        values = _gaussian(values, sigma)
        if brain is not None:
            weight = _gaussian(brain.astype(np.float64), sigma)
            values = np.divide(values, weight, out=np.zeros_like(values), where=brain)
    return values.astype(np.float32)


def _gaussian(values: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, sigma)


def joint(maps: Sequence[np.ndarray], how: str = "mean") -> np.ndarray:
    """Join the population maps of the classes, each class with equal weight whatever its number of people.

    Parameters
    ----------
    maps : sequence of ndarray [D, H, W]
        One population map a class.
    how : {'mean', 'sum', 'difference'}
        ``sum`` is what Kan et al. (2020) did: two maps normalised to 1 can add up to 2. ``difference``: of two maps,
        the second minus the first.

    Returns
    -------
    float32 ndarray [D, H, W]
    """
    if how not in ("mean", "sum", "difference"):
        refuse(f"Unknown way {how!r} to join the maps of the classes; expected mean, sum or difference.")
    maps = [np.asarray(one, dtype=np.float64) for one in maps]
    if not maps or len({one.shape for one in maps}) > 1:
        refuse(f"Maps of one shape are needed to join the classes, got {[one.shape for one in maps]}.")
    if how == "difference":
        if len(maps) != 2:
            refuse(f"The difference is one of two maps, got {len(maps)}.")
        return (maps[1] - maps[0]).astype(np.float32)
    total = np.sum(maps, axis=0)
    return (total / len(maps) if how == "mean" else total).astype(np.float32)
