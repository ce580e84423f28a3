import hashlib

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn import datasets

from voxplain.base.errors import InputError
from voxplain.base.files import write_image
from voxplain.imaging.grid import COMMON, Grid
from voxplain.population.atlas import fetch, load_atlas


def centre_x(data, grid, label):
    return (np.argwhere(data == label) @ grid.affine[:3, :3].T + grid.affine[:3, 3])[:, 0].mean()


def test_loads_onto_the_common_grid_with_left_on_the_left(toy_files, toy_names):
    atlas = load_atlas(*toy_files)
    assert atlas.name == "boxes"
    assert atlas.data.shape == COMMON.shape
    assert atlas.data.dtype == np.int32
    assert atlas.regions["index"].tolist() == list(toy_names)
    assert atlas.regions["hemisphere"].tolist() == ["left", "right", "left", "right", "both"]
    assert centre_x(atlas.data, COMMON, 1) == pytest.approx(-30, abs=1.6)
    assert centre_x(atlas.data, COMMON, 2) == pytest.approx(30, abs=1.6)
    # 38 x 28 x 38 mm
    assert (atlas.data == 1).sum() * np.prod(COMMON.voxel_size()) == pytest.approx(38 * 28 * 38, rel=0.15)


@pytest.mark.parametrize("axes", [("R", "A", "S"), ("P", "S", "R"), ("I", "L", "P")])
def test_the_order_of_axes_in_the_file_changes_nothing(tmp_path, toy_files, toy_labels, toy_grid, axes):
    image = nib.Nifti1Image(toy_labels, toy_grid.affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(axes))
    turned = image.as_reoriented(turn)
    assert nib.aff2axcodes(turned.affine) == axes
    turned.to_filename(tmp_path / "turned.nii.gz")
    again = load_atlas(tmp_path / "turned.nii.gz", toy_files[1])
    np.testing.assert_array_equal(again.data, load_atlas(*toy_files).data)


def test_a_mirrored_atlas_is_refused(tmp_path, toy_files, toy_labels, toy_grid):
    """Once the voxels under the right header, once the header over the right voxels."""
    right_handed = toy_grid.affine.copy()
    right_handed[0] *= -1
    for number, (data, affine) in enumerate([(toy_labels[::-1], toy_grid.affine), (toy_labels, right_handed)]):
        write_image(data, affine, tmp_path / f"{number}.nii.gz")
        with pytest.raises(InputError) as error:
            load_atlas(tmp_path / f"{number}.nii.gz", toy_files[1])
        text = str(error.value)
        assert "4 of 4 regions named left or right" in text
        assert "1 Box front L: centre at x = 3" in text
        assert "4 Box back R: centre at x = -3" in text


def test_swapped_names_of_one_pair_are_refused(toy_files):
    image, table = toy_files
    table.write_text(
        "index\tname\n1\tBox front L\n2\tBox front R\n3\tRight back box\n4\tLeft back box\n7\tMidline box\n"
    )
    with pytest.raises(InputError) as error:
        load_atlas(image, table)
    assert "2 of 4 regions" in str(error.value)
    assert "3 Right back box" in str(error.value)
    assert "Box front" not in str(error.value)


def test_labels_without_names_and_names_without_labels_are_all_named(toy_files):
    image, table = toy_files
    table.write_text("index\tname\n1\tBox front L\n3\tBox back L\n4\tBox back R\n8\tTapetum L\n9\tTapetum R\n")
    with pytest.raises(InputError) as error:
        load_atlas(image, table)
    text = str(error.value)
    assert "5 labels, the table 5 names, 2 labels have no name and 2 names no voxel" in text
    for offender in ("label 2 has no name", "label 7 has no name", "8 Tapetum L has no voxel", "9 Tapetum R"):
        assert offender in text


def test_a_table_of_another_length_is_refused(toy_files):
    image, table = toy_files
    table.write_text("\n".join(f"region {n}" for n in range(1, 6)))
    with pytest.raises(InputError, match=r"label 7 has no name"):
        load_atlas(image, table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data * np.float32(0.5), "do not hold a label"),
        (lambda data: np.where(data == 7, -1, data).astype(np.int16), "do not hold a label"),
        (lambda data: np.stack([data] * 3, axis=-1), "axes|dimensions"),
        (lambda data: data * 0, "empty"),
    ],
)
def test_images_that_hold_no_labels_are_refused(tmp_path, toy_files, toy_labels, toy_grid, change, message):
    path = tmp_path / "other.nii.gz"
    nib.Nifti1Image(change(toy_labels), toy_grid.affine).to_filename(path)
    with pytest.raises(InputError, match=f"(?s)other.nii.gz.*({message})"):
        load_atlas(path, toy_files[1])


def test_whole_numbers_stored_as_floats_are_labels(tmp_path, toy_files, toy_labels, toy_grid):
    write_image(toy_labels.astype(np.float32), toy_grid.affine, tmp_path / "float.nii.gz")
    np.testing.assert_array_equal(load_atlas(tmp_path / "float.nii.gz", toy_files[1]).data, load_atlas(*toy_files).data)


