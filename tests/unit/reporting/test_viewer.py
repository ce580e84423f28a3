"""The data of the page's viewer, and the page with it."""

import base64
import gzip
import hashlib
import io
import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_image, write_table
from voxplain.imaging.grid import COMMON
from voxplain.reporting import style
from voxplain.reporting.packing import as_json
from voxplain.reporting.page import write_page
from voxplain.reporting.viewer import LEVELS, PROGRAM, VERSION, describe_viewer, read_program


def unpack(text):
    return gzip.decompress(base64.b64decode(text))


def volume(text):
    return nib.Nifti1Image.from_bytes(unpack(text))


@pytest.fixture
def files(brain_files, tmp_path):
    """A map on the right side, the same with signs, and an atlas whose region 300 is the map's mask."""
    mask = np.asarray(nib.load(brain_files / "mask.nii.gz").dataobj) > 0.5
    signed = np.where(mask, np.linspace(-0.5, 1, mask.size, dtype=np.float32).reshape(mask.shape), 0)
    write_image(signed, COMMON.affine, tmp_path / "signed.nii.gz")
    write_image(np.where(mask, 300, 0).astype(np.int16), COMMON.affine, tmp_path / "atlas.nii.gz")
    write_table(pd.DataFrame({"index": [300], "name": ["<b>right</b>"], "hemisphere": "right"}), tmp_path / "atlas.tsv")
    return {
        "mean": brain_files / "mean.nii.gz",
        "brain": brain_files / "brain.nii.gz",
        "maps": {"gradcam": {"joint": brain_files / "map.nii.gz"}, "lrp": {"joint": tmp_path / "signed.nii.gz"}},
        "atlases": {"sides": {"image": tmp_path / "atlas.nii.gz", "labels": tmp_path / "atlas.tsv"}},
    }


def test_a_packed_map_is_the_map_at_its_place(files):
    data = describe_viewer(**files, groups=["joint"])
    for method, signed in (("gradcam", False), ("lrp", True)):
        packed, whole = data["maps"][method]["joint"], nib.load(files["maps"][method]["joint"])
        image = volume(packed["volume"])
        assert packed["signed"] is signed
        assert image.get_data_dtype() == np.uint8
        assert image.shape == tuple(data["shape"])
        assert np.prod(image.shape) < np.prod(whole.shape)
        step = packed["top"] / LEVELS
        near = np.clip(whole.get_fdata(), -packed["top"], packed["top"])
        for voxel in ([3, 4, 5], [10, 30, 25], [20, 20, 20]):
            mm = image.affine @ [*voxel, 1]
            there = tuple(np.linalg.solve(whole.affine, mm)[:3].round().astype(int))
            assert image.get_fdata()[tuple(voxel)] == pytest.approx(near[there], abs=0.51 * step)
        assert np.abs(image.get_fdata()).sum() == pytest.approx(np.abs(near).sum(), rel=0.02)
        assert np.asarray(data["affine"]) == pytest.approx(image.affine, abs=1e-4)


def test_the_strongest_place_is_that_of_the_map(files):
    peak = describe_viewer(**files, groups=["joint"])["maps"]["lrp"]["joint"]["peak"]
    whole = nib.load(files["maps"]["lrp"]["joint"])
    strongest = np.unravel_index(np.abs(whole.get_fdata()).argmax(), whole.shape)
    assert peak == pytest.approx((whole.affine @ [*strongest, 1])[:3], abs=0.1)


def test_labels_of_an_atlas_are_read_with_the_first_axis_fastest(files):
    data = describe_viewer(**files, groups=["joint"])
    (atlas,) = data["atlases"]
    labels = np.frombuffer(unpack(atlas["labels"]), "<u2").reshape(data["shape"], order="F")
    inside = volume(data["maps"]["gradcam"]["joint"]["volume"]).get_fdata() > 0
    assert atlas["names"] == {300: "<b>right</b>"}
    assert np.array_equal(labels == 300, inside)


