"""The verdict on the methods: every method by every criterion, in words, beside what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from voxplain.evaluation.verdicts import FAILS, NOT_TESTABLE, PASSES
from voxplain.reporting import style
from voxplain.reporting.columns import percent
from voxplain.reporting.reading import flags
from voxplain.reporting.verdicts import number

SIGNS = {PASSES: "✓", FAILS: "✗", NOT_TESTABLE: "–"}
# Spaces that do not break keep a sign and its number together.
BY_TEST, AT_LEAST, AT_MOST = "p\u00a0≤\u00a0{alpha}", "≥\u00a0{threshold}", "≤\u00a0{threshold}"


@dataclass(frozen=True)
class Criterion:
    """How a criterion reads: its title, what its number and its chance level are, when it is passed."""

    title: str
    measure: str
    rule: str
    share: bool = False  # written in percent


GROUPS: dict[str, dict[str, Criterion]] = {
    "Truth": {
        "localization": Criterion(
            "Finds the truth (map of all people)", "AUC; chance: 95th percentile of misplaced truths", BY_TEST
        ),
        "localization_people": Criterion(
            "Finds the truth (single people)", "mean AUC; chance: random voxels", AT_LEAST
        ),
        "no_false_alarm": Criterion(
            "Finds nothing after training on shuffled labels",
            "AUC; chance: 95th percentile of misplaced truths",
            "p\u00a0>\u00a0{alpha}",
        ),
    },
    "Follows the network": {
        "randomization": Criterion(
            "Changes when the network is randomised", "largest similarity to maps of randomised networks", AT_MOST
        ),
        "shuffled_labels": Criterion(
            "Changes with shuffled labels", "similarity to maps of a network trained on shuffled labels", AT_MOST
        ),
    },
    "Faithful": {
        "deletion": Criterion(
            "Deletion", "area beyond random order", BY_TEST + " and above 0, against random order and brightness"
        ),
        "insertion": Criterion(
            "Insertion", "area beyond random order", BY_TEST + " and above 0, against random order and brightness"
        ),
        "retraining": Criterion(
            "Retraining without it", "score lost beyond that with random maps removed", BY_TEST + " and above 0"
        ),
        "masked_accuracy": Criterion(
            "Masked images", "score on masked images; chance: what the best 5 % of random masks reach", BY_TEST
        ),
    },
    "Reproducible": {
        "reproducibility": Criterion("Same with another seed (map of all people)", "Spearman", AT_LEAST),
        "reproducibility_folds": Criterion("Same on other folds", "Spearman, map of all people", AT_LEAST),
        "reproducibility_people": Criterion(
            "Same with another seed (single people)", "mean Spearman; chance: another person's map", AT_LEAST
        ),
        "reliability": Criterion(
            "Reliability of single people's maps (ICC)", "ICC(3,1) with another seed, median over voxels", AT_LEAST
        ),
    },
    "Statistics": {
        "inference": Criterion(
            "Classes differ beyond chance", "share of the brain that is significant", "smallest " + BY_TEST, share=True
        ),
        "agreement": Criterion(
            "Resembles other methods beyond smoothness", "share of the other methods", AT_LEAST, share=True
        ),
    },
}
OF_NUMBERS = {
    "no_false_alarm": "Finds nothing after training on shuffled targets",
    "shuffled_labels": "Changes with shuffled targets",
    "inference": "Follows the number beyond chance",
}
OTHERS = "Others"
# A method that fails one of these shows something else than what the networks learned of the truth.
DECISIVE = {
    "randomization": "its maps do not change when the network is randomised",
    "localization": "its map does not find the truth",
}


@dataclass(frozen=True)
class Verdict:
    """One cell: the word, its sign, what was measured, what chance is, and why it could not be tested."""

    word: str
    value: str
    chance: str
    why: str = ""
    footnote: int | None = None

    @property
    def sign(self) -> str:
        """The sign of the word, so that nobody depends on colours."""
        return SIGNS.get(self.word, "")

    @property
    def look(self) -> str:
        """The word as a class of the style sheet."""
        return self.word.replace(" ", "-")


@dataclass(frozen=True)
class Row:
    """One criterion: title, what its numbers are, when it is passed, and a verdict a method."""

    title: str
    measure: str
    rule: str
    cells: list[Verdict]


@dataclass(frozen=True)
class Matrix:
    """The table of verdicts and what is said around it.

    Attributes
    ----------
    methods : list of str
        Titles, one a column.
    groups : list of (title, rows)
    counts : list of (title, passed, tested)
        A method each, of all criteria that could be tested.
    warnings : dict of method to str
        Names of methods that must not be interpreted, and why.
    footnotes : list of str
        Reasons of the cells that are not testable.
    untested : list of (title, reason)
        Criteria that could be tested for no method.
    """

    methods: list[str]
    groups: list[tuple[str, list[Row]]]
    counts: list[tuple[str, int, int]]
    warnings: dict[str, str]
    footnotes: list[str]
    untested: list[tuple[str, str]]


def build_matrix(
    verdicts: pd.DataFrame, methods: Sequence[str], alpha: float | None = None, regression: bool = False
) -> Matrix:
    """Arrange the verdicts as a table.

    Parameters
    ----------
    verdicts : DataFrame
        ``tables/verdicts.tsv``: ``method, criterion, value, chance, threshold, verdict, why`` ... Criteria that
        `GROUPS` does not know stand at the end under their own names.
    methods : sequence of str
        The columns, in this order; those without a verdict are left out.
    alpha : float, optional
        Largest p of a test that is passed.
    regression : bool
        The target is a number: there are no classes.

    Returns
    -------
    Matrix
    """
    verdicts = verdicts.assign(why=verdicts["why"].astype(object).where(verdicts["why"].notna(), "").astype(str))
    verdicts = verdicts.astype({name: float for name in ("value", "chance", "threshold")})
    known = {name for criteria in GROUPS.values() for name in criteria}
    others = [name for name in dict.fromkeys(verdicts["criterion"].astype(str)) if name not in known]
    everything = GROUPS | {OTHERS: {name: Criterion(name.replace("_", " "), "", "") for name in others}}
    shown = [method for method in methods if (verdicts["method"] == method).any()]
    groups, footnotes, untested = [], [], []
    for group, criteria in everything.items():
        rows = []
        for name, criterion in criteria.items():
            own = verdicts[verdicts["criterion"] == name].drop_duplicates("method").set_index("method").reindex(shown)
            own["verdict"] = own["verdict"].fillna(NOT_TESTABLE)
            title = OF_NUMBERS.get(name, criterion.title) if regression else criterion.title
            if (own["verdict"] == NOT_TESTABLE).all():
                reasons = dict.fromkeys(own["why"].dropna().replace("", pd.NA).dropna())
                if len(own) and own["criterion"].notna().any():
                    untested.append((title, "; ".join(reasons)))
                continue
            cells = [_verdict(one, criterion.share, footnotes) for one in own.to_dict("records")]
            rows.append(Row(title, criterion.measure, _rule(criterion, own["threshold"], alpha), cells))
        if rows:
            groups.append((group, rows))
    return Matrix(
        [style.method_title(method) for method in shown],
        groups,
        [(style.method_title(method), *_count(verdicts[verdicts["method"] == method])) for method in shown],
        _warnings(verdicts, shown),
        footnotes,
        untested,
    )


def fails_randomisation(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the methods that fail the randomisation test, from the verdicts or else from the test's own table."""
    if "verdicts" in frames:
        return _failing(frames["verdicts"], "randomization")
    if "randomization_verdicts" in frames:
        table = frames["randomization_verdicts"]
        return table.loc[flags(table["survives"]), "method"].astype(str).tolist()
    return []


