"""Permutation importance of models on distances, exactly, without measuring every distance anew.

A shuffled feature changes a squared distance by that feature's own part. With x the person's value, z the shuffled one
and y that of somebody known, (z - y)² - (x - y)² = (z - x)(z + x - 2y): a change in one feature costs the same whether
there are ten features or a thousand.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

PEOPLE_AT_ONCE = 32
BLOCK = 2**16  # changed distances at once, so that they stay in cache


def draw_shuffles(people: int, repeats: int, state: int) -> np.ndarray:
    """Return whose value each person gets in each repeat, as `sklearn.inspection.permutation_importance` draws it.

    Parameters
    ----------
    people, repeats : int
    state : int
        Its ``random_state``.

    Returns
    -------
    ndarray of int [repeats, people]
        The same for every feature. A repeat shuffles what the one before it left.
    """
    generator = np.random.RandomState(np.random.RandomState(state).randint(np.iinfo(np.int32).max + 1))
    order, from_whom, drawn = np.arange(people), np.arange(people), []
    for _ in range(repeats):
        generator.shuffle(order)
        from_whom = from_whom[order]
        drawn.append(from_whom)
    return np.array(drawn)


def guesses_of_neighbours(
    known: np.ndarray,
    new: np.ndarray,
    drawn: np.ndarray,
    neighbours: int,
    guess: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return what nearest neighbours say of people before and after each feature is shuffled among them.

    Only those known people are looked at who can be among the nearest: the nearest of before bound the distance from
    above, and nobody comes closer than by the change that the feature's extremes allow.

    Parameters
    ----------
    known : array [t, features]
        The training people.
    new : array [n, features]
    drawn : array of int [repeats, n]
        Of `draw_shuffles`.
    neighbours : int
    guess : callable
        Takes rows of `known`, int [any, neighbours], and returns [any] numbers.

    Returns
    -------
    before : ndarray [n]
    after : ndarray [features, repeats, n]
    """
    columns = np.ascontiguousarray(known.T)
    lowest, highest = columns.min(axis=1), columns.max(axis=1)
    before, after = np.empty(len(new)), np.empty((len(columns), *drawn.shape))
    for person, apart, (feature, repeat), step, middle in _changes(known, new, drawn):
        order = np.argsort(apart)
        apart, nearest = apart[order], order[:neighbours]
        before[person] = guess(nearest[None])[0]
        theirs = columns[feature[:, None], nearest]
        bound = (apart[:neighbours] + step[:, None] * (middle[:, None] - 2 * theirs)).max(axis=1)
        fall = np.minimum(step * (middle - 2 * lowest[feature]), step * (middle - 2 * highest[feature]))
        reach = np.maximum(np.searchsorted(apart, bound - fall, side="right"), neighbours)
        said, by_reach, stop = np.empty(len(step)), np.argsort(reach), len(step)
        while stop:
            near = order[: reach[by_reach[stop - 1]]]
            batch = by_reach[max(0, stop - max(1, BLOCK // len(near))) : stop]
            changed = middle[batch, None] - 2 * columns[feature[batch, None], near]
            changed *= step[batch, None]
            changed += apart[: len(near)]
            said[batch] = guess(near[np.argpartition(changed, neighbours - 1, axis=1)[:, :neighbours]])
            stop -= len(batch)
        after[:, :, person] = before[person]
        after[feature, repeat, person] = said
    return before, after


def guesses_of_kernel(
    known: np.ndarray, weights: np.ndarray, intercept: float, gamma: float, new: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a machine with an RBF kernel says of people before and after each feature is shuffled among them.

    Parameters
    ----------
    known : array [t, features]
        Support vectors.
    weights : array [t]
        Theirs.
    intercept, gamma : float
    new, drawn : array
        As in `guesses_of_neighbours`.

    Returns
    -------
    before : ndarray [n]
    after : ndarray [features, repeats, n]
    """
    columns = np.ascontiguousarray(known.T)
    before, after = np.empty(len(new)), np.empty((len(columns), *drawn.shape))
    for person, apart, (feature, repeat), step, middle in _changes(known, new, drawn):
        before[person] = np.exp(-gamma * apart) @ weights + intercept
        said, at_once = np.empty(len(step)), max(1, BLOCK // len(known))
        for first in range(0, len(step), at_once):
            batch = slice(first, first + at_once)
            changed = middle[batch, None] - 2 * columns[feature[batch]]
            changed *= step[batch, None]
            changed += apart
            changed *= -gamma
            said[batch] = np.exp(changed, out=changed) @ weights + intercept
        after[:, :, person] = before[person]
        after[feature, repeat, person] = said
    return before, after


def _changes(
    known: np.ndarray, new: np.ndarray, drawn: np.ndarray
) -> Iterator[tuple[int, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]]:
    """Yield each new person with the squared distances [t], and of every shuffle that changes a value of theirs [c]
    the feature and the repeat, the step from the value and the sum with it.
    """
    for first in range(0, len(new), PEOPLE_AT_ONCE):
        for person, apart in enumerate(cdist(new[first : first + PEOPLE_AT_ONCE], known, "sqeuclidean"), first):
            feature, repeat = np.nonzero((new[drawn[:, person]] != new[person]).T)
            own, other = new[person, feature], new[drawn[repeat, person], feature]
            yield person, apart, (feature, repeat), other - own, other + own


def area_under_curve(guesses: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the AUC [...] of guesses [..., n] for telling those of the second class (bool [n]) from the others."""
    ranks, hits = rankdata(guesses, axis=-1), second.sum()
    return (ranks[..., second].sum(axis=-1) - hits * (hits + 1) / 2) / (hits * (len(second) - hits))
