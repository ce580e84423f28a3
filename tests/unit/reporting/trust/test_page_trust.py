"""What the page says of the tests of the maps."""

import importlib.util
import json
import re
from html import unescape
from pathlib import Path

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.reporting import wording
from voxplain.reporting.page import write_page

EVIL = "<script>alert('x')</script>"
SECTIONS = ("trust", "inference", "anatomy")


def change(contents, name, how):
    """Change one of the tables."""
    path = contents["tables"][name]
    write_table(how(read_table(path)), path)


def page(contents, tmp_path):
    """Return the page's HTML and its text."""
    write_page(tmp_path / "index.html", contents)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    text = unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.S)).replace("\xa0", " ")
    return html, re.sub(r"\s+", " ", text)


def rows_of(html, caption):
    """Return the rows of the table with this caption, as lists of cell texts."""
    table = html[html.index(f"<caption>{caption}") :].split("</table>")[0]
    rows = re.findall(r"<tr>.*?</tr>", table, flags=re.S)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, flags=re.S) for row in rows]
    return [[re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", cell)).strip() for cell in row] for row in cells]


def test_the_verdict_stands_first_among_the_maps_in_words_and_signs(tested, tmp_path):
    html, text = page(tested, tmp_path)
    section = html[html.index('<section id="maps">') :]
    assert section.index('id="verdict"') < section.index("<article>")
    assert "Guided backpropagation passes 2 of 3; Grad-CAM passes 2 of 2." in text
    assert "Do not interpret Guided backpropagation: its maps do not change when the network is randomised." in text
    rows = {row[0]: row[1:] for row in rows_of(html, "Every method by every criterion")}
    assert next(cells for title, cells in rows.items() if title.startswith("Changes when")) == [
        "✗ fails 0.70 chance 0.50", "✓ passes 0.70 chance 0.50",
    ]  # fmt: skip
    assert "passes: p ≤ 0.05" in text
    assert re.search(r'<td class="not-testable" title="&lt;script&gt;', html)
    assert text.count("Do not interpret") == 2  # above the table and beside the maps of the method
    assert wording.VERDICTS in text


def test_the_best_method_at_the_top_is_one_that_passes_randomisation(tested, tmp_path):
    change(tested, "planted_regions", lambda table: table.assign(in_top=True, rank=1))
    _, text = page(tested, tmp_path)
    top = text[: text.index("Where the networks looked")]
    assert "with the best method, Grad-CAM. AUC of its map: 0.50 (misplaced truth: up to 0.66)" in top
    assert "Guided backpropagation does better on the truth, but fails the randomisation test" in top
    assert "it fails the randomisation test" in text[text.index("Do the maps tell the truth?") :]


def test_where_every_method_fails_randomisation_none_is_recommended(tested, tmp_path):
    change(tested, "verdicts", lambda table: table.assign(verdict="fails"))
    _, text = page(tested, tmp_path)
    top = text[: text.index("Where the networks looked")]
    assert "No method to trust" in top
    assert "best method" not in top


def test_every_test_has_its_table_note_and_link(tested, tmp_path):
    html, text = page(tested, tmp_path)
    for section in SECTIONS:
        assert f'<section id="{section}">' in html
        assert f'href="#{section}"' in html
    for note in ("MASKED", "FEW_MASKS", "RETRAINING", "REPRODUCIBILITY", "AGREEMENT", "INFERENCE", "ANATOMY"):
        assert getattr(wording, note) in text
    assert html.count("<img") == 3 * 2 + 4 + 7
    reproduced = rows_of(html, "Likeness of maps")
    assert reproduced[1] == [
        "Guided backpropagation", "another seed", "0.62", "0.12", "0.62", "0.62", "0.62 to 0.62", "0.62", "0.12",
        "1", "4",
    ]  # fmt: skip
    assert [row[1] for row in reproduced[1:3]] == ["another seed", "shuffled labels"]  # not as they come
    assert rows_of(html, "The networks that were trained once more")[1][:4] == [
        "nothing (the networks of the maps)", "original", "Accuracy", "0.900",
    ]  # fmt: skip
    assert rows_of(html, "Networks trained anew")[-1][:4] == ["Random maps", "removed", "20", "Accuracy"]
    assert rows_of(html, "Maps of all people, pair by pair")[1] == [
        "Grad-CAM", "Guided backpropagation", "0.38", "0.20", "0.002", "0.38", "0.20",
    ]  # fmt: skip
    assert "Dice, strongest 5 %" in text
    assert rows_of(html, "Where people's maps differ".replace("'", "&#39;"))[1][:5] == [
        "Guided backpropagation", "classes differ", "M-F", "12.5 %", "−5.00",
    ]  # fmt: skip
    anatomy = rows_of(html, "Maps beside a voxel-wise t-test")
    assert anatomy[1] == ["Guided backpropagation", "0.38", "0.15", "0.003", "37.50", "70.00", "37.50", "80.00"]
    assert len(rows_of(html, "First regions of each map, parcels")) == 1 + 2 * 5  # top regions of the config


def test_regions_have_intervals_and_the_test_of_their_difference(tested, tmp_path):
    html, text = page(tested, tmp_path)
    rows = rows_of(html, "Top regions of parcels")
    assert rows[0][-2:] == ["p (FWE)", "q (FDR)"]
    first = next(row for row in rows if row[:3] == ["all people", "Grad-CAM", "1"])
    assert first[3:5] == ["3 to 9", "Region 1"]
    assert "1.1 % to 22.2 %" in first
    assert first[-2:] == ["0.020", "0.500"]  # of the difference, not of the mean
    # Nothing was drawn for class F: its cells are empty, the row stays.
    assert next(row for row in rows if row[:3] == ["class F", "Grad-CAM", "1"])[3] == "n/a"
    assert wording.REGIONS_TESTED.format("whether the classes differ") in text


def test_of_several_classes_the_contrast_with_the_smallest_p_is_named(tested, tmp_path):
    def two_contrasts(table):
        own = table[table["contrast"] == "difference"].assign(groups="B-others")
        return pd.concat([own.assign(groups="A-others", p_fwe=own["p_fwe"] + 0.1, q=0.6), own])

    tested["config"]["cohort"]["labels"] = ["A", "B", "C"]
    change(tested, "inference_regions", two_contrasts)
    html, _ = page(tested, tmp_path)
    first = next(row for row in rows_of(html, "Top regions of parcels") if row[:3] == ["all people", "Grad-CAM", "1"])
    assert first[-3:] == ["B-others", "0.020", "0.500"]


def test_a_regression_speaks_of_the_number(tested, tmp_path):
    tested["config"]["cohort"] |= {"task": "regression", "labels": [], "target": "age"}
    change(tested, "verdicts", lambda table: table.assign(criterion="inference", verdict="passes"))
    for name in ("inference", "inference_regions"):
        change(tested, name, lambda table: table[table["groups"] == "M-F"].assign(contrast="slope", groups=None))
    html, text = page(tested, tmp_path)
    assert "Follows the number beyond chance" in text
    inferred = rows_of(html, "Where people's maps differ".replace("'", "&#39;"))
    assert inferred[0][2] != "Contrast"  # no classes, no column
    assert inferred[1][1] == "maps follow the number"


def test_a_truth_that_the_user_knows_was_not_planted(tested, tmp_path):
    tested["tables"]["planted_regions"] = None
    tested["config"]["cohort"]["source"] = "hcp"
    _, text = page(tested, tmp_path)
    assert "planted voxels" not in text
    assert "planted regions" not in text
    assert "Finds the known truth: AUC 0.90" in text
    assert "How well the maps rank the voxels of the known truth above others" in text
    top = text[: text.index("Where the networks looked")]
    assert "AUC 0.50 is how well the best method, Grad-CAM, ranks the voxels of the known truth" in top
    assert "Nobody knows where the truth lies" not in text


def test_the_map_after_training_on_shuffled_labels_is_named_as_such(contents, tmp_path):
    change(contents, "localization", lambda table: pd.concat([table, table[-2:].assign(level="shuffled labels")]))
    html, text = page(contents, tmp_path)
    rows = [row[1:3] for row in rows_of(html, "How well the maps rank planted voxels")]
    assert rows[1:4] == [
        ["Guided backpropagation", level]
        for level in ("population map", "single people, mean", "population map, shuffled labels")
    ]
    assert text.count("Finds planted voxels") == 2  # the control is no score of the method


def test_any_table_may_be_missing(tested, tmp_path):
    everything, _ = page(tested, tmp_path)
    new = ["verdicts", "reproducibility", "reproducibility_networks", "masked_accuracy", "retraining", "agreement"]
    new += ["inference", "inference_regions", "region_intervals", "anatomy", "anatomy_regions"]
    for name in new:
        html, _ = page(tested | {"tables": tested["tables"] | {name: None}}, tmp_path)
        assert len(html) < len(everything), name
    needed = {name: tested["tables"][name] for name in ("cohort", "accuracy", "accuracy_summary")}
    html, _ = page(tested | {"tables": needed}, tmp_path)
    for section in (*SECTIONS, "truth", "verdict"):
        assert f'id="{section}"' not in html


def test_names_in_the_tables_of_tests_are_escaped(tested, tmp_path):
    for name in ("reproducibility", "agreement", "inference", "anatomy", "masked_accuracy", "retraining"):
        change(tested, name, lambda table: table.replace({column: {"gradcam": EVIL} for column in table}))
    change(tested, "verdicts", lambda table: pd.concat([table, table.assign(criterion=EVIL, verdict="passes")]))
    html, text = page(tested, tmp_path)
    assert EVIL not in html
    assert text.count(EVIL) > 5


def test_the_rule_hands_tables_and_pictures_of_atlases_on_by_atlas(tested, tmp_path):
    place = Path(__file__).resolve().parents[4] / "workflow" / "scripts" / "write_page.py"
    spec = importlib.util.spec_from_file_location("workflow_script_write_page", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder, picture = tmp_path / "results", tested["figures"]["accuracy"]
    tables = [path for path in tested["tables"].values() if isinstance(path, Path) and path.stem != "index"]
    for name in ("top_regions", "anatomy_regions"):
        path = folder / "tables" / f"{name}_parcels.tsv"
        write_table(read_table(tested["tables"][name]["parcels"]), path)
        tables = [other for other in tables if other.stem != name] + [path]
    pictures = [folder / "figures" / f"{name}_parcels.png" for name in ("regions", "intervals", "anatomy_regions")]
    pictures.append(folder / "figures" / "anatomy.png")
    for path in pictures:
        path.write_bytes(picture.read_bytes())
    excluded = folder / "images" / "excluded.tsv"
    write_table(pd.DataFrame({"participant_id": []}), excluded)
    page_path, index = folder / "report" / "index.html", tested["tables"]["index"]
    record = folder / "provenance.json"
    record.write_text(json.dumps(tested["provenance"]))
    script.run(
        tested["config"], folder, tables, pictures, index, excluded, record, {}, [], [], ["parcels"], page_path,
    )  # fmt: skip
    html = page_path.read_text(encoding="utf-8")
    assert html.count("<img") == 4
    assert "First regions of each map, parcels" in html