def _failing(verdicts: pd.DataFrame, criterion: str) -> list[str]:
    rows = verdicts[(verdicts["criterion"] == criterion) & (verdicts["verdict"] == FAILS)]
    return rows["method"].astype(str).tolist()


def _warnings(verdicts: pd.DataFrame, methods: Sequence[str]) -> dict[str, str]:
    failing = {criterion: _failing(verdicts, criterion) for criterion in DECISIVE}
    why = {method: [DECISIVE[name] for name, own in failing.items() if method in own] for method in methods}
    return {method: " and ".join(reasons) for method, reasons in why.items() if reasons}


def _count(verdicts: pd.DataFrame) -> tuple[int, int]:
    passed, failed = (int((verdicts["verdict"] == word).sum()) for word in (PASSES, FAILS))
    return passed, passed + failed


def _verdict(row: Mapping, share: bool, footnotes: list[str]) -> Verdict:
    """Return the cell of one row; a reason that is new is added to the footnotes."""
    write = percent if share else number
    measured = ["" if pd.isna(row[name]) else write(row[name]) for name in ("value", "chance")]
    if row["verdict"] != NOT_TESTABLE:
        return Verdict(row["verdict"], *measured)
    why = row["why"] if isinstance(row["why"], str) and row["why"] else "not tested for this method"
    if why not in footnotes:
        footnotes.append(why)
    return Verdict(NOT_TESTABLE, *measured, why, footnotes.index(why) + 1)


def _rule(criterion: Criterion, thresholds: pd.Series, alpha: float | None) -> str:
    """Return when a criterion is passed; empty where the threshold is not known."""
    known = thresholds.dropna()
    if ("{threshold}" in criterion.rule and known.empty) or ("{alpha}" in criterion.rule and alpha is None):
        return ""
    threshold = "" if known.empty else percent(known.iloc[0]) if criterion.share else number(known.iloc[0])
    return criterion.rule.format(threshold=threshold, alpha="" if alpha is None else f"{alpha:g}")
