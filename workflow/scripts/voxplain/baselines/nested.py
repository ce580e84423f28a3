"""One fold of a model on morphometry: settings searched within the training people, then trained on all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from voxplain.base.errors import InputError, refuse
from voxplain.base.seeds import seed_for
from voxplain.baselines.estimators import build, grid_of, parameter
from voxplain.baselines.predictions import class_predictions, value_predictions
from voxplain.cohort.folds import assign_folds
from voxplain.models.answers import Answers

SCORING = {"classification": "accuracy", "regression": "neg_mean_absolute_error"}


@dataclass(frozen=True)
class FoldFit:
    """What came of one fold.

    Attributes
    ----------
    predictions : DataFrame
        One row a tested person, in the order given; see `voxplain.baselines.predictions`.
    settings : DataFrame
        `setting`, `value` (text): ``n_train``, then every setting of the model, chosen where it was searched.
    estimator : Pipeline
        Trained on all training people.
    columns : list of str
        Names of the features; a residualised pipeline takes head size as one more column.
    """

    predictions: pd.DataFrame
    settings: pd.DataFrame
    estimator: Pipeline
    columns: list[str]


def fit_fold(
    features: pd.DataFrame,
    targets: pd.Series,
    train: Sequence[str],
    test: Sequence[str],
    model: str,
    task: str,
    labels: Sequence[str],
    settings: Mapping[str, object],
    inner_folds: int,
    seed: int,
    groups: pd.Series | None = None,
    tiv: pd.Series | None = None,
) -> FoldFit:
    """Train on some people and predict others.

    Imputation, residualisation and scaling are parts of the model and are learned anew from the training people of
    every split, the inner ones too. The order of people does not matter.

    Parameters
    ----------
    features : DataFrame [people, features]
        By participant id; NaN where a value is missing.
    targets : Series
        By participant id: labels, or numbers for a regression.
    train, test : sequence of str
        Ids.
    model : str
        See `voxplain.baselines.estimators.MODELS`.
    task : {'classification', 'regression'}
    labels : sequence of str
        Classes in their order.
    settings : mapping
        Of the model; lists are searched by inner cross-validation on the training people: the best mean accuracy, or
        mean absolute error, the first in the order of the grid among equals.
    inner_folds : int
        Fewer are taken where a class, or the families, are too few.
    seed : int
    groups : Series, optional
        By participant id: families, kept together in the inner folds; NaN where unknown.
    tiv : Series, optional
        By participant id: head size, regressed out of the features.

    Raises
    ------
    InputError
        For people who are both trained on and tested, a class that no training person belongs to, too few training
        people for a search or for the neighbours asked for, and people without head size when it is to be regressed
        out.
    """
    both = sorted(set(train) & set(test))
    if both:
        refuse(f"{model}: {len(both)} people would be both trained on and tested", both)
    train = sorted(train)
    answers = Answers.encode(targets.loc[train], task, labels).values
    _check_training(answers, task, labels, model)
    fixed, searched = grid_of(model, settings)
    pipeline = build(model, task, tiv is not None, seed).set_params(**fixed)
    known = _rows(features, tiv, train)
    splits = inner_splits(train, targets, task, inner_folds, seed, groups) if searched else []
    if model == "knn":
        # Without a search the neighbours come from all training people.
        smallest = min([len(inner) for inner, _ in splits], default=len(train))
        searched = _possible_neighbours(fixed, searched, smallest)
    if searched:
        search = GridSearchCV(pipeline, searched, scoring=SCORING[task], cv=splits, refit=True, error_score="raise")
        pipeline = search.fit(known, answers).best_estimator_
    else:
        pipeline = pipeline.fit(known, answers)
    used = pipeline.get_params()
    rows = [("n_train", len(train)), *((name, used[parameter(model, name)]) for name in settings)]
    chosen = pd.DataFrame([(name, str(value)) for name, value in rows], columns=["setting", "value"])
    guesses = _predict(pipeline, _rows(features, tiv, list(test)), task, labels)
    return FoldFit(guesses, chosen, pipeline, list(features.columns))


def inner_splits(
    train: Sequence[str],
    targets: pd.Series,
    task: str,
    inner_folds: int,
    seed: int,
    groups: pd.Series | None = None,
    advice: str = "Give one value instead of a list for every setting in baselines.models, or get more people.",
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide training people as `voxplain.cohort.folds.assign_folds` divides a cohort.

    Parameters
    ----------
    train : sequence of str
        Sorted ids.
    targets, groups : Series
        By participant id.
    task : {'classification', 'regression'}
    inner_folds : int
        At most so many; the largest number that gives every class members on both sides.
    seed : int
    advice : str
        What to do when even two are too many.

    Returns
    -------
    list of (ndarray, ndarray)
        Places in `train` to fit on, and to score.

    Raises
    ------
    InputError
        When even two inner folds are too many.
    """
    train = list(train)
    people = pd.DataFrame({"participant_id": train, "target": targets.loc[train].to_numpy()})
    people["group"] = np.nan if groups is None else groups.reindex(train).to_numpy()
    state = seed_for(seed, "inner folds")
    for count in range(min(inner_folds, len(train)), 1, -1):
        try:
            assigned = assign_folds(people, train, count, task, state, grouped=groups is not None)
        except InputError:  # too many folds for the smallest class, or for the families
            continue
        fold = assigned.set_index("participant_id")["fold"].loc[train].to_numpy()
        return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(count)]
    shares = [] if task == "regression" else [f"{k}: {n} people" for k, n in people["target"].value_counts().items()]
    refuse(
        f"baselines.inner_folds: {len(train)} training people cannot be divided into two inner folds that both have "
        "every class, which the model needs",
        shares,
        advice,
    )


