"""What the page says about each method: its pictures, its people, its first regions, and what speaks against it."""

from collections.abc import Container, Mapping, Sequence

import pandas as pd

from voxplain.reporting import style, wording
from voxplain.reporting.embedding import data_uri
from voxplain.reporting.truth import Answer, found_in_words, population_score
from voxplain.reporting.verdicts import conservation, explained_in_words


def describe_methods(
    explained: pd.DataFrame,
    pictures: Mapping[str, Mapping],
    top: Mapping[str, pd.DataFrame],
    frames: Mapping[str, pd.DataFrame],
    differences: Mapping[str, Sequence[str]],
    contributions: Container[str],
    warnings: Mapping[str, str],
) -> list[dict]:
    """Return a section a method.

    Parameters
    ----------
    explained : DataFrame
        Indexed by method: ``people, explained`` and the columns of conservation.
    pictures : mapping of method to {group: path}
    top : mapping of atlas to DataFrame
        The top regions.
    frames : mapping of name to DataFrame
        ``localization``, where it is.
    differences : mapping of method to two groups
        Where a joint map is that of the second group minus that of the first.
    contributions : container of method
        Those whose maps say what places bring to a score, with the signs of both sides.
    warnings : mapping of method to str
        Why a method's maps must not be interpreted.
    """
    sections = []
    for method, said in explained.iterrows():
        own = pictures.get(method, {})
        sections.append(
            {
                "method": method,
                "title": style.method_title(method),
                "note": wording.METHOD_NOTES.get(method, ""),
                "joined": _joined(differences.get(method), method in contributions),
                "conservation": conservation(said),
                "people": said["people"],
                "explained": explained_in_words(said["explained"]),
                "pictures": [
                    (style.group_title(group), data_uri(own[group]))
                    for group in style.in_order(list(own), first=["joint"])
                ],
                "first": {atlas: _first_regions(table, method) for atlas, table in top.items()},
                "auc": found_in_words(population_score(frames, method)),
                "warning": warnings.get(method, ""),
            }
        )
    return sections


def where_they_looked(sections: Sequence[Mapping], answer: Answer | None, count: int = 3) -> dict | None:
    """Return the first regions of one method's map, for the top of the page.

    The method is the one that finds most of a truth among those that may be believed, else the first that nothing
    speaks against, else the first.

    Returns
    -------
    dict or None
        ``method``, ``title``, ``atlas``, ``regions`` and ``warning``; None without regions.
    """
    known = [section for section in sections if any(section["first"].values())]
    if not known:
        return None
    best = answer.method if answer is not None and answer.sound else None
    chosen = min(known, key=lambda section: (section["method"] != best, bool(section["warning"])))
    atlas, regions = next((atlas, names) for atlas, names in chosen["first"].items() if names)
    return {
        "method": chosen["method"],
        "title": chosen["title"],
        "atlas": atlas,
        "regions": regions[:count],
        "warning": chosen["warning"],
    }


def _joined(groups: Sequence[str] | None, contribution: bool) -> str:
    """Return the sentence on a joint map that is the difference of two groups, else an empty text."""
    if not groups:
        return ""
    reason = wording.CONTRIBUTIONS_CANCEL if contribution else "."
    return wording.JOINED.format(style.difference_title(groups)) + reason


def _first_regions(table: pd.DataFrame, method: str, count: int = 5) -> list[str]:
    rows = table[(table["method"] == method) & (table["group"] == "joint")]
    return rows.sort_values("rank", kind="stable")["region"].astype(str).head(count).tolist()
