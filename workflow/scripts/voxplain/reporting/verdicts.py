"""From result tables to the answers that the page begins with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.reporting.curves import METRIC_TITLES

LOWER_IS_BETTER = frozenset({"mae"})


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
    """

    metric: str
    mean: float
    sd: float
    chance: float
    folds: int
    people: int

    @property
    def title(self) -> str:
        """The metric's name within a sentence."""
        return METRIC_TITLES[self.metric].lower()

    @property
    def weak(self) -> bool:
        """Whether the score, one SD for the worse, is no better than chance; an unknown SD counts as 0."""
        sd = 0.0 if math.isnan(self.sd) else self.sd
        if self.metric in LOWER_IS_BETTER:
            return self.mean + sd >= self.chance
        return self.mean - sd <= self.chance

    @property
    def chance_known(self) -> bool:
        """Whether there is a chance level to compare with."""
        return not math.isnan(self.chance)

    @property
    def score(self) -> str:
        """The score as ``0.94 ± 0.03``."""
        return number(self.mean) + ("" if math.isnan(self.sd) else f" ± {number(self.sd)}")

    @property
    def beside_chance(self) -> str:
        """The score with its metric and the chance level, as it stands beside each map."""
        chance = f"chance {number(self.chance)}" if self.chance_known else "chance unknown"
        return f"{self.title} {self.score} ({chance})"


@dataclass(frozen=True)
class Found:
    """How many planted regions one method ranks among its top regions; no best rank when its map is 0."""

    method: str
    found: int
    planted: int
    best_rank: int | None
    regions: int


def judge(accuracy: pd.DataFrame, summary: pd.DataFrame) -> Performance:
    """Return the headline performance: accuracy, or the mean absolute error of a regression.

    Parameters
    ----------
    accuracy : DataFrame
        ``fold, n_test`` ...
    summary : DataFrame
        ``metric, mean, sd, chance``.

    Raises
    ------
    InputError
        When the summary holds neither metric.
    """
    rows = summary.set_index("metric")
    metric = next((name for name in ("accuracy", "mae") if name in rows.index), None)
    if metric is None:
        refuse("The summary of the accuracy holds neither accuracy nor mae; it holds", rows.index)
    values = rows.loc[metric, ["mean", "sd", "chance"]].astype(float)
    return Performance(metric, *values, folds=len(accuracy), people=int(accuracy["n_test"].sum()))


def find_planted(planted: pd.DataFrame, methods: Sequence[str], group: str = "joint") -> list[Found]:
    """Count, per method, the planted regions among its top ones; the methods that find most come first."""
    rows = planted[planted["group"] == group]
    results = []
    for method in methods:
        own = rows[rows["method"] == method]
        if not own.empty:
            hits = own["in_top"].astype(str).str.lower().isin({"true", "1", "1.0", "yes"}).sum()
            best = None if own["rank"].isna().all() else int(own["rank"].min())
            results.append(Found(method, int(hits), len(own), best, int(own["regions"].iloc[0])))
    return sorted(results, key=lambda found: (-found.found, found.best_rank or math.inf))


def count_explained(parts: Mapping[str, Sequence[pd.DataFrame]]) -> dict[str, tuple[int, str]]:
    """Return, per method, how many people were explained and what was explained (``M-F``, ``regression`` ...)."""
    results = {}
    for method, tables in parts.items():
        people = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["explained"])
        kinds = sorted(people["explained"].dropna().astype(str).unique())
        results[method] = (len(people), ", ".join(kinds) or "nothing")
    return results


def number(value: float, digits: int = 2) -> str:
    """Return a number for reading: two decimals, three significant digits when it is large, ``n/a`` for NaN."""
    if pd.isna(value):
        return "n/a"
    text = f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"
    return text.replace("-", "−")
