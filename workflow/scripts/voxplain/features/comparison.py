"""Synthesised inputs beside real people: percentiles, and what stays private where the target is restricted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.features.objectives import Objective

HIDDEN = ["cohort_min", "cohort_median", "cohort_max", "cohort_max_per_norm"]


def compare_with_cohort(
    objectives: Sequence[Objective], reached: Sequence[float], reached_per_norm: Sequence[float], cohort: pd.DataFrame
) -> pd.DataFrame:
    """Set what synthesised inputs reach against the people's values.

    Parameters
    ----------
    objectives : sequence of Objective
    reached, reached_per_norm : sequence of float
        Values, and responses per unit norm (NaN where unknown).
    cohort : DataFrame
        From `voxplain.features.cohort.cohort_values`.

    Returns
    -------
    DataFrame
        A row an objective: ``objective, layer, channel, label, reached, cohort_min, cohort_median, cohort_max,
        percentile, reached_per_norm, cohort_max_per_norm, percentile_per_norm, people``.

    Notes
    -----
    A percentile is the share of the people, in percent, who are less extreme, those with the same value counted half:
    who have less where an objective is raised, and more where it is lowered. 100 means that nobody in the cohort
    reaches as much; how much more is synthesised it does not say.

    What is reached grows with the amplitude of the input, which the penalty l2 fixes for synthesised inputs and nobody
    for people. The response per unit norm does away with the amplitude: the change of the value from the start, in the
    direction looked for, over the L2 norm of the change of what is seen. Where the value is linear in the input its
    largest possible value is the norm of the weights (Cauchy-Schwarz), and an input along the weights attains it; in
    deeper layers, which are not linear, it is a comparison and no bound.
    """
    rows = []
    for objective, value, per_norm in zip(objectives, reached, reached_per_norm, strict=True):
        people = cohort[cohort["objective"] == objective.name]
        values, rivals = people["value"].to_numpy(), people["per_norm"].dropna().to_numpy()
        rows.append(
            {
                "objective": objective.name,
                "layer": None if objective.layer is None else str(objective.layer),
                "channel": objective.channel if objective.layer is not None else pd.NA,
                "label": objective.label or None,
                "reached": float(value),
                "cohort_min": values.min(),
                "cohort_median": np.median(values),
                "cohort_max": values.max(),
                "percentile": _percentile(objective.sign * value, objective.sign * values),
                "reached_per_norm": float(per_norm),
                "cohort_max_per_norm": rivals.max() if len(rivals) else np.nan,
                "percentile_per_norm": _percentile(per_norm, rivals),
                "people": len(people),
            }
        )
    return pd.DataFrame(rows).astype({"channel": "Int64"})


def _percentile(value: float, people: np.ndarray) -> float:
    if np.isnan(value) or not len(people):
        return np.nan
    return 100 * float(np.mean((people < value) + 0.5 * (people == value)))


def without_answers(
    compared: pd.DataFrame, nearest: pd.DataFrame, cohort: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out what would tell a person's target: what the network answers for single people.

    Outputs are answers, and so are the channels of every layer without places, flat or of a single unit: the output of
    the last linear layer is the prediction.

    Parameters
    ----------
    compared : DataFrame
        From `compare_with_cohort`.
    nearest : DataFrame
        From `voxplain.features.nearest.nearest_people`.
    cohort : DataFrame
        From `voxplain.features.cohort.cohort_values`.

    Returns
    -------
    (DataFrame, DataFrame)
        `compared` without the values of the cohort, of which the percentiles stay, and `nearest` without the people.
    """
    answers = cohort.loc[cohort["unit_0"].isna(), "objective"].unique()
    compared = compared.copy()
    compared.loc[compared["objective"].isin(answers), HIDDEN] = np.nan
    return compared, nearest[~nearest["objective"].isin(answers)].reset_index(drop=True)