def test_the_mean_is_black_outside_of_the_brain_alone(files):
    data = describe_viewer(**files, groups=["joint"])
    assert (volume(data["mean"]).get_fdata() > 0).sum() == (nib.load(files["brain"]).get_fdata() > 0.5).sum()


def test_a_map_of_zeros_can_be_shown(files, tmp_path):
    write_image(np.zeros(COMMON.shape, np.float32), COMMON.affine, tmp_path / "zero.nii.gz")
    files["maps"] = {"gradcam": {"joint": tmp_path / "zero.nii.gz"}}
    shown = describe_viewer(**files, groups=["joint"])["maps"]["gradcam"]["joint"]
    assert shown["top"] == 0
    assert not volume(shown["volume"]).get_fdata().any()


def test_other_grids_and_numbers_that_are_not_finite_are_refused(files, tmp_path):
    flipped = COMMON.affine * [[-1], [1], [1], [1]]
    write_image(np.ones(COMMON.shape, np.float32), flipped, tmp_path / "flipped.nii.gz")
    with pytest.raises(InputError, match="do not lie on the grid"):
        describe_viewer(**files | {"maps": {"lrp": {"joint": tmp_path / "flipped.nii.gz"}}}, groups=["joint"])
    broken = np.full(COMMON.shape, np.nan, np.float32)
    nib.save(nib.Nifti1Image(broken, COMMON.affine), tmp_path / "nan.nii.gz")
    with pytest.raises(InputError, match="not finite"):
        describe_viewer(**files | {"mean": tmp_path / "nan.nii.gz"}, groups=["joint"])


def test_the_program_is_the_one_that_was_published():
    stated = (PROGRAM.parent / "README.md").read_text()
    assert hashlib.sha256(PROGRAM.read_bytes()).hexdigest() in stated
    assert VERSION in stated
    assert (PROGRAM.parent / f"niivue-{VERSION}.LICENSE.txt").is_file()


def test_the_page_carries_the_viewer_and_allows_no_other_program(contents, files, tmp_path):
    write_page(tmp_path / "index.html", contents | {"viewer": files})
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="viewer-data">(.*?)</script>', html, re.S).group(1)
    assert json.loads(data)["atlases"][0]["names"] == {"300": "<b>right</b>"}
    assert "<b>right</b>" not in html
    packed = re.search(r'<script type="text/plain" id="viewer-program">(.*?)</script>', html, re.S).group(1)
    assert unpack(packed).decode() == read_program()
    digest = base64.b64encode(hashlib.sha256(read_program().encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1).replace("&#39;", "'")
    assert f"'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy


@pytest.mark.parametrize("known", [True, False])
def test_the_top_of_the_page_shows_the_map_that_it_names(contents, files, tmp_path, known):
    right = files["maps"]["gradcam"]
    methods = read_table(contents["tables"]["explained"])["method"]
    maps = {method: right if known else {} for method in methods}
    write_page(tmp_path / "index.html", contents | {"viewer": files | {"maps": maps}})
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    top = html[: html.index("Where the networks looked")]
    found = re.search(r'<img class="glance" src="data:image/webp;base64,([^"]+)" alt="([^"]+)"', top)
    assert bool(found) is known
    if known:
        assert style.method_title(re.search("most of the map of ([^(]+) ", top).group(1)) in found.group(2)
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.group(1)))).convert("RGB"), np.int16)
        axial = picture[22:, : picture.shape[1] // 4]
        coloured = np.nonzero(axial[..., 0] - axial[..., 2] > 60)[1]
        assert len(coloured) > 20
        assert coloured.mean() > axial.shape[1] / 2


def test_json_cannot_end_the_element_that_holds_it():
    assert json.loads(as_json({"a": "</script>&<!--"})) == {"a": "</script>&<!--"}
    assert not set("<>&") & set(as_json(["</script>&"]))
