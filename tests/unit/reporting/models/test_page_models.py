"""What the page says about models, confounds, morphometry and the first layer."""

import importlib.util
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from voxplain.base.files import read_table, write_table
from voxplain.reporting import wording
from voxplain.reporting.page import write_page

SECTIONS = ("confounds", "morphometry", "first-layer", "relatives")
FIGURES = ("roc", "calibration", "confounds", "importance", "morphometry", "first_layer")


@pytest.fixture
def full(contents, model_tables, accuracy_tables, tmp_path):
    """The contents of a page that has everything."""
    tables = model_tables | dict(zip(("accuracy", "accuracy_summary"), accuracy_tables(others=("svm",)), strict=True))
    for name, table in tables.items():
        contents["tables"][name] = tmp_path / "results" / "tables" / f"{name}.tsv"
        write_table(table, contents["tables"][name])
    contents["figures"] |= dict.fromkeys(FIGURES, contents["figures"]["accuracy"])
    return contents


def page(contents, tmp_path):
    """Return the page's HTML and its text."""
    write_page(tmp_path / "index.html", contents)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.S)
    return html, re.sub(r"\s+", " ", text).replace("&#39;", "'")


def test_every_section_has_its_tables_pictures_and_link(full, tmp_path):
    html, text = page(full, tmp_path)
    for section in SECTIONS:
        assert f'<section id="{section}">' in html
        assert f'href="#{section}"' in html
    assert "The networks and other models" in text
    assert html.count("<img") == 3 * 2 + 4 + len(FIGURES)
    for caption in ("Over folds", "Calibration", "Settings, given or chosen", "Spearman's correlation over regions"):
        assert caption in text
    for note in (wording.INTERVALS, wording.DIFFERENCES, wording.MATCHED, wording.PERMUTATION, wording.RELATIVES):
        assert note in text
    assert wording.FROM_TRAINING.format("coefficients") in text
    assert f"{wording.RESIDUALISED} {wording.PAIRS_ARE_FAIRER}" in text
    assert f"{wording.CALIBRATION} {wording.CALIBRATION_OF_SVM}" in text
    assert f"{wording.SHARED} {wording.WIDENED}" in text
    assert "Every fold, the mean with its 95 % interval, and chance" in text
    assert "ROC curves: mean over folds ± SD" in text
    assert "Calibration in held-out people, all folds together" in text
    assert (
        "How far the models get on everybody, among pairs of nearly equal head size, and after head size was taken "
        "out; below, how the network's answer follows head size" in text
    )
    assert "11 pairs of nearly equal head size" in text
    assert "Mean activation, as it is: 1 of 3 features differ (0 larger in F, 1 larger in M)." in text


def test_without_their_tables_there_are_no_sections(contents, tmp_path):
    html, text = page(contents, tmp_path)
    for section in SECTIONS:
        assert f'id="{section}"' not in html
        assert f'href="#{section}"' not in html
    assert "How well the networks do" in text
    assert wording.DIFFERENCES not in text
    assert "head size not known" not in text


def test_one_network_from_outside_has_neither_folds_nor_intervals(full, model_tables, tmp_path):
    full["config"]["interpret"]["weights"] = "net.safetensors"
    kept = ("roc", "calibration", "calibration_summary")
    full["tables"] |= dict.fromkeys(set(model_tables) - set(kept))
    full["figures"] |= dict.fromkeys(("confounds", "importance", "morphometry", "first_layer"))
    for name in ("accuracy", "accuracy_summary", *kept):
        table = read_table(full["tables"][name])
        table = table[(table["model"] == "cnn") & (table.get("fold", 0) == 0)]
        if name == "accuracy_summary":
            table = table.assign(sd=None, ci_low=None, ci_high=None)
        write_table(table.assign(sd=None) if name == "roc" else table, full["tables"][name])
    html, text = page(full, tmp_path)
    assert 'id="confounds"' not in html
    for absent in (wording.INTERVALS, wording.DIFFERENCES, wording.SHARED, wording.WIDENED, wording.CALIBRATION_OF_SVM):
        assert absent not in text
    for absent in ("95 %", "± SD", "Over folds", "over folds", "held-out people", "folds together", "Every fold,"):
        assert absent not in text
    for caption in ("The one fold and chance", "ROC curves", "Calibration", wording.CALIBRATION):
        assert caption in text
    path = full["tables"]["accuracy_summary"]
    write_table(read_table(path).assign(mean=0.4), path)
    _, text = page(full, tmp_path)
    assert text.count(wording.WEAK_IN_ONE_FOLD) == 2
    assert wording.WEAK not in text


