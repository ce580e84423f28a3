"""What a model on morphometry rests on: its own measure, and what shuffling a feature costs on held-out people."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor
from sklearn.inspection import permutation_importance
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from voxplain.base.seeds import seed_for
from voxplain.baselines.estimators import MODEL
from voxplain.baselines.nested import FoldFit
from voxplain.baselines.sampling import sampled
from voxplain.baselines.shuffling import area_under_curve, draw_shuffles, guesses_of_kernel, guesses_of_neighbours
from voxplain.models.answers import Answers

MOST_PEOPLE = 1000  # among whom features are shuffled


def importances(
    fit: FoldFit,
    features: pd.DataFrame,
    targets: Sequence[object],
    task: str,
    labels: Sequence[str],
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    """Measure the importance of each feature for one fold's model.

    Parameters
    ----------
    fit : FoldFit
        Of a model that is not residualised.
    features : DataFrame [people, features]
        Of the people held out.
    targets : sequence
        Of the same people.
    task : {'classification', 'regression'}
    labels : sequence of str
    repeats : int
        Shuffles of each feature; 0 for no permutation importance.
    seed : int

    Returns
    -------
    DataFrame
        `feature`, `kind`, `importance`. Kinds: ``coefficient`` (logistic and ridge regression: per SD of the feature;
        with more than two classes the mean absolute one over classes), ``gain`` (XGBoost: mean gain of its splits,
        the sum over features being 1) and ``permutation`` (every model: the mean fall of the AUC for two classes, none
        when one of them has nobody here; of the accuracy for more; for a regression the mean rise of the absolute
        error; of more than 1,000 people a stratified sample of so many is taken).
        Features that say the same stand in for each other, and permutation importance then finds none of them.

    Source: Breiman 2001, Machine Learning 45, "Random forests" (permutation).
    """
    if "residualise" in fit.estimator.named_steps:
        raise ValueError("importances are those of models on the features themselves, not on residuals")
    kinds = _own_importance(fit)
    drawn = sampled(pd.Series(list(targets), index=features.index), MOST_PEOPLE, task, seed)
    features, targets = features[drawn], [target for target, taken in zip(targets, drawn, strict=True) if taken]
    lacks_a_class = task == "classification" and len(labels) == 2 and len({str(target) for target in targets}) < 2
    if len(features) and repeats and not lacks_a_class:
        kinds["permutation"] = _permutation(fit, features, targets, task, labels, repeats, seed)
    parts = [
        pd.DataFrame({"feature": fit.columns, "kind": kind, "importance": values}) for kind, values in kinds.items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["feature", "kind", "importance"])


def _own_importance(fit: FoldFit) -> dict[str, np.ndarray]:
    model = fit.estimator[MODEL]
    if hasattr(model, "get_booster"):
        gains = model.get_booster().get_score(importance_type="gain")
        values = np.array([gains.get(f"f{place}", 0.0) for place in range(len(fit.columns))])
        return {"gain": values / values.sum() if values.sum() > 0 else values}
    if not hasattr(model, "coef_"):
        return {}
    coefficients = np.atleast_2d(model.coef_)
    return {"coefficient": coefficients[0] if len(coefficients) == 1 else np.abs(coefficients).mean(axis=0)}


def _permutation(
    fit: FoldFit,
    features: pd.DataFrame,
    targets: Sequence[object],
    task: str,
    labels: Sequence[str],
    repeats: int,
    seed: int,
) -> np.ndarray:
    answers = Answers.encode(targets, task, labels).values
    of_classes = "roc_auc" if len(labels) == 2 else "accuracy"
    scoring = "neg_mean_absolute_error" if task == "regression" else of_classes
    # Imputing and scaling treat every column by itself: to shuffle after them is the same, and much faster.
    prepared = fit.estimator[:-1].transform(features[fit.columns].to_numpy(dtype=float))
    state = seed_for(seed, "permutation importance") % 2**32
    model = fit.estimator[MODEL]
    if isinstance(model, KNeighborsClassifier | KNeighborsRegressor | TransformedTargetRegressor):
        before, after = _guesses_on_distances(model, prepared, draw_shuffles(len(prepared), repeats, state))
        whole = _score(before, answers, scoring)
        return np.array([(whole - _score(shuffled, answers, scoring)).mean() for shuffled in after])
    result = permutation_importance(model, prepared, answers, scoring=scoring, n_repeats=repeats, random_state=state)
    return result.importances_mean


def _guesses_on_distances(
    model: KNeighborsClassifier | KNeighborsRegressor | TransformedTargetRegressor, new: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the model says before [n] and after [features, repeats, n]; of two classes the second one's share."""
    if isinstance(model, TransformedTargetRegressor):
        machine = model.regressor_
        arguments = machine.dual_coef_[0], machine.intercept_[0], machine._gamma
        scaled = guesses_of_kernel(machine.support_vectors_, *arguments, new, drawn)
        return tuple(
            model.transformer_.inverse_transform(values.reshape(-1, 1)).reshape(values.shape) for values in scaled
        )
    known = model._y

    def guess(rows: np.ndarray) -> np.ndarray:
        if isinstance(model, KNeighborsRegressor) or len(model.classes_) == 2:
            return known[rows].mean(axis=1)
        return np.stack([(known[rows] == code).sum(axis=1) for code in range(len(model.classes_))]).argmax(axis=0)

    return guesses_of_neighbours(model._fit_X, new, drawn, model.n_neighbors, guess)


def _score(guesses: np.ndarray, answers: np.ndarray, scoring: str) -> np.ndarray:
    """Return what scikit-learn's scorer of that name gives, for guesses [..., n] about n people."""
    if scoring == "roc_auc":
        return area_under_curve(guesses, answers == 1)
    if scoring == "accuracy":
        return (guesses == answers).mean(axis=-1)
    return -np.abs(guesses - answers).mean(axis=-1)


def summarise_importances(frames: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Summarise importances over folds.

    Parameters
    ----------
    frames : mapping
        Model → the tables of its folds; see `importances`.

    Returns
    -------
    DataFrame
        `model`, `kind`, `feature`, `mean`, `sd` (over folds, ddof 1; NaN for one fold), `folds` (number of them that
        have a value) and `rank` (1 is the most important; coefficients are ranked by the absolute mean, equal features
        in the order of the table); sorted by rank within model and kind, models and kinds in the order given.
    """
    columns = ["model", "kind", "feature", "mean", "sd", "folds", "rank"]
    parts = []
    for model, tables in frames.items():
        table = pd.concat(tables, ignore_index=True)
        for kind, values in table.groupby("kind", sort=False):
            summary = values.groupby("feature", sort=False)["importance"].agg(mean="mean", sd="std", folds="count")
            size = summary["mean"].abs() if kind == "coefficient" else summary["mean"]
            summary = summary.iloc[np.argsort(-size.to_numpy(), kind="stable")].reset_index()
            parts.append(summary.assign(model=model, kind=kind, rank=np.arange(1, len(summary) + 1)))
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
