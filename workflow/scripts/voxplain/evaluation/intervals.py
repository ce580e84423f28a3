"""Intervals and tests: of means over folds, of shares of people, of correlations. All two-sided, at 95 %."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
# Relative to the largest value: less spread over folds than this is rounding.
NO_SPREAD = 1e-12


class CorrectedT(NamedTuple):
    """What `corrected_t` finds."""

    t: float
    df: int
    p: float
    low: float
    high: float


def corrected_t(differences: Sequence[float], ratio: float | Sequence[float]) -> CorrectedT:
    """Test whether a mean over cross-validation folds differs from 0 (corrected resampled t-test).

    t = d̄ / √((1/k + ρ)·s²), df = k − 1, where ρ = n_test / n_train makes up for training sets that share people; the
    interval d̄ ± t₀.₉₇₅·√((1/k + ρ)·s²) rests on the same variance. For ten folds its standard error is 1.45 times the
    naive one. The correction was derived for random splits drawn again and again; for k-fold cross-validation, whose
    variance has no unbiased estimate at all, it is a heuristic.

    Source: Nadeau & Bengio 2003, Machine Learning 52, equation 7 and section 5; Bengio & Grandvalet 2004 for k-fold.

    Parameters
    ----------
    differences : sequence [k]
        One number a fold; folds in which it is NaN are left out.
    ratio : float or sequence [k]
        n_test / n_train, of each fold or of all; the mean over the folds that count.

    Returns
    -------
    CorrectedT
        ``t, df, p, low, high``. All but `df` are NaN for fewer than two folds, an unknown ratio, and numbers without
        any spread, which tell nothing about their error (a few small folds can agree by chance); t = 0 and p = 1 when
        all of them are 0.
    """
    values = np.asarray(differences, dtype=float)
    ratios = np.broadcast_to(np.asarray(ratio, dtype=float), values.shape)[np.isfinite(values)]
    values = values[np.isfinite(values)]
    k = len(values)
    if k < 2 or not np.all(np.isfinite(ratios)):
        return CorrectedT(math.nan, max(k - 1, 0), math.nan, math.nan, math.nan)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    largest = float(np.abs(values).max())
    if sd <= NO_SPREAD * largest:
        t, p = (0.0, 1.0) if largest == 0 else (math.nan, math.nan)
        return CorrectedT(t, k - 1, p, math.nan, math.nan)
    error = sd * math.sqrt(1 / k + ratios.mean())
    t = mean / error
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, k - 1)) * error
    return CorrectedT(t, k - 1, float(2 * stats.t.sf(abs(t), k - 1)), mean - reach, mean + reach)


def wilson(successes: int, people: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927), NaN for nobody.

    It takes people as independent of each other: with families among them it is a little too narrow.
    """
    if not people:
        return math.nan, math.nan
    share = successes / people
    centre = (share + Z**2 / (2 * people)) / (1 + Z**2 / people)
    reach = Z / (1 + Z**2 / people) * math.sqrt(share * (1 - share) / people + Z**2 / (4 * people**2))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def correlation_test(r: float, n: int) -> tuple[float, float, float]:
    """Return the interval (Fisher's z) and the two-sided p (Student's t, n − 2 degrees) of Pearson's r.

    Parameters
    ----------
    r : float
    n : int
        Number of independent people.

    Returns
    -------
    low, high, p : float
        NaN where r is; the interval needs four people, p three.
    """
    if not math.isfinite(r):
        return math.nan, math.nan, math.nan
    if abs(r) >= 1:
        return r, r, 0.0 if n > 2 else math.nan
    low = high = p = math.nan
    if n > 3:
        reach = Z / math.sqrt(n - 3)
        low, high = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    if n > 2:
        p = float(2 * stats.t.sf(abs(r) * math.sqrt((n - 2) / (1 - r**2)), n - 2))
    return low, high, p


def permutation_p(observed: float, permuted: Sequence[float], lower_is_better: bool = False) -> float:
    """Return (1 + b) / (1 + n) with b of n permutations at least as good as what was observed.

    Counting the observed order among the permutations keeps p valid and above 0.

    Source: Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9, article 39.

    Parameters
    ----------
    observed : float
    permuted : sequence [n]
        NaN (undefined in every fold) counts as not drawn.
    lower_is_better : bool
        As of an error.

    Returns
    -------
    float
        NaN when nothing was observed or permuted.
    """
    values = np.asarray(permuted, dtype=float)
    values = values[np.isfinite(values)]
    if not len(values) or not math.isfinite(observed):
        return math.nan
    # Means of equal numbers can differ in their last bits; a tie counts against the model.
    slack = NO_SPREAD * max(1.0, abs(observed))
    as_good = values <= observed + slack if lower_is_better else values >= observed - slack
    return float((1 + as_good.sum()) / (1 + len(values)))