def test_three_classes_have_no_pairs_to_promise(full, tmp_path):
    path = full["tables"]["confounds"]
    table = read_table(path)
    write_table(table[table["analysis"] != "tiv_matched"], path)
    _, text = page(full, tmp_path)
    assert wording.RESIDUALISED in text
    for absent in (wording.MATCHED, wording.PAIRS_ARE_FAIRER, "pairs"):
        assert absent not in text
    assert "How far the models get on everybody and after head size was taken out; below," in text
    write_table(table[~table["analysis"].isin(("tiv_matched", "tiv_residualised", "score_tiv_correlation"))], path)
    _, text = page(full, tmp_path)
    assert "The CNN was not trained anew" not in text
    assert "taken out" not in text
    assert "How far the models get on everybody " in text


def test_importances_are_explained_by_their_kinds(full, tmp_path):
    path = full["tables"]["morphometry_importance"]
    table = read_table(path)
    write_table(table[table["kind"] == "permutation"].assign(sd=None), path)
    _, text = page(full, tmp_path)
    assert wording.PERMUTATION in text
    assert "Taken from the training people" not in text
    assert "relative to its largest " in text
    write_table(table.replace({"kind": {"permutation": "gain"}}), path)
    _, text = page(full, tmp_path)
    assert wording.PERMUTATION not in text
    assert wording.FROM_TRAINING.format("gain and coefficients") in text


def test_settings_and_names_stay_as_they_were_written(full, tmp_path):
    path = full["tables"]["hyperparameters"]
    write_table(read_table(path, dtype=str).replace({"value": {"11": "0.10"}}), path)
    for name, column in (("features_dropped", "feature"), ("morphometry_correlation", "atlas")):
        write_table(read_table(full["tables"][name]).assign(**{column: "007"}), full["tables"][name])
    _, text = page(full, tmp_path)
    assert "5 (1 fold), 0.10 (1 fold)" in text
    assert text.count(" 007 ") >= 2


def test_the_headline_names_head_size_and_the_interval(full, tmp_path):
    _, text = page(full, tmp_path)
    assert "accuracy 0.90 ± 0.05 (chance 0.50; head size alone 0.80)." in text
    assert "95 % interval 0.80 to 1.00" in text
    assert "Head size alone gives 0.80 ." in text
    assert wording.SIZE not in text
    path = full["tables"]["confounds"]
    write_table(read_table(path).replace({"mean": {0.8: 0.87}}), path)
    _, text = page(full, tmp_path)
    assert text.index(wording.SIZE) < text.index("What was asked")


def test_cautions_say_what_was_corrected_for(full, tmp_path):
    _, text = page(full, tmp_path)
    assert wording.MEASURED in text
    assert wording.UNMEASURED not in text
    path = full["tables"]["confounds"]
    known = read_table(path)
    write_table(known.assign(mean=known["mean"].mask(known["analysis"].str.contains("tiv"))), path)
    _, text = page(full, tmp_path)
    assert "(chance 0.50; head size not known)" in text
    assert wording.UNMEASURED in text
    assert wording.MEASURED not in text
    assert "Head size is not known in this cohort" in text


