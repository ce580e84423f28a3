import gzip

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
