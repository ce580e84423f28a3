"""Models on morphometry as pipelines in which everything that is learned is learned from the training people."""

from collections.abc import Mapping

from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from voxplain.base.errors import refuse
from voxplain.base.seeds import seed_for
from voxplain.baselines.residual import Residualiser

MODELS = {
    "classification": ("xgboost", "knn", "logistic"),
    "regression": ("xgboost", "knn", "ridge", "svr"),
}
MODEL = "model"


def build(model: str, task: str, residualise: bool, seed: int) -> Pipeline:
    """Return an untrained pipeline: median imputation, residualisation if asked for, scaling to unit variance, model.

    Parameters
    ----------
    model : str
        One of `MODELS` of the task.
    task : {'classification', 'regression'}
        Classes are expected as numbers from 0, targets of a regression in their own unit; the SVR sees them
        standardised by the training people, so that its C and epsilon do not depend on the unit.
    residualise : bool
        The last column is the confounder (head size), without missing values; the model does not see it.
    seed : int
        Any size; every model runs in one thread and gives the same result for the same seed.

    Raises
    ------
    InputError
        For a model that does not exist or does not do the task.
    """
    if model not in MODELS[task]:
        refuse(f"baselines.models: {model!r} does not do {task}", advice=f"Choose from {', '.join(MODELS[task])}.")
    steps = [
        # A column that no training person has a value of stays, as zeros, so that features keep their places.
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        *([("residualise", Residualiser(confounders=1))] if residualise else []),
        ("scale", StandardScaler()),
        (MODEL, _estimator(model, task, seed_for(seed, model) % 2**32)),
    ]
    return Pipeline(steps)


def _estimator(model: str, task: str, state: int) -> BaseEstimator:
    classifies = task == "classification"
    if model == "xgboost":
        import xgboost  # slow to load, and needed by this model alone

        kind = xgboost.XGBClassifier if classifies else xgboost.XGBRegressor
        return kind(n_jobs=1, random_state=state)
    if model == "knn":
        return KNeighborsClassifier() if classifies else KNeighborsRegressor()
    if model == "logistic":
        return LogisticRegression(random_state=state)
    if model == "ridge":
        return Ridge(random_state=state)
    return TransformedTargetRegressor(regressor=SVR(), transformer=StandardScaler())


def grid_of(model: str, settings: Mapping[str, object]) -> tuple[dict[str, object], dict[str, list]]:
    """Split the settings of a model into fixed ones and those to search, as parameters of the pipeline.

    Parameters
    ----------
    model : str
    settings : mapping
        Each a value, or a list to choose from; a list of one is a value.

    Returns
    -------
    fixed, searched : dict
        By the pipeline's name of the parameter (see `parameter`).
    """
    fixed, searched = {}, {}
    for name, value in settings.items():
        values = list(value) if isinstance(value, list | tuple) else [value]
        if not values:
            refuse(f"baselines.models.{model}.{name}: the list of values is empty")
        if len(values) == 1:
            fixed[parameter(model, name)] = values[0]
        else:
            searched[parameter(model, name)] = values
    return fixed, searched


def parameter(model: str, name: str) -> str:
    """Return the pipeline's name of a model's setting."""
    return f"{MODEL}__regressor__{name}" if model == "svr" else f"{MODEL}__{name}"