def test_missing_and_truncated_images_are_refused(tmp_path, toy_files):
    image, table = toy_files
    with pytest.raises(InputError, match=r"nothing\.nii\.gz"):
        load_atlas(tmp_path / "nothing.nii.gz", table)
    with pytest.raises(InputError, match=r"nothing\.nii\.gz"):
        load_atlas(tmp_path / "nothing.nii.gz", table, sha256="00")
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"boxes\.nii\.gz"):
        load_atlas(image, table)


def test_checksum(toy_files):
    image, table = toy_files
    right = hashlib.sha256(image.read_bytes()).hexdigest()
    assert load_atlas(image, table, name="mine", sha256=right.upper()).name == "mine"
    with pytest.raises(InputError, match=f"its SHA-256 is {right}, expected {'0' * 64}"):
        load_atlas(image, table, sha256="0" * 64)


def test_an_atlas_beside_the_brain_is_refused(tmp_path, toy_files, toy_labels, toy_grid):
    affine = toy_grid.affine.copy()
    affine[2, 3] += 75
    write_image(toy_labels, affine, tmp_path / "high.nii.gz")
    with pytest.raises(InputError, match=r"only \d+% of the labelled voxels lie in the MNI brain"):
        load_atlas(tmp_path / "high.nii.gz", toy_files[1])


def test_regions_too_small_for_the_grid_are_named(tmp_path, toy_files, toy_names, toy_grid):
    fine = Grid((182, 218, 182), np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]))
    from scipy.ndimage import zoom

    atlas = load_atlas(*toy_files)
    labels = zoom(np.asarray(nib.load(toy_files[0]).dataobj), 2, order=0)
    # Between voxel centres of the common grid, which lie more than 3 mm apart.
    centre = COMMON.affine[:3, :3] @ np.argwhere(atlas.data == 7)[40] + COMMON.affine[:3, 3] + 1.55
    labels[tuple(np.rint(np.linalg.solve(fine.affine[:3, :3], centre - fine.affine[:3, 3])).astype(int))] = 9
    write_image(labels, fine.affine, tmp_path / "fine.nii")
    toy_files[1].write_text("".join(f"{i} {name}\n" for i, name in (toy_names | {9: "Tiny nucleus"}).items()))
    with pytest.raises(InputError, match=r"(?s)1 of 6 regions have no voxel.*3\.14 × 3\.11 × 3\.14 mm.*9 Tiny nucleus"):
        load_atlas(tmp_path / "fine.nii", toy_files[1])


@pytest.fixture
def fake_fetcher(monkeypatch):
    def install(**contents):
        asked = {}

        def fetch_atlas_aal(**arguments):
            asked.update(arguments)
            return contents

        monkeypatch.setattr(datasets, "fetch_atlas_aal", fetch_atlas_aal)
        return asked

    return install


def test_fetching_takes_image_and_table_and_leaves_out_absent_labels(
    fake_fetcher, toy_files, toy_labels, toy_grid, toy_names, tmp_path
):
    table = pd.DataFrame({"index": [0, *toy_names, 42], "name": ["Background", *toy_names.values(), "Medial wall"]})
    expected = load_atlas(*toy_files)
    for image in (str(toy_files[0]), nib.Nifti1Image(toy_labels, toy_grid.affine)):
        asked = fake_fetcher(maps=image, lut=table)
        atlas = fetch("aal", folder=tmp_path, version="SPM12")
        assert asked == {"version": "SPM12", "data_dir": str(tmp_path)}
        assert atlas.name == "aal"
        np.testing.assert_array_equal(atlas.data, expected.data)
        pd.testing.assert_frame_equal(atlas.regions, expected.regions, check_dtype=False)


def test_fetched_atlases_are_checked_too(fake_fetcher, toy_labels, toy_grid, toy_names):
    table = pd.DataFrame({"index": list(toy_names), "name": list(toy_names.values())})
    fake_fetcher(maps=nib.Nifti1Image(toy_labels[::-1], toy_grid.affine), lut=table)
    with pytest.raises(InputError, match="4 of 4 regions named left or right"):
        fetch("aal")
    fake_fetcher(maps=nib.Nifti1Image(toy_labels.astype(np.float32) / 2, toy_grid.affine), lut=table)
    with pytest.raises(InputError, match="do not hold a label"):
        fetch("aal")
    fake_fetcher(maps=["a.nii", "b.nii"], labels=["a"])
    with pytest.raises(InputError, match="choose a deterministic atlas"):
        fetch("aal")


def test_fetching_without_a_network_or_with_a_wrong_word_explains_itself(monkeypatch):
    def offline(**arguments):
        raise OSError("Name or service not known")

    monkeypatch.setattr(datasets, "fetch_atlas_aal", offline)
    with pytest.raises(InputError, match=r"(?s)Name or service not known.*give the atlas as an image"):
        fetch("aal")
    with pytest.raises(InputError, match=r"(?s)no fetcher for an atlas 'brainnetome'.*harvard_oxford"):
        fetch("brainnetome")
    with pytest.raises(InputError, match=r"does not take \{'atlas': 'x'\}"):
        fetch("harvard_oxford", atlas="x")