def test_shuffled_labels_are_told_with_their_p(full, tmp_path):
    path = full["tables"]["accuracy_summary"]
    write_table(read_table(path).assign(p_permutation=0.2), path)
    _, text = page(full, tmp_path)
    assert (
        "With labels shuffled (4 times), the accuracy of the networks was 0.51 on average and 0.60 at best: p = 0.200."
        in text
    )


def test_a_regression_without_classes(full, tmp_path):
    full["config"]["cohort"] |= {"task": "regression", "labels": [], "target": "age"}
    for name in ("roc", "first_layer", "first_layer_counts"):
        full["tables"][name] = None
    for name in ("roc", "first_layer"):
        full["figures"][name] = None
    folds, summary = (read_table(full["tables"][name]) for name in ("accuracy", "accuracy_summary"))
    write_table(
        folds.rename(columns={"accuracy": "mae"})[["model", "fold", "n_test", "mae"]], full["tables"]["accuracy"]
    )
    names = {"accuracy": "mae", "auc": "r"}
    summary = summary[summary["metric"].isin(names)].replace({"metric": names})
    write_table(summary, full["tables"]["accuracy_summary"])
    html, text = page(full, tmp_path)
    assert wording.CALIBRATION_OF_VALUES in text
    assert wording.CORRELATION_OF_VALUES in text
    assert "With targets shuffled" not in text  # the permutations measured another metric
    assert 'id="first-layer"' not in html


def test_markup_in_tables_is_escaped(full, tmp_path):
    evil = "<script>alert('x')</script>"
    for name, column in (
        ("confounds", "note"),
        ("features_dropped", "reason"),
        ("hyperparameters", "value"),
        ("morphometry_correlation", "atlas"),
        ("calibration_summary", "model"),
    ):
        path = full["tables"][name]
        table = read_table(path)
        table[column] = table[column].where(table[column] == "cnn", evil)  # of the models only the other one
        write_table(table, path)
    html, text = page(full, tmp_path)
    assert evil not in html
    assert text.count("alert('x')") >= 5


def test_the_names_of_restricted_columns_stay_out(full, tmp_path):
    write_table(pd.DataFrame({"feature": ["Family_ID"], "reason": ["restricted"]}), full["tables"]["features_dropped"])
    html, _ = page(full, tmp_path)
    assert "Family_ID" not in html


def load_script():
    place = Path(__file__).resolve().parents[4] / "workflow" / "scripts" / "write_page.py"
    spec = importlib.util.spec_from_file_location("workflow_script_write_page", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_script_finds_tables_and_pictures_by_their_names(full, tmp_path):
    script = load_script()
    results = tmp_path / "results"
    picture = full["figures"]["accuracy"].read_bytes()
    names = [*FIGURES, "accuracy", "training", "dice", "regions_parcels", "maps/gradcam_joint"]
    pictures = [results / "figures" / f"{name}.png" for name in names]
    (results / "figures" / "maps").mkdir()
    for path in pictures:
        path.write_bytes(picture)
    (results / "figures" / "regions_parcels.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    regions = results / "tables" / "top_regions_parcels.tsv"
    regions.write_text(full["tables"]["top_regions"]["parcels"].read_text())
    index = full["tables"].pop("index")
    tables = [path for name, path in full["tables"].items() if name != "top_regions"]
    write_table(pd.DataFrame({"participant_id": [], "problem": []}), results / "excluded.tsv")
    (tmp_path / "p.json").write_text(json.dumps(full["provenance"]))
    script.run(
        full["config"], results, [*tables, regions], pictures, index, results / "excluded.tsv", tmp_path / "p.json",
        {}, ["gradcam"], ["joint"], ["parcels"], tmp_path / "p.html",
    )  # fmt: skip
    html = (tmp_path / "p.html").read_text()
    assert html.count("<img") == len(FIGURES) + 5
    assert "numpy 2.3.5" in html
