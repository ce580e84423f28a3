"""Intraclass correlations voxel by voxel: what share of a map's variance is differences between people."""

from collections.abc import Sequence

import numpy as np

from voxplain.base.errors import refuse

# Share of the sum of squares that is rounding, and no variance.
ROUNDING = 1e-12


class Ratings:
    """Sums over people from which intraclass correlations follow; memory does not grow with the people.

    Every person is rated once by each of k raters (here: drawn by each of k networks), at V places independently.

    Attributes
    ----------
    people : int
        How many were added.
    """

    def __init__(self) -> None:
        self.people = 0

    def add(self, ratings: Sequence[np.ndarray]) -> None:
        """Add one person.

        Parameters
        ----------
        ratings : sequence of ndarray [V]
            One a rater, at least two, in the same order for everybody.

        Raises
        ------
        InputError
            For one rater, or other raters or places than before.
        """
        values = np.asarray(ratings, dtype=np.float64)
        if not self.people:
            if values.ndim != 2 or len(values) < 2:
                refuse(f"An intraclass correlation needs at least 2 raters at V places, got the shape {values.shape}.")
            # Sums of squares are taken around the first person: small variances beside a large mean stay right.
            self._first = values
            self._sum = np.zeros_like(values)
            self._squares, self._squares_of_people = np.zeros((2, values.shape[1]))
        if values.shape != self._first.shape:
            refuse(f"Ratings of the shape {values.shape}, those before of {self._first.shape}.")
        values = values - self._first
        self.people += 1
        self._sum += values
        self._squares += (values**2).sum(axis=0)
        self._squares_of_people += values.mean(axis=0) ** 2

    def correlations(self) -> dict[str, np.ndarray]:
        """Return the intraclass correlations of all people added so far.

        Returns
        -------
        dict of float64 ndarray [V]
            ``agreement``: ICC(2,1), raters are a sample of all raters and their levels count; ``consistency``:
            ICC(3,1), what a rater adds to everybody alike does not count. From the mean squares between people, between
            raters and of the residual of a two-way analysis of variance (Shrout & Fleiss 1979, doi
            10.1037/0033-2909.86.2.420, cases 2 and 3). NaN where nothing varies; both are 0 on average over independent
            ratings, and can be negative.

        Raises
        ------
        InputError
            For fewer than two people.
        """
        n = self.people
        if n < 2:
            refuse(f"An intraclass correlation needs at least 2 people, got {n}.")
        k = len(self._first)
        shifted = self._sum / n  # the raters' means, beside the first person's ratings
        raters = shifted + (self._first - self._first[0])
        within = self._squares - n * (shifted**2).sum(axis=0)  # every rater around the own mean
        between = k * (self._squares_of_people - n * shifted.mean(axis=0) ** 2)
        least = ROUNDING * self._squares
        people = np.where(between > least, between, 0) / (n - 1)
        residual = np.where(within - between > least, within - between, 0) / ((n - 1) * (k - 1))
        levels = n * ((raters - raters.mean(axis=0)) ** 2).sum(axis=0) / (k - 1)
        difference, consistent = people - residual, people + (k - 1) * residual
        return {
            "agreement": _ratio(difference, consistent + k * (levels - residual) / n),
            "consistency": _ratio(difference, consistent),
        }


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
