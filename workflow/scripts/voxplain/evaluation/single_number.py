"""What one number about people, their head size or their age, predicts on its own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voxplain.baselines.predictions import class_predictions, no_predictions, value_predictions
from voxplain.models.answers import Answers

KNOWN = ["participant_id", "fold", "target"]


def predict_from(values: Sequence[float], people: pd.DataFrame, task: str, labels: Sequence[str]) -> list[pd.DataFrame]:
    """Predict the target from one number: logistic regression without penalty, or linear regression.

    Parameters
    ----------
    values : sequence [n]
        NaN where unknown: such people are neither trained on nor tested.
    people : DataFrame [n]
        ``participant_id, fold, target``; each fold is predicted by a model trained on the other folds.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    list of DataFrame
        Predictions in the columns of every other model, a table a fold; nobody in those folds for which the others
        lack a class (or anybody).
    """
    number = np.asarray(values, dtype=float)
    answers = Answers.encode(people["target"], task, labels).values
    folds, known = people["fold"].to_numpy(), np.isfinite(number)
    tables = []
    for fold in np.unique(folds):
        train, test = known & (folds != fold), known & (folds == fold)
        trainable = train.any() and (task == "regression" or len(np.unique(answers[train])) == len(labels))
        test &= trainable
        if not test.any():
            tables.append(people.loc[test, KNOWN].reset_index(drop=True).join(no_predictions(task, labels)))
            continue
        estimator = (
            LinearRegression() if task == "regression" else LogisticRegression(C=np.inf, tol=1e-8, max_iter=10000)
        )
        model = make_pipeline(StandardScaler(), estimator).fit(number[train, np.newaxis], answers[train])
        if task == "regression":
            guesses = value_predictions(model.predict(number[test, np.newaxis]))
        else:
            guesses = class_predictions(labels, probabilities=model.predict_proba(number[test, np.newaxis]))
        tables.append(people.loc[test, KNOWN].reset_index(drop=True).join(guesses))
    return tables
