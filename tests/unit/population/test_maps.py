import gzip

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.files import write_image, write_table
from voxplain.imaging.grid import COMMON, Grid
from voxplain.population.maps import read_index, read_on_grid, select, walk_maps
from voxplain.population.summary import summarise

SMALL = Grid((6, 7, 5), COMMON.affine)


def save(folder, people, grid=SMALL, table=True):
    """Write maps {id: (target, array)} as the stage of maps does."""
    folder.mkdir(parents=True, exist_ok=True)
    for person, (_, data) in people.items():
        write_image(data.astype(np.float32), grid.affine, folder / f"sub-{person}_map.nii.gz")
    if table:
        rows = [{"participant_id": person, "target": target} for person, (target, _) in people.items()]
        write_table(pd.DataFrame(rows, columns=["participant_id", "target"]), folder / "maps.tsv")
    return folder


@pytest.fixture
def people():
    rng = np.random.default_rng(1)
    ids = ["007", "103", "020", "1e5", "0042", "99"]
    return {i: ("FM"[n % 2], rng.normal(size=SMALL.shape).astype(np.float32)) for n, i in enumerate(ids)}


def test_gives_every_person_once_in_the_order_of_ids_and_keeps_ids_as_text(tmp_path, people):
    folder = save(tmp_path / "part", people)
    walked = list(walk_maps(folder, grid=SMALL))
    assert [person for person, _ in walked] == sorted(people)
    for person, data in walked:
        np.testing.assert_array_equal(data, people[person][1])


def test_the_cut_into_folders_and_their_order_change_nothing(tmp_path, people):
    whole = save(tmp_path / "whole", people)
    parts = [save(tmp_path / f"part{p}", dict(list(people.items())[p::3])) for p in range(3)]
    empty = save(tmp_path / "part3", {})
    for statistic in ("mean_signed", "t"):
        one = summarise(walk_maps(whole, grid=SMALL), statistic)
        cut = summarise(walk_maps([parts[2], empty, parts[0], parts[1]], grid=SMALL), statistic)
        np.testing.assert_array_equal(one, cut)


def test_groups_by_target_or_by_ids(tmp_path, people):
    folder = save(tmp_path / "part", people)
    women = sorted(i for i, (target, _) in people.items() if target == "F")
    assert [i for i, _ in walk_maps(folder, group="F", grid=SMALL)] == women
    assert [i for i, _ in walk_maps(folder, ids=women, grid=SMALL)] == women
    assert len(list(walk_maps(folder, group="joint", grid=SMALL))) == len(people)


def test_numeric_labels_are_text(tmp_path):
    folder = save(tmp_path / "part", {"a": ("0", np.ones(SMALL.shape)), "b": ("1", np.ones(SMALL.shape))})
    assert [i for i, _ in walk_maps(folder, group="1", grid=SMALL)] == ["b"]


def test_an_unknown_group_and_missing_people_are_refused(tmp_path, people):
    index = read_index(save(tmp_path / "part", people))
    with pytest.raises(InputError, match=r"target 'X'.*F, M"):
        select(index, group="X")
    with pytest.raises(InputError, match="choose people by their ids"):
        select(index.drop(columns="target"), group="F")
    with pytest.raises(InputError) as error:
        select(index, ids=["007", "gone1", "gone2"])
    assert "2 of 3 people have no map" in str(error.value)
    assert "gone1" in str(error.value)
    assert "gone2" in str(error.value)


def test_one_error_names_doubles_missing_maps_and_missing_tables(tmp_path, people):
    first = save(tmp_path / "a", people)
    second = save(tmp_path / "b", {"007": people["007"]})
    (first / "sub-103_map.nii.gz").unlink()
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError) as error:
        read_index([first, second, tmp_path / "c"])
    text = str(error.value)
    assert "3 problems" in text
    assert "participant 007 occurs 2 times" in text
    assert str(second / "sub-007_map.nii.gz") in text
    assert f"{first / 'sub-103_map.nii.gz'}: is listed" in text
    assert str(tmp_path / "c" / "maps.tsv") in text


def test_another_shape_or_affine_is_refused_before_the_walk(tmp_path, people):
    folder = save(tmp_path / "part", people)
    mirrored = SMALL.affine.copy()
    mirrored[0] *= -1
    write_image(people["99"][1], mirrored, folder / "sub-99_map.nii.gz")
    write_image(np.ones((5, 5, 5), np.float32), SMALL.affine, folder / "sub-103_map.nii.gz")
    with pytest.raises(InputError) as error:
        walk_maps(folder, grid=SMALL)
    text = str(error.value)
    assert "2 of 6 maps" in text
    assert "sub-99_map.nii.gz: has another affine (axes RAS, expected LAS)" in text
    assert "sub-103_map.nii.gz: has the shape (5, 5, 5), expected (6, 7, 5)" in text


