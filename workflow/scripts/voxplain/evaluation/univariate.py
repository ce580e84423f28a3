"""Where the images themselves differ: a statistic of every voxel by itself, in one pass over the people."""

from collections.abc import Iterable, Sequence

import numpy as np

from voxplain.base.errors import refuse


def univariate(
    images: Iterable[tuple[object, np.ndarray]], brain: np.ndarray, labels: Sequence[str] | None, rate: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Test every voxel of the images by itself, one image in memory at a time.

    Parameters
    ----------
    images : iterable of (target, ndarray [D, H, W])
        A class label, or a number for a regression, and the image; standardised and smoothed already.
    brain : ndarray of bool [D, H, W]
    labels : sequence of str, optional
        The classes in their order; None for a regression.
    rate : float
        False discovery rate (Benjamini & Hochberg 1995) of the voxels called significant, in (0, 1).

    Returns
    -------
    statistic : float32 ndarray [D, H, W]
        Two classes: Welch's t, positive where images of the second class are brighter. More classes: F of the one-way
        analysis of variance. A regression: t of the slope on the target, positive where images grow brighter with it.
        0 outside the brain and where nothing varies.
    significant : ndarray of bool [D, H, W]
        Where p keeps the false discovery rate in the brain; p are two-sided of t (Welch-Satterthwaite's degrees of
        freedom for two classes, n − 2 for a slope).

    Raises
    ------
    InputError
        For an unknown target, a class of fewer than 2 people, fewer than 3 people or a constant target in a
        regression, and a rate out of range.

    Notes
    -----
    Nothing is regressed out: head size and age are in the images, and the network sees them too. Means and sums of
    squares are updated after Welford (1962) in float64; memory does not grow with the number of people.
    """
    from scipy.stats import false_discovery_control

    if not 0 < rate < 1:
        refuse(f"A false discovery rate lies between 0 and 1, got {rate}.")
    brain = np.asarray(brain, dtype=bool)
    values, p = _regression(images, brain) if labels is None else _classes(images, brain, labels)
    statistic, significant = np.zeros(brain.shape, dtype=np.float32), np.zeros(brain.shape, dtype=bool)
    statistic[brain] = values
    significant[brain] = false_discovery_control(p) <= rate
    return statistic, significant


def _classes(images, brain, labels) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import f, t

    size = int(brain.sum())
    count = dict.fromkeys(labels, 0)
    mean, squares = ({label: np.zeros(size) for label in labels} for _ in range(2))
    for target, image in images:
        if target not in count:
            refuse(f"An image of the unknown class {target!r}; expected one of {', '.join(labels)}.")
        count[target] += 1
        own = image[brain].astype(np.float64)
        change = own - mean[target]
        mean[target] += change / count[target]
        squares[target] += change * (own - mean[target])
    few = [f"{label}: {people}" for label, people in count.items() if people < 2]
    if few:
        refuse("Each class needs at least 2 people for a statistic; people of the classes:", few)
    n = np.array([count[label] for label in labels])[:, None]
    mean, squares = (np.array([of[label] for label in labels]) for of in (mean, squares))
    if len(labels) == 2:
        error = squares / (n - 1) / n
        total = error.sum(axis=0)
        values = _ratio(mean[1] - mean[0], np.sqrt(total))
        freedom = _ratio(total**2, (error**2 / (n - 1)).sum(axis=0))
        p = 2 * t.sf(np.abs(values), np.maximum(freedom, 1))
        return values, p
    people, groups = int(n.sum()), len(labels)
    between = (n * (mean - (n * mean).sum(axis=0) / people) ** 2).sum(axis=0) / (groups - 1)
    values = _ratio(between, squares.sum(axis=0) / (people - groups))
    return values, f.sf(values, groups - 1, people - groups)


def _regression(images, brain) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import t

    size, count, middle, spread = int(brain.sum()), 0, 0.0, 0.0
    mean, squares, products = (np.zeros(size) for _ in range(3))
    for target, image in images:
        count += 1
        own = image[brain].astype(np.float64)
        change, target_change = own - mean, float(target) - middle
        mean += change / count
        middle += target_change / count
        squares += change * (own - mean)
        products += change * (float(target) - middle)
        spread += target_change * (float(target) - middle)
    if count < 3 or spread == 0:
        refuse(f"A slope needs at least 3 people and a target that varies; got {count} people, variance {spread:g}.")
    left = np.maximum(squares - products**2 / spread, 0)
    values = _ratio(products / spread, np.sqrt(left / (count - 2) / spread))
    return values, 2 * t.sf(np.abs(values), count - 2)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide; 0 where nothing varies."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
