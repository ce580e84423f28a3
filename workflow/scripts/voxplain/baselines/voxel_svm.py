"""A support vector machine with an RBF kernel on all voxels, from the images' dot products."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, SVR

from voxplain.base.errors import refuse
from voxplain.baselines.kernel import ROWS_AT_ONCE, DotProducts, gamma_scale, rbf_kernel, reading, residualise
from voxplain.baselines.nested import inner_splits
from voxplain.baselines.predictions import class_predictions, value_predictions
from voxplain.models.answers import Answers

SPLIT_ADVICE = (
    "The SVM's probabilities are fitted to held-out decision values, even when no setting is searched: ask for fewer "
    "folds, get more people, raise baselines.models.svm.people, or take svm out of baselines.models."
)
DEFAULTS = {"C": 1.0, "gamma": "scale", "epsilon": 0.1}


def fit_voxel_svm(
    products: np.ndarray,
    sums: np.ndarray,
    voxels: int,
    train: Sequence[int],
    test: Sequence[int],
    targets: Sequence[object],
    task: str,
    labels: Sequence[str],
    settings: Mapping[str, object],
    seed: int,
    groups: Sequence[object] | None = None,
    confounder: Sequence[float] | None = None,
    inner_folds: int = 5,
    squares: np.ndarray | None = None,
    sample: Sequence[int] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train on some people and predict others; nothing is learned from the others.

    With the default settings it is ``sklearn.svm.SVC()`` on the flattened images (Kan et al. 2020), or ``SVR()`` on
    the target standardised by the training people.

    Parameters
    ----------
    products, sums : array [n, n], [n]
        Of `voxplain.baselines.kernel.dot_products`; or with a sample, [n, m], of its `dot_products_with`. Products may
        be memory-mapped: what is needed of them is copied.
    voxels : int
        Per image.
    train, test : sequence of int
        Rows of the training people, who belong to the sample where there is one, and of those to be predicted.
    targets : sequence [n]
        Those of the test people are not looked at.
    task : {'classification', 'regression'}
    labels : sequence of str
        Classes in the config's order.
    settings : mapping
        ``C``, ``gamma`` (``scale``, or a number in 1 / squared intensity) and, for a regression, ``epsilon``; C and
        epsilon of a regression are in standard deviations of the target. Of lists the best combination is searched by
        cross-validation among the training people (accuracy, or mean absolute error; the first of equals).
    seed : int
        Of the inner cross-validation.
    groups : sequence [n], optional
        Families, which the inner cross-validation keeps together; missing where they are not known.
    confounder : sequence [n], optional
        Regressed out of every voxel, with slopes learned from the training people of whatever split is fitted; needed
        for the training and test people only.
    inner_folds : int
    squares : array [n], optional
        Dot products of the images with themselves; needed with a sample.
    sample : sequence of int [m], optional
        Rows whose products with everybody are the columns of `products`; by default everybody's are.

    Returns
    -------
    predictions : DataFrame
        Columns of `voxplain.baselines.predictions`, in the order of `test`. The predicted class is the decision
        value's (as ``SVC(break_ties=True)`` for more than two classes), the probabilities are Platt's.
    settings : DataFrame
        ``setting, value``: ``n_train``, then the settings used, and ``gamma_used`` as a number.

    Raises
    ------
    InputError
        For classes without training people, people without confounder, and too few people for the inner
        cross-validation where it is needed.
    """
    train, test, targets = np.asarray(train, dtype=int), np.asarray(test, dtype=int), list(targets)
    if np.intersect1d(train, test).size:
        raise ValueError(f"rows {np.intersect1d(train, test)} would be both trained on and tested")
    known = Answers.encode([targets[row] for row in train], task, labels)
    if known.classification:
        _check_classes(known.values, labels)
    used = np.concatenate([train, test])
    nuisance = None if confounder is None else np.asarray(confounder, dtype=float)[used]
    images = _Images(_products_of(products, squares, sums, used, train, sample), voxels, nuisance)
    grid = _grid(settings, task)
    splits = []
    if known.classification or len(grid) > 1:
        # Names that sort as the rows do: models that get the same people, seed and number of folds share the folds.
        names = [f"{row:09d}" for row in train]
        families = None if groups is None else pd.Series(list(groups), dtype=object).take(train).set_axis(names)
        answers = pd.Series([targets[row] for row in train] if known.classification else known.values, names)
        splits = inner_splits(names, answers, task, inner_folds, seed, families, SPLIT_ADVICE)
    chosen = grid[0] if len(grid) == 1 else _search(images, known, splits, grid)
    inside, outside = np.arange(len(train)), np.arange(len(train), len(used))
    decisions, gamma = _decide(images, inside, outside, known, chosen)
    rows = {"n_train": len(train), **chosen, "gamma_used": gamma}
    report = pd.DataFrame({"setting": list(rows), "value": [str(value) for value in rows.values()]})
    if not known.classification:
        return value_predictions(decisions), report
    held_out = np.empty((len(train), *decisions.shape[1:]))
    for fitted, left_out in splits:
        held_out[left_out], _ = _decide(images, fitted, left_out, known, chosen)
    return class_predictions(labels, decisions, platt(held_out, known.values, decisions)), report


@dataclass(frozen=True)
class _Images:
    """What is known of the images: training people first, then those to be predicted."""

    products: DotProducts
    voxels: int
    confounder: np.ndarray | None


