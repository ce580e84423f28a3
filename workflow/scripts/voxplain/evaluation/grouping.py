"""What tearing families apart flatters: the same models on folds that keep relatives together and that do not."""

from collections.abc import Sequence

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.evaluation.comparison import Predictions, split_folds
from voxplain.models.metrics import METRICS, fold_metrics

COLUMNS = ["model", "metric", "grouped", "grouped_sd", "ungrouped", "ungrouped_sd", "difference"]


def compare_grouping(
    grouped: Predictions, ungrouped: Predictions, task: str, labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare predictions on folds that keep groups together with those on folds that do not.

    The folds differ, so nothing is paired and there is no test: the standard deviations over folds say how large a
    difference chance makes.

    Parameters
    ----------
    grouped, ungrouped : mapping of str to sequence of DataFrame
        The same models in both, tested on the same people; tables may be cut in any way (a table a fold, or one of
        all), their column ``fold`` counts.
    task : {'classification', 'regression'}
    labels : sequence of str

    Returns
    -------
    DataFrame
        ``model, metric, grouped, grouped_sd, ungrouped, ungrouped_sd, difference``: means and standard deviations
        (ddof 1) over the folds where the metric is defined; `difference` is ungrouped − grouped.

    Raises
    ------
    InputError
        When models or people differ between the two.
    """
    if set(grouped) != set(ungrouped):
        refuse("The same models are needed with and without grouping.", sorted(set(grouped) ^ set(ungrouped)))
    rows, problems = [], []
    for model in grouped:
        sides = [split_folds(tables[model]) for tables in (grouped, ungrouped)]
        one, other = (set().union(*(fold["participant_id"] for fold in folds)) for folds in sides)
        problems += [f"{model}: {person}" for person in sorted(one ^ other)]
        metrics = [pd.DataFrame([fold_metrics(fold, task, labels) for fold in folds]) for folds in sides]
        for name in METRICS[task]:
            means, sds = ([getattr(side[name], what)() for side in metrics] for what in ("mean", "std"))
            rows.append([model, name, means[0], sds[0], means[1], sds[1], means[1] - means[0]])
    if problems:
        refuse("People that only one of the two sets of folds has", problems, "Make both from the same cohort.")
    return pd.DataFrame(rows, columns=COLUMNS)
