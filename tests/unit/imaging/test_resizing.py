"""The same brain, however it is stored, lands on the same common grid, left on the left."""

import numpy as np
import pytest

from voxplain.imaging.grid import COMMON, Grid
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import (
    antialiasing_sigma,
    inside_brain,
    resample_smoothly,
    resize,
    resize_matrices,
    to_common_grid,
)

# 2 mm, all of the blobs inside: right to left, back to front, up.
LAS = Grid((91, 109, 91), np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]]))


def turned(degrees, about):
    angle = np.deg2rad(degrees)
    first, second = (axis for axis in range(3) if axis != about)
    matrix = np.eye(4)
    matrix[[first, first, second, second], [first, second, first, second]] = (
        np.cos(angle),
        -np.sin(angle),
        np.sin(angle),
        np.cos(angle),
    )
    return matrix


def flipped(volume, axis):
    change = np.eye(4)
    change[axis, axis], change[axis, 3] = -1, volume.data.shape[axis] - 1
    return Volume(np.flip(volume.data, axis), volume.affine @ change)


def permuted(volume, axes):
    change = np.zeros((4, 4))
    change[axes, range(3)], change[3, 3] = 1, 1
    return Volume(volume.data.transpose(axes), volume.affine @ change)


def shifted(volume, voxels):
    """More field of view at the low ends: other shape and origin, same brain."""
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ voxels
    return Volume(np.pad(volume.data, [(n, 3) for n in voxels]), affine)


@pytest.fixture
def las(blobs, places):
    return Volume(blobs.at(places(LAS.shape, LAS.affine)), LAS.affine)


STORED = {
    "RAS": lambda v: flipped(v, 0),
    "LPS": lambda v: flipped(v, 1),
    "PSR": lambda v: permuted(flipped(flipped(v, 1), 0), (1, 2, 0)),
    "SLA": lambda v: permuted(v, (2, 0, 1)),
    "more field of view": lambda v: shifted(v, (5, 8, 2)),
    "contiguous RAS": lambda v: Volume(np.ascontiguousarray(flipped(v, 0).data), flipped(v, 0).affine),
}


@pytest.mark.parametrize("how", STORED)
def test_the_same_brain_stored_otherwise(las, how):
    expected, expected_brain = to_common_grid(las)
    data, brain = to_common_grid(STORED[how](las))
    assert np.abs(data - expected).max() < 1e-5 * np.ptp(expected)
    assert np.mean(brain != expected_brain) < 1e-5


@pytest.mark.parametrize("about", [0, 1, 2])
def test_the_same_brain_in_an_oblique_scan(las, blobs, places, about):
    affine = turned(17, about) @ np.diag([-1.6, 1.8, 2.0, 1])
    shape = (140, 140, 120)
    affine[:3, 3] += [0, 0, 5] - affine[:3, :3] @ (np.array(shape) / 2)
    data, brain = to_common_grid(Volume(blobs.at(places(shape, affine)), affine))
    expected, expected_brain = to_common_grid(las)
    assert np.abs(data - expected).max() < 0.02 * np.ptp(expected)
    assert np.mean(brain != expected_brain) < 0.01


def test_every_blob_lies_where_it_was_put(las, blobs, places):
    data, _ = to_common_grid(las)
    where = places(COMMON.shape, COMMON.affine)
    for centre, _, height in blobs.each:
        nearby = np.linalg.norm(where - centre, axis=-1) < 25
        peak = where[nearby][data[nearby].argmax()]
        assert np.linalg.norm(peak - centre) < 3
        assert data[nearby].max() == pytest.approx(height, rel=0.06)
    # The brightest blob is the right one; x runs from right to left on the common grid.
    brightest = np.unravel_index(data.argmax(), data.shape)
    assert where[brightest][0] > 40
    assert brightest[0] < COMMON.shape[0] / 2


def test_a_flipped_image_is_not_the_same(las):
    data, _ = to_common_grid(las)
    mirrored, _ = to_common_grid(Volume(las.data[::-1], las.affine))
    assert np.abs(data - mirrored).max() > 0.5 * np.ptp(data)


def test_the_common_grid_stays_as_it_is(brain):
    data, inside = to_common_grid(Volume(brain, COMMON.affine))
    np.testing.assert_allclose(data, brain, atol=1e-4)
    np.testing.assert_array_equal(inside, brain != 0)


@pytest.mark.parametrize("corner", [(0, 0, 0), (60, 70, 60), (30, 0, 70)])
@pytest.mark.parametrize("angle", [0, 12])
def test_cropping_to_the_brain_changes_nothing(corner, angle):
    data = np.zeros((100, 120, 100), dtype=np.float32)
    box = tuple(slice(start, start + 40) for start in corner)
    data[box] = np.random.default_rng(0).normal(100, 30, data[box].shape)
    affine = turned(angle, 2) @ np.array([[-1.0, 0, 0, 50], [0, 1, 0, -80], [0, 0, 1, -40], [0, 0, 0, 1]])
    cropped, brain = to_common_grid(Volume(data, affine))
    whole = resample_smoothly(Volume(data, affine), COMMON)
    assert np.abs(whole).max() > 50
    np.testing.assert_allclose(cropped, whole, atol=1e-3)
    np.testing.assert_array_equal(brain, resample_smoothly(Volume(data != 0, affine), COMMON) > 0.5)


