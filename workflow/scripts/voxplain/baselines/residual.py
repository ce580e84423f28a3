"""Features without what a confounder, such as head size, explains of them; learned from the training people alone."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from voxplain.base.errors import refuse

# A column whose residuals vary less than this, relative to the column, holds nothing but rounding errors beside the
# confounder; a scaler behind it would blow them up to unit variance.
EXPLAINED = 1e-6


class Residualiser(TransformerMixin, BaseEstimator):
    """Subtract least-squares fits of the confounders, which are the last columns, from the other columns.

    ``fit`` learns slopes (with an intercept) from the rows that it gets; ``transform`` returns
    ``x - slope * (confounder - training mean)`` for any rows, without the confounders. The means of the training rows
    stay. A column that is a linear function of the confounders in training becomes constant, namely that mean; one
    that is constant in training has slope 0.

    Source: Snoek, Miletić & Scholte 2019, NeuroImage 184, "How to control for confounds in decoding analyses":
    confound regression within the folds ("cross-validated confound regression").

    Parameters
    ----------
    confounders : int
        Number of columns, counted from the last.

    Attributes
    ----------
    slopes_ : ndarray [confounders, features]
        Change of a feature per unit of a confounder.
    confounder_means_ : ndarray [confounders]
    means_ : ndarray [features]
    explained_ : ndarray of bool [features]
        Columns that are a linear function of the confounders.
    """

    def __init__(self, confounders: int = 1):
        self.confounders = confounders

    def fit(self, X, y=None) -> "Residualiser":
        """Learn the slopes from training rows [n, features + confounders].

        Raises
        ------
        InputError
            Naming rows whose confounder is missing, or columns with missing values.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, ensure_min_features=self.confounders + 1)
        features, confounders = self._parts(X)
        self.means_, self.confounder_means_ = features.mean(axis=0), confounders.mean(axis=0)
        centred, nuisance = features - self.means_, confounders - self.confounder_means_
        varies = _varies(nuisance, self.confounder_means_)
        self.slopes_ = np.zeros((self.confounders, features.shape[1]))
        self.slopes_[varies] = np.linalg.lstsq(nuisance[:, varies], centred)[0]
        changing = _varies(centred, self.means_)
        self.slopes_[:, ~changing] = 0
        left = (centred - nuisance @ self.slopes_).std(axis=0)
        self.explained_ = changing & (left < EXPLAINED * centred.std(axis=0))
        return self

    def transform(self, X) -> np.ndarray:
        """Return the residuals float64 [n, features] of any rows, around the training means.

        Raises
        ------
        InputError
            As `fit`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)
        features, confounders = self._parts(X)
        left = features - (confounders - self.confounder_means_) @ self.slopes_
        left[:, self.explained_] = self.means_[self.explained_]
        return left

    def _parts(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, confounders = X[:, : -self.confounders], X[:, -self.confounders :]
        rows = np.flatnonzero(~np.isfinite(confounders).all(axis=1))
        if len(rows):
            refuse(
                f"Residualising needs a finite confounder for everybody; it is missing in {len(rows)} rows",
                (f"row {row}" for row in rows),
                "Leave these people out of the residualised model.",
            )
        columns = np.flatnonzero(~np.isfinite(features).all(axis=0))
        if len(columns):
            refuse(
                f"Residualising needs finite features; {len(columns)} columns have missing values",
                (f"column {column}" for column in columns),
                "Impute before residualising.",
            )
        return features, confounders


def _varies(centred: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Tell which columns are more than the rounding errors of a constant."""
    return np.abs(centred).max(axis=0) > 1e-12 * np.abs(means)
