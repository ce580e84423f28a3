"""From result tables to the answers that the page begins with."""

import math
from dataclasses import dataclass

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.models.metrics import LOWER_IS_BETTER
from voxplain.reporting.reading import headline_metric
from voxplain.reporting.style import metric_title


@dataclass(frozen=True)
class Performance:
    """How well the networks do on people that they did not see.

    Attributes
    ----------
    metric : str
        ``accuracy`` or ``mae``.
    mean, sd, chance : float
        NaN when unknown; `sd` over folds.
    folds, people : int
        Number of folds, and of people tested in them.
    ci_low, ci_high : float
        95 % interval of the mean; NaN when unknown.
    head_size : float, optional
        The same metric of head size alone on the same folds; NaN when head size is not known, None when nobody asked.
    p_permutation : float
        Of the label-permutation test; NaN without one.
    """

    metric: str
    mean: float
    sd: float
    chance: float
    folds: int
    people: int
    ci_low: float = math.nan
    ci_high: float = math.nan
    head_size: float | None = None
    p_permutation: float = math.nan

    @property
    def title(self) -> str:
        """The metric's name within a sentence."""
        return metric_title(self.metric).lower()

    @property
    def weak(self) -> bool:
        """Whether the score, one SD for the worse, is no better than chance; an unknown SD counts as 0."""
        return self._within_reach_of(self.chance)

    @property
    def no_better_than_size(self) -> bool:
        """Whether head size alone is as good as the score, one SD for the worse."""
        return self.head_size is not None and self._within_reach_of(self.head_size)

    def _within_reach_of(self, level: float) -> bool:
        sd = self.sd if self.spread_known else 0.0
        if self.metric in LOWER_IS_BETTER:
            return self.mean + sd >= level
        return self.mean - sd <= level

    @property
    def chance_known(self) -> bool:
        """Whether there is a chance level to compare with."""
        return not math.isnan(self.chance)

    @property
    def spread_known(self) -> bool:
        """Whether there are folds enough for a standard deviation."""
        return not math.isnan(self.sd)

    @property
    def score(self) -> str:
        """The score as ``0.94 ± 0.03``."""
        return number(self.mean) + (f" ± {number(self.sd)}" if self.spread_known else "")

    @property
    def interval(self) -> str:
        """The 95 % interval as ``0.87 to 0.98``; empty when it is not known."""
        return interval(self.ci_low, self.ci_high)

    @property
    def size_known(self) -> bool:
        """Whether there is a head-size baseline to compare with."""
        return self.head_size is not None and not math.isnan(self.head_size)

    @property
    def headline(self) -> str:
        """The score with its metric, chance, and what head size alone reaches."""
        text = self.beside_chance
        if self.head_size is None:
            return text
        size = f"head size alone {number(self.head_size)}" if self.size_known else "head size not known"
        return text.removesuffix(")") + f"; {size})"

    @property
    def beside_chance(self) -> str:
        """The score with its metric and the chance level, as it stands beside each map."""
        chance = f"chance {number(self.chance)}" if self.chance_known else "chance unknown"
        return f"{self.title} {self.score} ({chance})"


def judge(accuracy: pd.DataFrame, summary: pd.DataFrame, confounds: pd.DataFrame | None = None) -> Performance:
    """Return the networks' headline performance: accuracy, or the mean absolute error of a regression.

    Parameters
    ----------
    accuracy : DataFrame
        ``model, fold, n_test`` ...; the rows of the model ``cnn`` count.
    summary : DataFrame
        ``model, metric, mean, sd, ci_low, ci_high, chance, p_permutation``.
    confounds : DataFrame, optional
        ``analysis, metric, mean``: the row ``tiv_only`` says what head size alone reaches.

    Raises
    ------
    InputError
        When the summary holds neither metric of the networks.
    """
    folds = accuracy[accuracy["model"] == "cnn"]
    rows = summary[summary["model"] == "cnn"].set_index("metric")
    metric = headline_metric(rows.index)
    if metric is None:
        refuse("The summary holds neither accuracy nor mae of the model cnn; it holds", rows.index)
    values = rows.loc[metric, ["mean", "sd", "chance"]].astype(float)
    extra = rows.loc[metric, ["ci_low", "ci_high", "p_permutation"]].astype(float)
    size = None
    if confounds is not None:
        alone = confounds[(confounds["analysis"] == "tiv_only") & (confounds["metric"] == metric)]
        size = float(alone["mean"].iloc[0]) if len(alone) else math.nan
    people = int(folds["n_test"].sum())
    return Performance(metric, *values, folds=len(folds), people=people, head_size=size, **extra)


def explained_in_words(explained: str) -> str:
    """Return what was explained, for a sentence: ``the predicted value``, ``M-F`` ... or ``nothing``."""
    if pd.isna(explained) or not explained:
        return "nothing"
    return "the predicted value" if explained == "regression" else str(explained)


def conservation(explained: pd.Series) -> str:
    """Return the median and the quartiles of a method's conservation over people; empty where it has none."""
    low, median, high = (explained[f"conservation_{name}"] for name in ("q25", "median", "q75"))
    if pd.isna(median):
        return ""
    return f"median {number(median)}, quartiles {number(low)} and {number(high)}"


def number(value: float, digits: int = 2) -> str:
    """Return a number for reading: two decimals, three significant digits when it is large, ``n/a`` for NaN."""
    if pd.isna(value):
        return "n/a"
    text = f"{value:z.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
    return text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval for reading: ``0.87 to 0.98``; empty when a limit is not known."""
    return "" if pd.isna(low) or pd.isna(high) else f"{number(low)} to {number(high)}"


def chance_of_error(p: float) -> str:
    """Return a p-value for reading: ``0.012``, or ``< 0.001``; ``n/a`` for NaN."""
    if pd.isna(p):
        return "n/a"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