def test_a_mask_does_what_stripping_does(las):
    inside = las.data > 100
    head = Volume(las.data + 50, las.affine)
    stripped = to_common_grid(Volume(np.where(inside, head.data, 0), las.affine))
    masked = to_common_grid(head, Volume(inside.astype(np.float32), las.affine))
    np.testing.assert_array_equal(masked[0], stripped[0])
    np.testing.assert_array_equal(masked[1], stripped[1])
    known = to_common_grid(head, Volume(inside.astype(np.float32), las.affine), inside=inside)
    np.testing.assert_array_equal(known, masked)
    assert head.data.min() == 50  # the caller's volume is left alone


def test_what_resampling_leaves_of_0_is_no_brain(las):
    dusty = np.where(las.data == 0, np.float32(1e-30), las.data)
    np.testing.assert_array_equal(inside_brain(Volume(dusty, las.affine), None), las.data != 0)
    centred = np.where(las.data == 0, las.data, las.data - 200)
    np.testing.assert_array_equal(inside_brain(Volume(centred, las.affine), None), centred != 0)


def test_a_volume_elsewhere_is_empty():
    affine = np.diag([2.0, 2.0, 2.0, 1])
    affine[:3, 3] = 500
    data, brain = to_common_grid(Volume(np.ones((20, 20, 20), np.float32), affine))
    assert not data.any()
    assert not brain.any()


@pytest.mark.parametrize("sizes", [((30, 41, 22), (7, 10, 5)), ((8, 9, 10), (20, 9, 11))])
def test_a_constant_stays_constant(sizes):
    for matrix in resize_matrices(*sizes):
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


def test_a_ramp_stays_a_ramp_away_from_the_borders():
    n_in, n_out = 120, 40
    ramp = np.broadcast_to(np.arange(n_in, dtype=float)[:, None, None], (n_in, 4, 4))
    result = resize(ramp, resize_matrices(ramp.shape, (n_out, 4, 4)))[:, 0, 0]
    # Output voxel i has its centre at (i + 1/2) 3 - 1/2.
    np.testing.assert_allclose(result[3:-3], ((np.arange(n_out) + 0.5) * 3 - 0.5)[3:-3], rtol=1e-6)


def test_the_smoothing_that_was_asked_for():
    # A point becomes a Gaussian: sum 1 (times the sampling) and variance σ² + what linear interpolation adds (< 1/4).
    n_in, n_out = 303, 101
    (matrix, _, _) = resize_matrices((n_in, 8, 8), (n_out, 8, 8))
    weights = matrix[50]
    centre = weights @ np.arange(n_in)
    variance = weights @ (np.arange(n_in) - centre) ** 2
    assert centre == pytest.approx(151)
    assert variance == pytest.approx(antialiasing_sigma(3) ** 2, rel=0.01)


def test_no_smoothing_when_voxels_do_not_grow():
    assert antialiasing_sigma(0.4) == 0
    np.testing.assert_array_equal(resize_matrices((9, 9, 9), (9, 9, 9))[0], np.eye(9))


@pytest.mark.parametrize("stored", ["C", "F", "int16", "bool", "reversed"])
def test_memory_order_and_type_do_not_matter(stored):
    data = np.random.default_rng(0).integers(0, 2, (20, 33, 25))
    matrices = resize_matrices(data.shape, (5, 8, 7))
    expected = np.einsum("ia,jb,kc,abc->ijk", *(m.astype(float) for m in matrices), data)
    other = data[::-1].astype(float)[::-1] if stored == "reversed" else None
    if stored in ("C", "F"):
        other = np.asarray(data, dtype=np.float32, order=stored)
    elif other is None:
        other = data.astype(stored)
    np.testing.assert_allclose(resize(other, matrices), expected, atol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape_out", [(2, 17, 16), (17, 33, 40)])
def test_bands_of_rows_give_the_whole_product(order, shape_out):
    # Rows and columns of zeros at the ends, within, and whole bands of them.
    rng = np.random.default_rng(1)
    data = np.asarray(rng.normal(size=(9, 35, 21)), order=order)
    sizes = list(zip(shape_out, data.shape, strict=True))
    matrices = [rng.normal(size=size) * (rng.random(size) < 0.3) for size in sizes]
    for matrix in matrices:
        matrix[:, [0, -1]] = 0
        matrix[len(matrix) // 2] = 0
    matrices[1][:16] = 0
    expected = np.einsum("ia,jb,kc,abc->ijk", *matrices, data, optimize=True)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(resize(data, matrices), expected, rtol=1e-5, atol=1e-4)
