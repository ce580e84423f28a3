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
    Sums are taken in float64, for the variance those of the differences d from the first person's map. (Σd² − (Σd)²/n)
    / (n − 1) cancels where the mean of d is large beside the spread, but nobody lies further from the mean than √n
    standard deviations, which costs n² roundings of float64 at most.
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
    count, total = 0, None
    for person, volume in maps:
        values = counted(volume, statistic, normalise)
        if total is None:
            # Of the volumes' order in memory, or every sum would have to stride.
            total, squares, work = (np.zeros_like(values, dtype=np.float64) for _ in range(3))
            origin = values.astype(np.float64) if statistic == "t" else 0.0
        if values.shape != total.shape:
            refuse(f"The map of participant {person} has the shape {values.shape}, those before it {total.shape}.")
        count += 1
        np.copyto(work, values)
        if statistic == "t":
            work -= origin
            total += work
            work *= work
            squares += work
        else:
            total += work
    if total is None:
        refuse("There are no maps to summarise.")
    if statistic == "t" and count < 2:
        refuse(f"The t-statistic needs the maps of at least 2 people, got {count}; choose another statistic.")
    mean = total / count
    return count, mean + origin, np.maximum(squares - total * mean, 0) / max(count - 1, 1)


def _over_error(mean: np.ndarray, error_squared: np.ndarray) -> np.ndarray:
    error = np.sqrt(error_squared)
    return np.divide(mean, error, out=np.zeros_like(mean), where=error > 0).astype(np.float32)


def prepared(volume: np.ndarray, statistic: str, normalise: str = "none") -> np.ndarray:
    """Return what a statistic averages over people: max(map, 0), |map| or the map itself, float64; see `summarise`."""
    return np.asarray(counted(volume, statistic, normalise), dtype=np.float64)


def counted(volume: np.ndarray, statistic: str, normalise: str) -> np.ndarray:
    """Return what `prepared` does in the volume's own type, which holds it exactly, or in float64 if it is divided."""
    values = np.asarray(volume)
    if statistic == "mean_rectified":
        values = np.maximum(values, 0)
    elif statistic == "mean_absolute":
        values = np.abs(values)
    if normalise != "max":
        return values
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    return np.divide(values, largest, dtype=np.float64) if largest > 0 else values


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
    if brain is None:
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(np.asarray(volume, dtype=np.float64), _sigma(fwhm_mm, affine)).astype(np.float32)
    smoothed = np.zeros(np.shape(volume), dtype=np.float32)
    brain = np.asarray(brain, dtype=bool)
    smoothed[brain] = BrainSmoother(fwhm_mm, affine, brain)(volume)
    return smoothed


class BrainSmoother:
    """Smooths many maps inside one brain, as `smooth` does one.

    Parameters
    ----------
    fwhm_mm : float
    affine : ndarray [4, 4]
    brain : ndarray of bool [D, H, W]
        See `smooth`.

    Notes
    -----
    A Gaussian along one axis is a matrix product, which runs several times as fast as a sliding window although most
    of the matrix is 0. Float64, as the results are rounded to float32 and then do not depend on the way. Outside of the
    box around the brain there is nothing to be smoothed or kept.
    """

    def __init__(self, fwhm_mm: float, affine: np.ndarray, brain: np.ndarray):
        sigmas = _sigma(fwhm_mm, affine)
        self.brain = np.asarray(brain, dtype=bool)
        self._kernels = None
        if fwhm_mm == 0 or not self.brain.any():
            return
        from scipy.ndimage import gaussian_filter1d

        self._box = tuple(slice(min(places), max(places) + 1) for places in map(np.unique, np.nonzero(self.brain)))
        self._kernels = [
            np.ascontiguousarray(gaussian_filter1d(np.eye(size), sigma, axis=0)[own, own])
            for size, sigma, own in zip(self.brain.shape, sigmas, self._box, strict=True)
        ]
        # Transposed: the last axis of the arrays here is the first of the maps, which is the fastest in files.
        inside = self.brain[self._box]
        self._inside = inside.T.copy()
        self._places = np.arange(inside.size).reshape(inside.T.shape).T[inside]
        self._values = self._inside.astype(np.float64)
        self._weight = self._filtered()

    def __call__(self, volume: np.ndarray) -> np.ndarray:
        """Return the smoothed values of the brain's voxels.

        Parameters
        ----------
        volume : ndarray [D, H, W]

        Returns
        -------
        float32 ndarray [V]
            In the order of ``volume[brain]``.
        """
        volume = np.asarray(volume)
        if volume.shape != self.brain.shape:
            refuse(f"The brain mask has the shape {self.brain.shape}, the map {volume.shape}.")
        if self._kernels is None:
            return volume[self.brain].astype(np.float32)
        np.copyto(self._values, volume[self._box].T, where=self._inside)
        return (self._filtered() / self._weight).astype(np.float32)

    def _filtered(self) -> np.ndarray:
        """Return what the Gaussian makes of `_values`, at the brain's voxels."""
        first, second, third = self._kernels
        values = (third @ self._values.reshape(len(third), -1)).reshape(self._values.shape)
        values = np.matmul(second, values).reshape(-1, len(first)) @ first.T
        return values.ravel()[self._places]


def _sigma(fwhm_mm: float, affine: np.ndarray) -> np.ndarray:
    """Return the standard deviation of a Gaussian along the three axes, in voxels."""
    if not 0 <= fwhm_mm < np.inf:
        refuse(f"The smoothing width must be 0 mm or more, got {fwhm_mm}.")
    return fwhm_mm / FWHM_PER_SIGMA / np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)


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
