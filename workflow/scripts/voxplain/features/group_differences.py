"""In which features of a layer two classes differ, and by how much."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm, ttest_ind

from voxplain.base.errors import refuse
from voxplain.models.answers import Answers

STATISTICS = ("mean", "entropy")
LEVEL = 0.05
# An SD within the classes below this share of the largest value is rounding.
ROUNDING = 1e-9
TESTS = ["t", "df", "p", "q", "hedges_g", "ci_low", "ci_high"]


def compare_groups(
    features: pd.DataFrame, labels: Sequence[str], tiv: Mapping[str, float] | pd.Series | None = None
) -> pd.DataFrame:
    """Compare two classes in every feature of one network's layer.

    Parameters
    ----------
    features : DataFrame
        ``participant_id, target, feature, mean, entropy``, a row a person and feature; people whom one network has
        not seen. Features of two networks are never the same thing: one call a network.
    labels : sequence of 2 str
        Classes in the config's order; differences are those of ``labels[1]`` minus ``labels[0]``.
    tiv : mapping or Series, optional
        Head size (mm³) by participant_id; missing or NaN where unknown.

    Returns
    -------
    DataFrame
        A row a feature, statistic (``mean``, ``entropy``) and adjustment: ``feature, statistic, adjusted``;
        ``mean_{label}``, ``sd_{label}`` (ddof 1) and ``n_{label}`` of each class; ``difference``; ``t, df, p`` of
        Welch's test, two-sided; ``q`` over the features of one statistic and adjustment (Benjamini & Hochberg 1995);
        ``hedges_g`` with a 95 % interval ``ci_low, ci_high``; ``significant`` (q < 0.05). A feature that does not vary
        within the classes, or a class with fewer than two people, leaves the test and its q undefined (NaN, not
        significant).

        ``adjusted`` is ``none``, and ``tiv`` where the head size of at least one of the people is known: what least
        squares explain by it over these people, whatever their class, is taken away (the mean stays), and people of
        unknown head size are left out. Where the classes differ in head size, part of what they differ in for any
        other reason goes as well; a difference that remains is not one of size alone, one that vanishes may be either.

    Raises
    ------
    InputError
        For other than two labels, and targets that are none of them.

    Notes
    -----
    Hedges' g is the difference over the pooled SD, times 1 − 3 / (4·(n_A + n_B) − 9); its interval is normal with the
    variance (n_A + n_B) / (n_A·n_B) + g² / (2·(n_A + n_B)) (Hedges & Olkin 1985, Statistical methods for
    meta-analysis, chapter 5).
    """
    labels = [str(label) for label in labels]
    if len(labels) != 2:
        refuse("Features are compared between two classes, got", labels or ["none (regression)"])
    people = features.drop_duplicates("participant_id").set_index("participant_id")["target"]
    second = pd.Series(Answers.encode(people, "classification", labels).values == 1, index=people.index)
    size = pd.Series({} if tiv is None else tiv, dtype=float).reindex(people.index)
    known, parts = size.notna(), []
    for statistic in STATISTICS:
        wide = features.pivot(index="participant_id", columns="feature", values=statistic).reindex(people.index)
        rounding = ROUNDING * wide.abs().max().to_numpy()
        parts.append(_compare(wide, second, labels, rounding).assign(statistic=statistic, adjusted="none"))
        if known.any():
            adjusted = _compare(_without_size(wide[known], size[known]), second[known], labels, rounding)
            parts.append(adjusted.assign(statistic=statistic, adjusted="tiv"))
    groups = [f"{what}_{label}" for label in labels for what in ("mean", "sd", "n")]
    columns = ["feature", "statistic", "adjusted", *groups, "difference", *TESTS, "significant"]
    return pd.concat(parts, ignore_index=True)[columns]


def count_significant(differences: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Count the features that differ, each way.

    Parameters
    ----------
    differences : DataFrame
        From `compare_groups`; with ``fold`` when it holds several networks, which are counted apart.
    labels : sequence of 2 str

    Returns
    -------
    DataFrame
        ``fold`` where given, ``statistic, adjusted``, ``features`` (all of the layer), ``higher_{A}`` and
        ``higher_{B}`` (significant, and larger in that class).
    """
    first, second = (str(label) for label in labels)
    keys = [key for key in ("fold", "statistic", "adjusted") if key in differences]
    found = differences["significant"].astype(bool)
    marked = differences[keys].assign(
        features=1,
        **{f"higher_{first}": found & (differences["difference"] < 0)},
        **{f"higher_{second}": found & (differences["difference"] > 0)},
    )
    return marked.groupby(keys, sort=False).sum().astype(int).reset_index()


def _without_size(wide: pd.DataFrame, size: pd.Series) -> pd.DataFrame:
    """Take away from every column what is linear in head size; the column's mean stays."""
    centred = (size - size.mean()).to_numpy()
    spread = float(centred @ centred)
    values = wide.to_numpy(dtype=float)
    slopes = centred @ (values - values.mean(axis=0)) / spread if spread > 0 else np.zeros(values.shape[1])
    return pd.DataFrame(values - np.outer(centred, slopes), index=wide.index, columns=wide.columns)


def _compare(wide: pd.DataFrame, second: pd.Series, labels: list[str], rounding: np.ndarray) -> pd.DataFrame:
    values, is_second = wide.to_numpy(dtype=float), second.to_numpy()
    groups = [values[~is_second], values[is_second]]
    table = pd.DataFrame({"feature": wide.columns})
    for label, group in zip(labels, groups, strict=True):
        table[f"mean_{label}"] = group.mean(axis=0) if len(group) else np.nan
        table[f"sd_{label}"] = group.std(axis=0, ddof=1) if len(group) > 1 else np.nan
        table[f"n_{label}"] = len(group)
    table["difference"] = table[f"mean_{labels[1]}"] - table[f"mean_{labels[0]}"]
    table[TESTS] = np.nan
    if min(map(len, groups)) > 1:
        varies = _pooled_sd(*groups) > rounding
        tests = _tests(*(group[:, varies] for group in groups)) if varies.any() else {}
        for name, column in tests.items():
            table.loc[varies, name] = column
    return table.assign(significant=table["q"] < LEVEL)


def _tests(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Test b against a [people, features]; every feature varies in at least one of them."""
    result = ttest_ind(b, a, equal_var=False)
    n_a, n_b = len(a), len(b)
    n = n_a + n_b
    g = (b.mean(axis=0) - a.mean(axis=0)) / _pooled_sd(a, b) * (1 - 3 / (4 * n - 9))
    reach = norm.ppf(0.975) * np.sqrt(n / (n_a * n_b) + g**2 / (2 * n))
    return {
        "t": result.statistic,
        "df": result.df,
        "p": result.pvalue,
        "q": false_discovery_control(result.pvalue),
        "hedges_g": g,
        "ci_low": g - reach,
        "ci_high": g + reach,
    }


def _pooled_sd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = [((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in (a, b)]
    return np.sqrt(sum(squares) / (len(a) + len(b) - 2))
