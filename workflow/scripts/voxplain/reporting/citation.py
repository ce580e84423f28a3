"""Whom to cite, from CITATION.cff: in words, and as BibTeX."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

CITATION = Path(__file__).resolve().parents[4] / "CITATION.cff"
NAMED = 3  # authors before "et al."


def read_citation(path: Path = CITATION) -> dict:
    """Return what to cite.

    Parameters
    ----------
    path : Path
        A file in the Citation File Format 1.2 whose references have arXiv numbers.

    Returns
    -------
    dict
        ``papers``: (text, arXiv number) of each reference; ``bibtex``: entries of the software and of each reference.
    """
    import yaml

    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    software = {
        "author": " and ".join(f"{{{author['name']}}}" for author in record["authors"]),
        "title": f"{{{record['title']}}}",
        "version": record["version"],
        "note": f"License: {record['license']}",
    }
    papers, entries = [], [_entry("software", "voxplain", software)]
    for paper in record["references"]:
        number = next(one["value"] for one in paper["identifiers"] if one["value"].startswith("arXiv:"))[6:]
        papers.append((f"{_authors(paper['authors'])} ({paper['year']}). {paper['title']}.", number))
        fields = {
            "author": " and ".join(f"{who['family-names']}, {who['given-names']}" for who in paper["authors"]),
            "title": f"{{{paper['title']}}}",
            "year": paper["year"],
            "eprint": number,
            "archiveprefix": "arXiv",
        }
        key = re.sub(r"\W", "", paper["authors"][0]["family-names"]).lower() + str(paper["year"])
        entries.append(_entry("article", key, fields))
    return {"papers": papers, "bibtex": "\n\n".join(entries) + "\n"}


def _authors(authors: Sequence[Mapping[str, str]]) -> str:
    def short(who: Mapping[str, str]) -> str:
        return f"{who['family-names']} {''.join(name[0] for name in who['given-names'].split())}"

    names = [short(who) for who in authors]
    return ", ".join(names[:NAMED]) + (", et al." if len(names) > NAMED else "")


def _entry(kind: str, key: str, fields: Mapping[str, object]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
