"""Chance levels for what two maps have in common: random maps that are as smooth as the real one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.seeds import stream

ITERATIONS = 10  # of the deconvolution; lags 1 to 6 change by less than 0.002 after 5
PADDED = 1.5  # of the brain's box
SMALLEST = 1e-6  # of the mean power: a spectrum is not divided by less


@dataclass(frozen=True)
class SpatialField:
    """Gaussian random field with the spatial autocorrelation of a map; see `fit_field`.

    Attributes
    ----------
    amplitude : float32 ndarray [P, Q, R]
        Square root of the field's power at every frequency of the padded grid.
    box : tuple of slice
        The brain's bounding box in the volume.
    inside : ndarray of bool
        The brain in this box.
    values : float32 ndarray [N]
        The map's values in the brain, sorted.
    """

    amplitude: np.ndarray
    box: tuple[slice, ...]
    inside: np.ndarray
    values: np.ndarray

    def draw(self, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Draw two independent surrogates: real and imaginary part of one complex field.

        Yields
        ------
        int64 ndarray [N]
            From 0 to N − 1: the rank of each voxel of the brain, in the order of ``volume[brain]``. ``values[ranks]``
            is the surrogate.
        """
        from scipy.fft import ifftn

        noise = random.standard_normal((*self.amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
        noise *= self.amplitude
        field = ifftn(noise, overwrite_x=True)[tuple(slice(0, n) for n in self.inside.shape)][self.inside]
        for part in (field.real, field.imag):
            ranks = np.empty(part.size, dtype=np.int64)
            ranks[np.argsort(part, kind="stable")] = np.arange(part.size)
            yield ranks


def surrogates(volume: np.ndarray, brain: np.ndarray, count: int, seed: int, *words: object) -> Iterator[np.ndarray]:
    """Draw random maps with the values and the spatial autocorrelation of a map, but not its places.

    Voxels of a smooth map are no independent observations: two smooth maps that have nothing to do with each other
    correlate "significantly" by the textbook's p nearly always. What two maps have in common is to be held against
    what one of them has in common with surrogates of the other.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        A map, signed or not. For comparisons of absolute values give |map|: its autocorrelation is not that of the
        signed map.
    brain : ndarray of bool [D, H, W]
    count : int
        How many.
    seed : int
    words : object
        What the stream of random numbers depends on besides `seed`; the first surrogates are the same whatever the
        `count`.

    Yields
    ------
    float32 ndarray [D, H, W]
        Inside the brain exactly the map's own values in other places, 0 outside. A map that is constant in the brain
        has no other arrangement: it is given as it is.

    Raises
    ------
    InputError
        For a count below 1, unequal shapes, an empty brain or a map that is not finite there.

    Notes
    -----
    Amplitude-adjusted surrogates (Theiler et al. 1992, doi 10.1016/0167-2789(92)90102-S; Schreiber & Schmitz 1996, doi
    10.1103/PhysRevLett.77.635) in three dimensions and inside a mask, for the purpose of Burt et al. 2020 (BrainSMASH,
    doi 10.1016/j.neuroimage.2020.117038): see `fit_field`. The null supposes that a map is equally smooth in every
    part of the brain (stationary); it need not be so in every direction.
    """
    field = fit_field(volume, brain)
    if count < 1:
        refuse(f"The number of surrogates must be 1 or more, got {count}.")
    return _volumes(field, np.asarray(brain, dtype=bool), count, seed, words)


def _volumes(field: SpatialField, brain: np.ndarray, count: int, seed: int, words: tuple) -> Iterator[np.ndarray]:
    for ranks in draw_ranks(field, count, seed, *words):
        volume = np.zeros(brain.shape, dtype=np.float32)
        volume[brain] = field.values[ranks]
        yield volume


def draw_ranks(field: SpatialField, count: int, seed: int, *words: object) -> Iterator[np.ndarray]:
    """Draw the ranks of the voxels in the surrogates of `surrogates`, for a field that is fitted already.

    Yields
    ------
    int64 ndarray [N]
        See `SpatialField.draw`.
    """
    for first in range(0, count, 2):
        pair = field.draw(stream(seed, "spatial surrogates", *words, first // 2))
        for _, ranks in zip(range(count - first), pair, strict=False):
            yield ranks


def fit_field(volume: np.ndarray, brain: np.ndarray) -> SpatialField:
    """Fit the power spectrum of a Gaussian random field to a map inside the brain.

    Parameters
    ----------
    volume, brain
        As in `surrogates`.

    Returns
    -------
    SpatialField

    Raises
    ------
    InputError
        As `surrogates`.

    Notes
    -----
    The map's ranks in the brain become normal scores, so that a few huge values do not decide, and are 0 elsewhere.
    Their periodogram, zero-padded by half the brain's box on each axis so that its ends do not touch, is the field's
    spectrum convolved with that of the brain mask: the autocovariance is multiplied by the mask's, which falls from lag
    to lag. Dividing the one by the other and setting negative powers to 0 gives too little weight to long lags, or much
    noise at them, and a null that is too narrow. Instead the convolution is undone by Richardson-Lucy iterations
    (Richardson 1972, doi 10.1364/JOSA.62.000055), in which no power ever becomes negative.

    Equal voxels share their mean rank. Where very many are equal the surrogates come out somewhat rougher than the map
    (a smooth map cut off at its median: 0.79 instead of 0.85 between neighbours), so that chance is told too low.
    """
    from scipy.fft import irfftn, next_fast_len, rfftn
    from scipy.special import ndtri
    from scipy.stats import rankdata

    volume, brain = np.asarray(volume, dtype=np.float32), np.asarray(brain, dtype=bool)
    if volume.shape != brain.shape or volume.ndim != 3:
        refuse(f"The map has the shape {volume.shape}, the brain mask {brain.shape}; one shape [D, H, W] is needed.")
    if not brain.any():
        refuse("The brain mask is empty, so there is nothing to draw surrogates of.")
    values = volume[brain]
    if not np.isfinite(values).all():
        refuse("The map is NaN or infinite at some voxels of the brain.")
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(brain))
    inside = brain[box]
    if values.min() == values.max():
        return SpatialField(np.ones(inside.shape, dtype=np.float32), box, inside, values)
    grid = [next_fast_len(round(PADDED * n), real=True) for n in inside.shape]
    scores = ndtri((rankdata(values) - 0.5) / values.size)
    padded = np.zeros(inside.shape, dtype=np.float32)
    padded[inside] = (scores - scores.mean()) / scores.std()

    window = irfftn(np.abs(rfftn(inside.astype(np.float32), grid)) ** 2, grid)
    window /= window[0, 0, 0]
    observed = np.abs(rfftn(padded, grid)) ** 2
    least = SMALLEST * observed.mean()

    def seen_through(power: np.ndarray) -> np.ndarray:
        """Return what the mask makes of a spectrum; being symmetric, it does the same backwards."""
        return rfftn(irfftn(power, grid) * window, grid).real

    power = observed
    for _ in range(ITERATIONS):
        power = power * np.maximum(seen_through(observed / np.maximum(seen_through(power), least)), 0)
    return SpatialField(np.sqrt(_full(power, grid[2])).astype(np.float32), box, inside, np.sort(values))


def _full(half: np.ndarray, last: int) -> np.ndarray:
    """Return the power at all frequencies from the half that a real transform holds: it is the same at −k as at k."""
    mirrored = half[..., 1 : last - half.shape[2] + 1][::-1, ::-1, ::-1]
    return np.concatenate([half, np.roll(mirrored, (1, 1), axis=(0, 1))], axis=2)
