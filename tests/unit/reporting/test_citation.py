"""Whom to cite."""

import re

from voxplain.reporting.citation import read_citation
from voxplain.reporting.page import write_page


def test_papers_are_named_and_have_an_entry_each():
    cited = read_citation()
    assert cited["papers"][0] == (
        "Kan M, Aliev R, Rudenko A, et al. (2020). Interpretation of 3D CNNs for Brain MRI Data Classification.",
        "2006.15969",
    )
    assert [number for _, number in cited["papers"]] == ["2006.15969", "1910.00071", "2108.05388", "2203.13120"]
    entries = cited["bibtex"].split("\n\n")
    assert [re.match(r"@(\w+)\{(\w+),\n", entry).groups() for entry in entries] == [
        ("software", "voxplain"),
        ("article", "kan2020"),
        ("article", "grigorescu2019"),
        ("article", "bintsi2021"),
        ("article", "eitel2022"),
    ]
    assert "  author = {Bintsi, Kyriaki-Margarita and Baltatzis, Vasileios and" in entries[3]
    assert all(entry.count("{") == entry.count("}") for entry in entries)


def test_bibtex_stands_in_the_page(contents, tmp_path):
    write_page(tmp_path / "index.html", contents)
    html = (tmp_path / "index.html").read_text()
    assert "  eprint = {2006.15969}," in html
    del contents["citation"]
    write_page(tmp_path / "without.html", contents)
    assert "cite" not in (tmp_path / "without.html").read_text().split("<script>")[0]