def test_the_walk_ends_with_an_error_that_names_all_damaged_maps(tmp_path, people):
    folder = save(tmp_path / "part", people)
    hole = people["103"][1].copy()
    hole[0, 0, 0] = np.nan
    write_image(hole, SMALL.affine, folder / "sub-103_map.nii.gz")
    whole = gzip.decompress((folder / "sub-99_map.nii.gz").read_bytes())
    (folder / "sub-99_map.nii.gz").write_bytes(gzip.compress(whole[:600]))
    given = []
    with pytest.raises(InputError) as error:
        given.extend(person for person, _ in walk_maps(folder, grid=SMALL))
    assert given == ["0042", "007", "020"]
    text = str(error.value)
    assert "2 of 6 maps cannot be used" in text
    assert "sub-103_map.nii.gz: 1 voxels are NaN" in text
    assert "sub-99_map.nii.gz: is damaged" in text


def test_nothing_to_walk_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no maps to summarise"):
        walk_maps(save(tmp_path / "part", {}), grid=SMALL)
    with pytest.raises(InputError, match="No folder"):
        read_index([])


def test_read_on_grid_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.nii\.gz: cannot be read"):
        read_on_grid(tmp_path / "nothing.nii.gz")


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "|u1", ">i2", "<i4"])
def test_images_of_other_writers_and_types_are_read_as_nibabel_does(tmp_path, name, kind):
    values = np.random.default_rng(0).normal(0, 50, SMALL.shape)
    values = (np.abs(values) if kind == "|u1" else values).astype(kind)
    header = nib.Nifti1Header(endianness=">" if kind.startswith(">") else "<")
    image = nib.Nifti1Image(values, SMALL.affine, header)
    if kind == ">i2":
        image.header.set_slope_inter(0.25, 3.0)
    if kind == "<i4":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"between header and data"))
    nib.save(image, tmp_path / name)
    found = read_on_grid(tmp_path / name, SMALL)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.asarray(nib.load(tmp_path / name).dataobj, dtype=np.float32))
    assert found.flags.writeable


def test_every_map_is_an_array_of_its_own(tmp_path, people):
    first, second, *_ = [data for _, data in walk_maps(save(tmp_path / "part", people), grid=SMALL)]
    before = second.copy()
    first[:] = 7
    np.testing.assert_array_equal(second, before)


@pytest.mark.parametrize("what", ["checksum", "cut", "voxels"])
def test_damage_after_the_header_is_found(tmp_path, what):
    grid = Grid((30, 31, 32), COMMON.affine)
    volumes = np.random.default_rng(0).normal(size=(2, *grid.shape))
    people = {person: ("F", volume) for person, volume in zip(("1", "99"), volumes, strict=True)}
    path = save(tmp_path / "part", people, grid) / "sub-99_map.nii.gz"
    packed = bytearray(path.read_bytes())
    if what == "checksum":
        packed[-8] ^= 1
    elif what == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed = gzip.compress(gzip.decompress(packed)[:-4])
    path.write_bytes(packed)
    with pytest.raises(InputError, match=r"^[^\n]*sub-99_map\.nii\.gz: is damaged \([^\n]*\)$"):
        read_on_grid(path, grid)
    with pytest.raises(InputError, match=r"1 of 2 maps cannot be used(.|\n)*sub-99_map\.nii\.gz: is damaged"):
        list(walk_maps(tmp_path / "part", grid=grid))


@pytest.mark.parametrize(
    "content", [b"", b"no image", gzip.compress(b"short", mtime=0), gzip.compress(bytes(1000), mtime=0)]
)
def test_what_is_no_image_is_refused_before_the_walk(tmp_path, people, content):
    path = save(tmp_path / "part", people) / "sub-99_map.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^[^\n]*sub-99_map\.nii\.gz: cannot be read \([^\n]*\)$"):
        read_on_grid(path, SMALL)
    with pytest.raises(InputError, match=r"1 of 6 maps do not lie(.|\n)*sub-99_map\.nii\.gz: cannot be read"):
        walk_maps(tmp_path / "part", grid=SMALL)


def test_one_image_of_another_grid_or_not_finite_is_refused_in_one_sentence(tmp_path):
    path, volume = tmp_path / "map.nii.gz", np.ones(SMALL.shape, np.float32)
    write_image(volume, SMALL.affine, path)
    with pytest.raises(InputError, match=r"^[^\n]*map\.nii\.gz: has the shape \(6, 7, 5\), expected \(58, 70, 58\)$"):
        read_on_grid(path)
    write_image(volume, np.diag([-1.0, 1, 1, 1]) @ SMALL.affine, path)
    with pytest.raises(InputError, match=r"^[^\n]*map\.nii\.gz: has another affine \(axes RAS, expected LAS\)$"):
        read_on_grid(path, SMALL)
    volume[0, 0, :2] = np.nan, np.inf
    write_image(volume, SMALL.affine, path)
    with pytest.raises(InputError, match=r"^[^\n]*map\.nii\.gz: 2 voxels are NaN or infinite$"):
        read_on_grid(path, SMALL)