def _rows(features: pd.DataFrame, tiv: pd.Series | None, people: list[str]) -> np.ndarray:
    """Return the features of some people, float64 [n, p]; head size, where it is regressed out, is one more column."""
    values = features.loc[people].to_numpy(dtype=float)
    if tiv is None:
        return values
    sizes = tiv.reindex(people).to_numpy(dtype=float)
    unknown = [person for person, size in zip(people, sizes, strict=True) if not np.isfinite(size)]
    if unknown:  # the imputation would fill the gap without a word
        refuse(
            f"Head size is to be regressed out, but is not known for {len(unknown)} people",
            unknown,
            "Leave these people out of the residualised model.",
        )
    return np.column_stack([values, sizes])


def _check_training(answers: np.ndarray, task: str, labels: Sequence[str], model: str) -> None:
    advice = (
        "People without features are left out, and people without head size where it is regressed out: set "
        "baselines.features.on_missing: impute, complete the table of head sizes, or ask for fewer folds."
    )
    if not len(answers):
        refuse(f"{model}: there is nobody to train on", advice=advice)
    absent = [str(label) for code, label in enumerate(labels) if not np.any(answers == code)]
    if task == "classification" and absent:
        refuse(f"{model}: none of the {len(answers)} training people belongs to these classes", absent, advice)


def _possible_neighbours(fixed: dict, searched: dict[str, list], people: int) -> dict[str, list]:
    """Take out numbers of neighbours that the smallest training set does not have."""
    name = parameter("knn", "n_neighbors")
    least = min(searched.get(name, [fixed.get(name, 1)]))
    if least > people:
        refuse(
            f"baselines.models.knn.n_neighbors: {least} neighbours were asked for, but there are only {people} "
            "training people",
            advice="Ask for fewer neighbours.",
        )
    if name not in searched:
        return searched
    return searched | {name: [count for count in searched[name] if count <= people]}


def _predict(pipeline: Pipeline, new: np.ndarray, task: str, labels: Sequence[str]) -> pd.DataFrame:
    if task == "regression":
        return value_predictions(pipeline.predict(new) if len(new) else np.empty(0))
    return class_predictions(
        labels, probabilities=pipeline.predict_proba(new) if len(new) else np.empty((0, len(labels)))
    )
