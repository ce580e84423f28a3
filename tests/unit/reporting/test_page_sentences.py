"""Sentences of the page that depend on what was asked for and on what is known."""

import re

import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table
from voxplain.reporting import wording
from voxplain.reporting.page import write_page


def page(contents, tmp_path):
    write_page(tmp_path / "index.html", contents)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def rewrite(path, change):
    write_table(change(read_table(path)), path)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("gradcam", "is that of class M minus class F: what a place brings"),
        ("smoothgrad", "is that of class M minus class F."),  # whose signs are alike in everybody
    ],
)
def test_the_page_says_that_a_joint_map_is_a_difference_and_why(contents, tmp_path, method, said):
    rewrite(contents["tables"]["explained"], lambda table: table[:1].assign(method=method))
    assert "is that of class M" not in page(contents | {"differences": {method: []}}, tmp_path)
    assert said in page(contents | {"differences": {method: ["F", "M"]}}, tmp_path)


@pytest.mark.parametrize(("contribution", "end"), [(True, ": what a place brings"), (False, ".")])
def test_a_method_of_the_users_own_may_say_that_it_draws_contributions(contents, tmp_path, contribution, end):
    rewrite(contents["tables"]["explained"], lambda table: table[:1].assign(method="mine"))
    contents["config"] = contents["config"] | {"maps": {"own": {"mine": {"contribution": contribution}}}}
    text = page(contents | {"differences": {"mine": ["F", "M"]}}, tmp_path)
    assert f"is that of class M minus class F{end}" in text


@pytest.mark.parametrize(
    ("known", "grouped", "weights", "said"),
    [
        ("no", True, None, wording.RELATIVES_UNKNOWN),
        ("yes", True, None, None),
        ("yes", False, None, wording.RELATIVES_SPLIT),
        ("no", True, "network.safetensors", None),
    ],
)
def test_relatives_are_cautioned_about_where_they_may_stand_on_both_sides(
    contents, tmp_path, known, grouped, weights, said
):
    contents["config"] |= {"folds": {"grouped": grouped}, "interpret": {"weights": weights}}
    rewrite(contents["tables"]["cohort"], lambda table: table.assign(value=[*table["value"][:-1], known]))
    html = page(contents, tmp_path)
    assert [text for text in (wording.RELATIVES_UNKNOWN, wording.RELATIVES_SPLIT) if text in html] == [said] * bool(
        said
    )


def test_the_noise_test_names_its_metric_and_a_model_that_knew_the_people(contents, tmp_path):
    utility = pd.DataFrame(
        [(order, share, "mae", 9.0 + share, 1.0, 2) for order in ("importance", "random") for share in (0, 100)],
        columns=["order", "share_clean", "metric", "mean", "sd", "folds"],
    )
    path = contents["tables"]["cohort"].parent / "noise_utility.tsv"
    write_table(utility, path)
    contents["tables"]["noise_utility"] = path
    html = page(contents, tmp_path)
    cells = [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", html, flags=re.DOTALL)]
    start = cells.index("Mean absolute error")
    assert cells[start : start + 4] == ["Mean absolute error", "0", "9.000", "9.000"]
    assert wording.NOISE_IN_SAMPLE not in html
    contents["config"]["interpret"]["weights"] = "network.safetensors"
    assert wording.NOISE_IN_SAMPLE in page(contents, tmp_path)


@pytest.mark.parametrize(
    ("survives", "said"), [("True", "<b>Grad-CAM</b>: the maps stay alike"), ("False", "No method")]
)
def test_methods_that_survive_randomised_layers_are_named(contents, tmp_path, survives, said):
    path = contents["tables"]["cohort"].parent / "randomization_verdicts.tsv"
    row = {"method": "gradcam", "measure": "spearman", "layers": 3, "similarity": 0.7, "threshold": 0.5}
    write_table(pd.DataFrame([row | {"survives": survives}]), path)
    assert 'id="trust"' not in page(contents, tmp_path)
    contents["tables"]["randomization_verdicts"] = path
    html = page(contents, tmp_path)
    assert said in html
    assert ("not show what the network has learned" in html) == (survives == "True")


def test_faithfulness_of_maps_stands_beside_random_order_and_brightness(contents, tmp_path):
    row = {"method": "gradcam", "replacement": "blur", "kind": "deletion", "people": 8, "auc": 0.5, "sd": 0.1}
    row |= {"difference_to_random": 0.25, "p_random": 0.01, "difference_to_intensity": -0.125, "p_intensity": 0.4}
    rows = [
        row | {"order": order, "measure": measure}
        for order in ("map", "random")
        for measure in ("probability", "accuracy")
    ]
    path = contents["tables"]["cohort"].parent / "faithfulness.tsv"
    write_table(pd.DataFrame(rows), path)
    contents["tables"]["faithfulness"] = path
    html = page(contents, tmp_path)
    section = html[html.index('id="trust"') : html.index('id="overlap"')]
    rows = re.findall(r"<tr>.*?</tr>", section, flags=re.DOTALL)
    assert sum("deletion" in row for row in rows) == 1  # one measure, and of the references their differences
    assert "−0.12" in section
