"""Single people: pictures beside the page, and what the page says of each."""

import base64
import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image, write_table
from voxplain.imaging.grid import COMMON
from voxplain.reporting.page import write_page
from voxplain.reporting.people import COLUMNS, describe_people, draw_people, predicted

PLACES = {"a1": (15, 40, 20), "b2": (40, 30, 30)}  # voxels; on the common grid a small first one is on the right


@pytest.fixture
def folders(tmp_path):
    """Two people's maps of Grad-CAM, one spot each; only one of the two has a map of perturbations."""
    made = {}
    for method, people in (("gradcam", ("a1", "b2")), ("perturbation", ("b2",))):
        folder = tmp_path / method
        made[method] = [folder]
        for person in people:
            data = np.zeros(COMMON.shape, np.float32)
            x, y, z = PLACES[person]
            data[x - 2 : x + 3, y - 2 : y + 3, z - 2 : z + 3] = 0.02
            write_image(data, COMMON.affine, folder / f"sub-{person}_map.nii.gz")
        said = {"participant_id": people, "target": "F", "explained": "M-F", "score_before": -1.5}
        write_table(pd.DataFrame(said), folder / "maps.tsv")
    return made


def test_everybody_has_a_picture_cut_where_the_map_is_strongest(folders, brain_files, tmp_path):
    draw_people(folders, brain_files / "mean.nii.gz", brain_files / "brain.nii.gz", tmp_path / "people")
    table = read_table(tmp_path / "people" / "people.tsv", dtype={"participant_id": str})
    assert list(table.columns) == COLUMNS
    assert list(zip(table["participant_id"], table["method"], strict=True)) == [
        ("a1", "gradcam"),
        ("b2", "gradcam"),
        ("b2", "perturbation"),
    ]
    for _, row in table.iterrows():
        at = COMMON.affine @ [*PLACES[row["participant_id"]], 1]
        assert row[["x", "y", "z"]].tolist() == pytest.approx(at[:3], abs=4)
    pictures = {path.name: Image.open(path) for path in (tmp_path / "people").glob("*.webp")}
    assert set(pictures) == {"sub-a1.webp", "sub-b2.webp"}
    one, two = pictures["sub-a1.webp"], pictures["sub-b2.webp"]
    assert two.width == 2 * one.width
    # The axial section is the first: what lies on the right side of the brain is on its right.
    for picture, right in ((one, True), (two, False)):
        axial = np.asarray(picture.convert("RGB"), np.int16)[22 : one.height, : one.width // 4]
        coloured = np.nonzero(axial[..., 0] - axial[..., 2] > 60)[1]
        assert len(coloured) > 20
        assert (coloured.mean() > axial.shape[1] / 2) is np.bool_(right)


@pytest.mark.parametrize(
    ("explained", "score", "labels", "settings", "told"),
    [
        ("M-F", 2.0, ["F", "M"], {}, "M"),
        ("M-F", -2.0, ["F", "M"], {}, "F"),
        ("p(M)-p(F)", -0.3, ["F", "M"], {}, "F"),
        ("p(F)", 0.9, ["F", "M"], {}, "F"),
        ("p(F)", 0.2, ["F", "M"], {}, "M"),
        ("F", 3.0, ["F", "M"], {}, ""),
        ("F", 3.0, ["F", "M"], {"target": "predicted"}, "F"),
        ("p(b)", 0.4, ["a", "b", "c"], {"target": "predicted"}, "b"),
        ("p(b)", 0.4, ["a", "b", "c"], {"target": "true"}, ""),
        ("p(b)", 0.6, ["a", "b", "c"], {"target": "true"}, "b"),
        ("regression", 41.26, [], {}, "41.3"),
        (np.nan, 1.0, ["F", "M"], {}, ""),
        ("M-F", np.nan, ["F", "M"], {}, ""),
    ],
)
def test_the_prediction_is_told_as_far_as_the_score_tells_it(explained, score, labels, settings, told):
    assert predicted(explained, score, labels, settings) == told


def people_table(path, person="100001"):
    rows = [[person, "F", method, "M-F", -2.25, 1.0, -2.0, 3.0] for method in ("gradcam", "lrp")]
    write_table(pd.DataFrame(rows, columns=COLUMNS), path)
    return path


def test_what_the_page_shows_of_a_person(tmp_path):
    people = read_table(people_table(tmp_path / "people.tsv"), dtype={"participant_id": str})
    told = describe_people(people, {"lrp": {}, "gradcam": {}}, ["F", "M"])
    assert told["methods"] == ["Layer-wise relevance propagation", "Grad-CAM"]
    place = [1.0, -2.0, 3.0]
    assert told["people"] == [["100001", "F", "F", [[1, "M-F", "−2.25", place], [0, "M-F", "−2.25", place]]]]


def test_ids_are_packed_and_their_markup_is_none(contents, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    write_page(tmp_path / "index.html", contents | {"people": people_table(tmp_path / "people.tsv", evil)})
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert evil not in html
    packed = re.search(r'id="people-data">(.*?)</script>', html, re.S).group(1)
    assert json.loads(gzip.decompress(base64.b64decode(packed)))["people"][0][0] == evil
    assert "1 people were explained" not in html


def test_pictures_beside_the_page_are_allowed_only_where_there_are_some(contents, tmp_path):
    write_page(tmp_path / "without.html", contents)
    write_page(tmp_path / "with.html", contents | {"people": people_table(tmp_path / "people.tsv")})
    assert "file:" not in (tmp_path / "without.html").read_text().split("base-uri")[0]
    assert "single-people" not in (tmp_path / "without.html").read_text().split("<script>")[0]
    assert "img-src data: &#39;self&#39; file:;" in (tmp_path / "with.html").read_text()


def test_single_people_are_refused_where_the_target_is_restricted(contents, tmp_path):
    contents["config"]["cohort"]["restricted_target"] = True
    with pytest.raises(InputError, match="people: target"):
        write_page(tmp_path / "p.html", contents | {"people": people_table(tmp_path / "people.tsv")})
    assert not (tmp_path / "p.html").exists()
