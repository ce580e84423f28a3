"""The self-contained page."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_table
from voxplain.reporting import wording
from voxplain.reporting.embedding import data_uri
from voxplain.reporting.page import write_page

METHODS = ("guided_backprop", "gradcam")
VOID = {"meta", "img", "br", "hr", "link", "input"}
LOADING = ("src", "srcset", "poster", "data", "action", "formaction", "background", "ping")


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects elements, texts and table rows."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.ids, self.texts, self.rows = [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open[-1:]):
            self.texts.append(data)
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page(contents, tmp_path):
    write_page(tmp_path / "index.html", contents)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    return html, Reader(html)


def rewrite(path, change):
    write_table(change(read_table(path)), path)


def test_it_begins_with_the_answer(contents, tmp_path):
    html, reader = page(contents, tmp_path)
    assert html.startswith("<!doctype html>")
    assert "The networks tell F from M in 40 people: accuracy 0.90 ± 0.05 (chance 0.50)." in reader.text
    assert "the cohort holds 19 F, 21 M" in reader.text
    assert "2 of 2 planted regions are among the top 5 of 12 with the best method, Grad-CAM" in reader.text
    assert "Guided backpropagation : none of 2 planted regions among its top 5" in reader.text
    assert reader.text.index("The networks tell") < reader.text.index("Where the networks looked")
    assert wording.PHANTOM in reader.text


def test_anchors_lead_somewhere_and_every_picture_has_words(contents, tmp_path):
    _, reader = page(contents, tmp_path)
    anchors = [a["href"][1:] for tag, a in reader.elements if tag == "a" and a["href"].startswith("#")]
    assert anchors
    assert set(anchors) <= set(reader.ids)
    assert all(a["alt"] for tag, a in reader.elements if tag == "img")
    assert sum(tag == "img" for tag, _ in reader.elements) == 3 * len(METHODS) + 4


def test_nothing_is_asked_of_the_network(contents, tmp_path):
    html, reader = page(contents, tmp_path)
    for tag, attributes in reader.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name in LOADING:
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        if "href" in attributes:
            assert tag == "a"
        assert not any(name.startswith("on") for name in attributes)
    style = re.search(r"<style>(.*?)</style>", html, re.S).group(1)
    script = re.search(r"<script>(.*?)</script>", html, re.S).group(1)
    assert not re.search(r"url\(|@import|https?:", style)
    assert not re.search(r"fetch|XMLHttpRequest|import|https?:", script)
    policy = next(a["content"] for tag, a in reader.elements if "Security" in a.get("http-equiv", ""))
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_four_papers_are_cited(contents, tmp_path):
    html, _ = page(contents, tmp_path)
    for number in ("2006.15969", "1910.00071", "2108.05388", "2203.13120"):
        assert f'href="https://arxiv.org/abs/{number}"' in html


def test_markup_in_labels_ids_and_regions_is_escaped(contents, tmp_path):
    evil = "<script>alert('x')</script>"
    contents["config"]["name"] = evil
    contents["config"]["cohort"]["labels"] = ["F", evil]
    contents["config"]["cohort"]["target"] = '"><img src=x onerror=alert(1)>'
    contents["provenance"]["versions"] = {"voxplain": evil, evil: evil}
    contents["tables"]["top_regions"] = {evil: contents["tables"]["top_regions"]["parcels"]}
    rewrite(contents["tables"]["explained"], lambda table: table.replace({"method": {"gradcam": evil}}))
    contents["figures"]["maps"][evil] = contents["figures"]["maps"].pop("gradcam")
    rewrite(contents["tables"]["top_regions"][evil], lambda t: t.assign(region=evil, method=evil))
    rewrite(contents["tables"]["planted_regions"], lambda t: t.assign(region=evil, kind=evil))
    rewrite(contents["tables"]["cohort"], lambda t: pd.concat([t, pd.DataFrame({"key": [evil], "value": [evil]})]))
    html, reader = page(contents, tmp_path)
    assert evil not in html
    assert [a.get("type") for tag, a in reader.elements if tag == "script"] == [None]
    assert reader.text.count("alert('x')") > 5
    assert not any("onerror" in a or a.get("src") == "x" for _, a in reader.elements)


def test_a_weak_network_is_named_first_and_beside_every_map(contents, tmp_path, accuracy_tables):
    _, strong = page(contents, tmp_path)
    assert wording.WEAK not in strong.text
    assert "do not interpret" not in strong.text
    for name, table in zip(("accuracy", "accuracy_summary"), accuracy_tables(0.55, 0.06, 0.5), strict=True):
        write_table(table, contents["tables"][name])
    _, weak = page(contents, tmp_path)
    assert "The networks hardly tell F from M" in weak.text
    assert weak.text.index(wording.WEAK) < weak.text.index("Where the networks looked")
    assert weak.text.count("weak, do not interpret") == len(METHODS)


def test_it_says_plainly_when_no_planted_region_is_found(contents, tmp_path):
    rewrite(contents["tables"]["planted_regions"], lambda table: table.assign(in_top=False))
    _, reader = page(contents, tmp_path)
    assert "No method has a planted region among its top 5 regions" in reader.text


def test_a_map_of_zeros_is_said_to_be_one(contents, tmp_path):
    rewrite(
        contents["tables"]["planted_regions"],
        lambda table: table.assign(rank=table["rank"].astype(float).where(table["method"] != "gradcam"), in_top=False),
    )
    rewrite(contents["tables"]["localization"], lambda table: table.assign(auc=[0.7, np.nan, 0.9, np.nan]))
    _, reader = page(contents, tmp_path)
    assert "Grad-CAM : none of 2 planted regions among its top 5; its map is 0 in every region." in reader.text
    assert reader.text.count("Finds planted voxels") == 1


def test_without_truth_it_does_not_claim_any(contents, tmp_path):
    contents["tables"] |= {"planted_regions": None, "localization": None}
    contents["config"]["cohort"]["source"] = "hcp"
    _, reader = page(contents, tmp_path)
    assert "Nobody knows where the truth lies in this cohort" in reader.text
    assert "truth" not in reader.ids
    assert wording.PHANTOM not in reader.text


def test_a_phantom_without_effects_has_nothing_to_find(contents, tmp_path):
    for name in ("planted_regions", "localization"):
        rewrite(contents["tables"][name], lambda table: table[:0])
    _, reader = page(contents, tmp_path)
    assert "Nothing was planted in these people" in reader.text


def test_a_phantom_that_cannot_be_scored_says_why(contents, tmp_path):
    contents["tables"] |= {"planted_regions": None, "localization": None}
    _, reader = page(contents, tmp_path)
    assert "maps in another space or of another target are not held against it" in reader.text


def test_tables_are_sorted(contents, tmp_path):
    _, reader = page(contents, tmp_path)
    joint = [row for row in reader.rows if row[:2] == ["all people", "Grad-CAM"] and row[3:4] and "Region" in row[3]]
    assert [row[2] for row in joint] == [str(rank) for rank in range(1, 12)]
    regions = [row for row in reader.rows if len(row) == 8 and row[3].startswith("Region ")]
    first_of_each = list(dict.fromkeys((row[0], row[1]) for row in regions))
    assert first_of_each[:3] == [
        ("all people", "Guided backpropagation"),
        ("all people", "Grad-CAM"),
        ("class F", "Guided backpropagation"),
    ]


def test_cautions_follow_the_cohort(contents, tmp_path):
    _, reader = page(contents, tmp_path)
    assert "Families are not known" in reader.text
    rewrite(contents["tables"]["cohort"], lambda table: table.replace({"value": {"no": "True"}}))
    contents["config"]["interpret"]["weights"] = "/home/jane/net.safetensors"
    html, reader = page(contents, tmp_path)
    assert "Families are not known" not in reader.text
    assert wording.EXTERNAL in reader.text
    assert "jane" not in html


def test_private_files_and_fields_are_refused(contents, tmp_path):
    private = tmp_path / "results" / "private" / "folds.tsv"
    write_table(pd.DataFrame({"participant_id": ["1"]}), private)
    with pytest.raises(InputError, match="must not read private files"):
        write_page(tmp_path / "p.html", contents | {"tables": contents["tables"] | {"excluded": private}})
    rewrite(contents["tables"]["index"], lambda table: table.assign(Family_ID="f1"))
    with pytest.raises(InputError, match="index: Family_ID"):
        write_page(tmp_path / "p.html", contents)
    assert not (tmp_path / "p.html").exists()


def test_a_restricted_target_in_a_table_of_people_is_refused(contents, tmp_path):
    contents["config"]["cohort"]["restricted_target"] = True
    rewrite(contents["tables"]["index"], lambda table: table.assign(target=[22, 23]))
    with pytest.raises(InputError, match="index: target"):
        write_page(tmp_path / "p.html", contents)
    rewrite(contents["tables"]["index"], lambda table: table.assign(target=None))
    write_page(tmp_path / "p.html", contents)


def test_single_people_do_not_stand_in_the_text(contents, tmp_path):
    html, _ = page(contents, tmp_path)
    assert "100001" not in html


def test_wrong_contents_are_named_together(contents, tmp_path):
    del contents["tables"]["accuracy"]
    contents["tables"]["acuracy"] = tmp_path / "x.tsv"
    contents["figures"]["montages"] = tmp_path / "x.png"
    with pytest.raises(InputError) as error:
        write_page(tmp_path / "p.html", contents)
    for line in ("missing: tables.accuracy", "unknown: tables.acuracy", "unknown: figures.montages"):
        assert line in str(error.value)


def test_missing_files_are_named_together(contents, tmp_path):
    contents["tables"]["dice"] = tmp_path / "gone.tsv"
    contents["figures"]["maps"]["gradcam"]["F"] = tmp_path / "gone.png"
    with pytest.raises(InputError) as error:
        write_page(tmp_path / "p.html", contents)
    assert "gone.tsv" in str(error.value)
    assert "gone.png" in str(error.value)


def test_regression_and_a_single_method(contents, tmp_path):
    contents["config"]["cohort"] |= {"task": "regression", "labels": [], "target": "age", "source": "table"}
    rewrite(contents["tables"]["explained"], lambda table: table[table["method"] == "gradcam"])
    contents["tables"] |= {"planted_regions": None, "localization": None}
    rewrite(contents["tables"]["dice"], lambda table: table[:0])
    write_table(
        pd.DataFrame({"model": ["cnn"], "fold": 0, "n_train": 20, "n_test": 10, "mae": 4.0, "r": np.nan}),
        contents["tables"]["accuracy"],
    )
    summary = pd.DataFrame({"model": "cnn", "metric": ["mae", "r"], "mean": [4.0, np.nan], "chance": [9.0, np.nan]})
    unknown = dict.fromkeys(("sd", "ci_low", "ci_high", "p_corrected_t", "p_permutation"), np.nan)
    write_table(summary.assign(**unknown), contents["tables"]["accuracy_summary"])
    _, reader = page(contents, tmp_path)
    assert "predict age of 10 people with a mean absolute error 4.00 (chance 9.00)" in reader.text
    assert "Always answering the average would give 9.00" in reader.text
    assert "Only one method: there is no pair to compare." in reader.text


def test_equal_results_give_an_equal_page(contents, tmp_path):
    first, _ = page(contents, tmp_path)
    second, _ = page(contents, tmp_path)
    assert first == second


def test_large_pictures_are_shrunk(tmp_path):
    wave = np.sin(np.arange(600)[:, None] / 9) * np.cos(np.arange(800)[None] / 7)
    noise = np.random.default_rng(0).normal(0, 4, (600, 800))
    Image.fromarray((128 + 100 * wave + noise).clip(0, 255).astype(np.uint8)).save(tmp_path / "big.png")
    uri = data_uri(tmp_path / "big.png")
    assert uri.startswith("data:image/webp;base64,")
    assert len(uri) < 0.5 * (tmp_path / "big.png").stat().st_size
    with pytest.raises(InputError, match="Pictures of the page"):
        data_uri(tmp_path / "x.html")