def _products_of(
    products: np.ndarray,
    squares: np.ndarray | None,
    sums: np.ndarray,
    used: np.ndarray,
    train: np.ndarray,
    sample: Sequence[int] | None,
) -> DotProducts:
    """Copy what a fold needs: products of everybody who is used with the training people, who come first."""
    if sample is None:
        between = _part(products, used, used)
        return DotProducts(between, np.diag(between), sums[used])
    column = np.full(len(products), -1)
    column[np.asarray(sample)] = np.arange(len(sample))
    strangers = train[column[train] < 0]
    if strangers.size:
        raise ValueError(f"rows {strangers} would be trained on, but are not in the sample")
    return DotProducts(_part(products, used, column[train]), np.asarray(squares)[used], sums[used])


def _part(products: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    part = np.empty((len(rows), len(columns)))
    with reading(products) as read:
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            part[some] = read(rows[some], 0, products.shape[1])[:, columns]
    return part


def _decide(
    images: _Images, train: np.ndarray, test: np.ndarray, known: Answers, settings: Mapping[str, object]
) -> tuple[np.ndarray, float]:
    """Fit on the rows `train`; return decision values (or predicted targets) of the rows `test`, and gamma."""
    products = images.products
    if images.confounder is not None:
        products = residualise(products, train, images.confounder)
    gamma = settings["gamma"]
    if gamma == "scale":
        gamma = gamma_scale(products, images.voxels, train)
    within = rbf_kernel(products, train, train, gamma)
    values = known.values[train]
    if known.classification:
        machine = SVC(C=settings["C"], kernel="precomputed").fit(within, values)
        return _of_each(machine.decision_function, products, test, train, gamma), gamma
    mean, sd = values.mean(), values.std() or 1.0
    machine = SVR(C=settings["C"], epsilon=settings["epsilon"], kernel="precomputed")
    machine.fit(within, (values - mean) / sd)
    return _of_each(machine.predict, products, test, train, gamma) * sd + mean, gamma


def _of_each(
    say: Callable[[np.ndarray], np.ndarray], products: DotProducts, test: np.ndarray, train: np.ndarray, gamma: float
) -> np.ndarray:
    """Return what a machine says of each test person; some at a time, so that their kernel takes little memory."""
    parts = [test[first : first + ROWS_AT_ONCE] for first in range(0, len(test), ROWS_AT_ONCE)]
    return np.concatenate([say(rbf_kernel(products, rows, train, gamma)) for rows in parts])


def _search(
    images: _Images, known: Answers, splits: Sequence[tuple[np.ndarray, np.ndarray]], grid: Sequence[dict]
) -> dict[str, object]:
    """Return the settings with the best mean score over the inner folds; the first of equals."""
    scores = np.empty((len(grid), len(splits)))
    for column, (fitted, left_out) in enumerate(splits):
        truth = known.values[left_out]
        for row, settings in enumerate(grid):
            decisions, _ = _decide(images, fitted, left_out, known, settings)
            if not known.classification:
                scores[row, column] = -np.abs(decisions - truth).mean()
            else:
                winners = decisions.argmax(axis=1) if decisions.ndim == 2 else decisions > 0
                scores[row, column] = (winners == truth).mean()
    return grid[int(scores.mean(axis=1).argmax())]


def _grid(settings: Mapping[str, object], task: str) -> list[dict[str, object]]:
    """Return every combination of the listed values, in the order of scikit-learn's ``ParameterGrid``."""
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        refuse("The SVM on voxels does not have these settings", unknown, f"It has: {', '.join(DEFAULTS)}.")
    names = sorted(name for name in DEFAULTS if task == "regression" or name != "epsilon")
    given = {**DEFAULTS, **settings}
    lists = [given[name] if isinstance(given[name], list | tuple) else [given[name]] for name in names]
    lists = [[value if value == "scale" else float(value) for value in values] for values in lists]
    return [dict(zip(names, values, strict=True)) for values in product(*lists)]


def _check_classes(classes: np.ndarray, labels: Sequence[str]) -> None:
    absent = [label for number, label in enumerate(labels) if not np.any(classes == number)]
    if absent:
        refuse(
            f"Nobody of these classes is among the {len(classes)} training people",
            absent,
            "Ask for other folds, or raise baselines.models.svm.people; a residualised model leaves out people whose "
            "head size is not known.",
        )


def platt(held_out: np.ndarray, truth: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Turn decision values into probabilities, by logistic regression of the truth on held-out decision values.

    With more than two classes each is held against the rest, and the probabilities are divided by their sum.

    Source: Platt 1999, "Probabilistic outputs for support vector machines", with the targets of his section 2.2 that
    keep the slope finite when the classes are apart; the same as scikit-learn's ``CalibratedClassifierCV`` with
    ``method="sigmoid", ensemble=False``.

    Parameters
    ----------
    held_out : array [n] or [n, classes]
        Decision values of training people by machines that did not see them.
    truth : array of int [n]
    decisions : array [m] or [m, classes]

    Returns
    -------
    ndarray [m, classes]
    """
    if held_out.ndim == 1:
        positive = _sigmoid(held_out, truth == 1, decisions)
        return np.column_stack([1 - positive, positive])
    columns = range(held_out.shape[1])
    each = np.column_stack([_sigmoid(held_out[:, c], truth == c, decisions[:, c]) for c in columns])
    return each / each.sum(axis=1, keepdims=True)


def _sigmoid(held_out: np.ndarray, positive: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Return the probability [m] of the positive class; regression without penalty on Platt's smoothed targets."""
    positives, negatives = positive.sum(), (~positive).sum()
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    mean, sd = held_out.mean(), held_out.std() or 1.0
    column = ((held_out - mean) / sd)[:, None]
    # A smoothed target is a person who counts with that weight as positive and with the rest as negative.
    regression = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000).fit(
        np.vstack([column, column]),
        np.repeat([1, 0], len(column)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    return expit(regression.decision_function(((decisions - mean) / sd)[:, None]))
