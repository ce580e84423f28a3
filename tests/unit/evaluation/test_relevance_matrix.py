"""The maps of people as one matrix in a temporary file."""

import errno

import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation import relevance_matrix
from voxplain.evaluation.inference import permutation_test, target_contrasts
from voxplain.evaluation.permutations import draw_exchanges
from voxplain.evaluation.relevance_matrix import (
    RelevanceMatrix,
    column_blocks,
    region_means,
    region_membership,
    stack_maps,
)
from voxplain.imaging.grid import COMMON
from voxplain.models.exchange import exchangeable_blocks
from voxplain.population.atlas import Atlas
from voxplain.population.regions import region_scores
from voxplain.population.summary import prepared, smooth

SHAPE, PEOPLE = (9, 8, 7), 23


@pytest.fixture
def maps():
    rng = np.random.default_rng(5)
    return {f"{number:02d}": rng.normal(0.3, 1, SHAPE).astype(np.float32) for number in rng.permutation(PEOPLE)}


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks of columns, and several portions of people."""
    monkeypatch.setattr(relevance_matrix, "MOST_VALUES", PEOPLE * 31)
    monkeypatch.setattr(relevance_matrix, "PEOPLE_AT_ONCE", 4)


def whole(matrix):
    return np.concatenate([block for _, block in matrix.columns()], axis=1)


@pytest.mark.parametrize(("statistic", "normalise"), [("mean_signed", "none"), ("mean_rectified", "max")])
@pytest.mark.parametrize("order", ["as asked", "shuffled"])
def test_rows_are_the_smoothed_maps_in_the_order_asked_for(brain, maps, small_blocks, statistic, normalise, order):
    ids = sorted(maps) if order == "as asked" else list(maps)
    given = [(person, maps[person]) for person in sorted(maps)]
    matrix = stack_maps(given, ids, brain, COMMON.affine, statistic, normalise, 8)
    expected = [smooth(prepared(maps[person], statistic, normalise), 8, COMMON.affine, brain)[brain] for person in ids]
    assert matrix.shape == (PEOPLE, brain.sum())
    assert [here.stop - here.start for here, _ in matrix.columns()][:2] == [31, 31]
    np.testing.assert_array_equal(whole(matrix), expected)
    np.testing.assert_array_equal(whole(matrix), expected)  # it can be read again
    assert matrix.has_negative == (statistic == "mean_signed")


def test_blocks_of_arrays_and_matrices_hold_all_columns_once(brain, maps, small_blocks):
    matrix = stack_maps(maps.items(), list(maps), brain, COMMON.affine, "mean_signed")
    for values in (matrix, whole(matrix)):
        blocks = list(column_blocks(values, 13))
        assert max(block.shape[1] for _, block in blocks) == 13
        assert np.concatenate([np.arange(brain.sum())[here] for here, _ in blocks]).tolist() == list(range(brain.sum()))
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], axis=1), whole(matrix))


def test_maps_of_other_people_are_refused(brain, maps):
    ids = list(maps)
    with pytest.raises(InputError, match="no map"):
        stack_maps(list(maps.items())[1:], ids, brain, COMMON.affine, "t")
    with pytest.raises(InputError, match="twice"):
        stack_maps([*maps.items(), *maps.items()], ids, brain, COMMON.affine, "t")


def test_a_full_temporary_folder_is_named(monkeypatch):
    matrix = RelevanceMatrix(1000, 250_000)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(matrix._file, "write", full, raising=False)
    with pytest.raises(InputError, match=r"1000 people need 1\.0 GB there\. Set TMPDIR"):
        matrix.add([0], np.zeros((1, 250_000), dtype=np.float32))


def test_region_means_are_those_of_the_table_of_regions(brain, maps, small_blocks):
    rng, atlases = np.random.default_rng(0), {}
    for name, labels in (("few", 4), ("many", 9)):
        index = np.arange(1, labels + 1) * 3
        names = {"index": index, "name": [f"Region {one}" for one in index], "hemisphere": "both"}
        data = rng.integers(0, labels + 1, SHAPE).astype(np.int32) * 3
        atlases[name] = Atlas(name, data, pd.DataFrame(names))
    ids = sorted(maps)
    matrix, membership = (
        stack_maps(maps.items(), ids, brain, COMMON.affine, "mean_signed"),
        region_membership(atlases, brain),
    )
    means = region_means(matrix, membership)
    np.testing.assert_allclose(region_means(whole(matrix), membership), means)
    scores = [region_scores(np.where(brain, maps[ids[7]], 0), brain, atlas)["mean"] for atlas in atlases.values()]
    np.testing.assert_allclose(means[7], np.concatenate(scores), rtol=1e-5, atol=1e-7)


def test_a_matrix_is_tested_as_an_array_is(brain, maps, small_blocks):
    people = pd.DataFrame({"participant_id": sorted(maps), "fold": 0, "target": [*("AB" * 11), "A"]})
    matrix = stack_maps(maps.items(), sorted(maps), brain, COMMON.affine, "mean_signed")
    exchanges = draw_exchanges(exchangeable_blocks(people), 49, 0)
    contrasts = target_contrasts(people, exchanges, "classification", ["A", "B"])
    found, expected = permutation_test(matrix, contrasts), permutation_test(whole(matrix), contrasts)
    np.testing.assert_allclose(found.t, expected.t, rtol=1e-10)
    np.testing.assert_array_equal(found.p, expected.p)
    np.testing.assert_array_equal(found.p_fwe, expected.p_fwe)
