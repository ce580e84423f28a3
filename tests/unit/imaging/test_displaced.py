"""A volume that is sampled at displaced places: nothing but the displacement differs from the plain way."""

import csv
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from voxplain.base.errors import InputError
from voxplain.imaging import alignment
from voxplain.imaging.alignment import align_to_mni
from voxplain.imaging.displaced import Change, downsample_changed, sampler
from voxplain.imaging.downsampling import downsample
from voxplain.imaging.grid import COMMON, HCP, mni_brain
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import to_common_grid

IXI = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ixi"
NOWHERE = np.zeros((3, *COMMON.shape))
ONE = np.ones(COMMON.shape)
# Voxels that no shift of a test leads out of the field of view.
INNER = (slice(6, -6),) * 3


def by(x, y, z):
    return NOWHERE + np.array([x, y, z]).reshape(3, 1, 1, 1)


def turned(degrees, edges, shape, centre):
    """An affine that is oblique to the common grid's about z, with the middle of the volume at `centre`."""
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag(edges)
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) / 2)
    return affine


# Right to left; stored front to back, bottom to top and left to right; nearly straight; oblique and left-handed.
STORED = {
    "LAS": ((91, 109, 91), np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])),
    "PSR": ((110, 92, 90), np.array([[0, 0, 2.1, -91], [-2.0, 0, 0, 92], [0, 2.0, 0, -72], [0, 0, 0, 1]])),
    "nearly straight": ((91, 109, 91), turned(0.003, (-2.0, 2, 2), (91, 109, 91), (-1, -18, 18))),
    "oblique": ((100, 100, 80), turned(17, (-2.0, 2.2, 2.4), (100, 100, 80), (0, -20, 5))),
    "the common grid": (COMMON.shape, COMMON.affine),
}


@pytest.fixture(params=STORED)
def scan(request, blobs, places):
    shape, affine = STORED[request.param]
    return Volume(blobs.at(places(shape, affine)), affine)


@pytest.fixture
def fine(save):
    """Path of a brain of random texture, at about 2 mm."""
    grid = HCP.rescaled((91, 109, 91))
    texture = 100 + 20 * np.random.default_rng(0).standard_normal(grid.shape)
    return save("fine.nii.gz", (mni_brain(grid.shape) * texture).astype(np.float32), grid.affine)


def test_without_displacement_it_is_the_plain_way(scan):
    expected, expected_brain = to_common_grid(scan)
    with sampler(scan) as sample:
        data, brain = sample(NOWHERE)
    assert (data.dtype, data.shape, brain.dtype) == (np.float32, COMMON.shape, bool)
    np.testing.assert_allclose(data, expected, atol=1e-6 * np.ptp(expected))
    np.testing.assert_array_equal(brain, expected_brain)


def test_a_mask_is_kept_and_displaced_with_the_image(scan):
    head = Volume(scan.data + 50, scan.affine)
    mask = Volume((scan.data > 100).astype(np.float32), scan.affine)
    expected, expected_brain = to_common_grid(head, mask)
    with sampler(head, mask) as sample:
        data, brain = sample(NOWHERE)
        _, moved = sample(by(-2 * 3.137931, 0, 0))
    np.testing.assert_allclose(data, expected, atol=1e-6 * np.ptp(expected))
    np.testing.assert_array_equal(brain, expected_brain)
    np.testing.assert_array_equal(moved[INNER], np.roll(brain, -2, axis=0)[INNER])


def test_a_translation_by_whole_voxels_is_a_shifted_image(scan):
    expected, _ = to_common_grid(scan)
    step = COMMON.affine[:3, :3] @ [2, -1, 3]
    with sampler(scan) as sample:
        data, _ = sample(by(*step))
    shifted = np.roll(expected, (-2, 1, -3), (0, 1, 2))
    np.testing.assert_allclose(data[INNER], shifted[INNER], atol=1e-5 * np.ptp(expected))
    assert np.abs(data - expected)[INNER].max() > 0.1 * np.ptp(expected)


def test_any_displacement_is_linear_interpolation_of_the_smoothed_volume(scan, places):
    """Independently: SciPy's Gaussian of scikit-image's width, then the value at the displaced place in mm."""
    displacement = np.random.default_rng(0).uniform(-6, 6, NOWHERE.shape)
    with sampler(scan) as sample:
        data, _ = sample(displacement)
    edges = np.linalg.norm(scan.affine[:3, :3], axis=0)
    along = np.linalg.norm(COMMON.affine[:3, :3].T @ (scan.affine[:3, :3] / edges), axis=0)
    smooth = gaussian_filter(scan.data, np.maximum(0, (along / edges - 1) / 2), mode="mirror")
    where = places(COMMON.shape, COMMON.affine) + np.moveaxis(displacement, 0, -1)
    inverse = np.linalg.inv(scan.affine)
    expected = map_coordinates(smooth, np.moveaxis(where @ inverse[:3, :3].T + inverse[:3, 3], -1, 0), order=1)
    inside = (slice(10, -10),) * 3
    np.testing.assert_allclose(data[inside], expected[inside], atol=1e-3 * np.ptp(expected))


def test_left_stays_left(scan, places):
    """What is pulled from 10 mm further right appears 10 mm further left."""
    where = places(COMMON.shape, COMMON.affine)
    with sampler(scan) as sample:
        before, after = (sample(by(x, 0, 0))[0] for x in (0, 10))

    def centre(data):
        bright = data > 500  # the brightest blob lies on the right, the second on the midline
        bright &= where[..., 0] > 15
        return np.average(where[bright], axis=0, weights=data[bright])

    assert centre(before)[0] > 40
    np.testing.assert_allclose(centre(after) - centre(before), [-10, 0, 0], atol=1)


def test_the_factor_and_the_normalisation(fine):
    plain, inside, row = downsample(fine, None, "a", intensity="none")
    scored, _, _ = downsample(fine, None, "a")
    assert row["problem"] == ""
    factor = np.where(np.indices(COMMON.shape)[2] > 30, 1.3, 1.0)
    changes = [Change(NOWHERE, ONE), Change(NOWHERE, factor), Change(by(2, 0, 0), ONE), Change(NOWHERE, ONE)]
    same, brighter, _, again = downsample_changed(fine, None, "a", changes, intensity="none")
    np.testing.assert_allclose(same, plain, atol=1e-3)
    np.testing.assert_allclose(brighter, plain * factor, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(again, same)  # one change does not hang on another
    same, brighter, *_ = downsample_changed(fine, None, "a", changes)
    np.testing.assert_allclose(same, scored, atol=1e-4)
    assert brighter[inside].std() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(("align", "space"), [("none", "acpc"), ("rigid", "mni")])
def test_images_that_do_not_end_in_mni_space_are_refused(fine, align, space):
    with pytest.raises(InputError, match=rf"MNI space\n  - images.align: {align}\n  - images.space: {space}\n"):
        next(downsample_changed(fine, None, "a", [], align=align, space=space))


def test_volumes_on_the_common_grid_are_refused(save, brain):
    with pytest.raises(InputError, match=r"it would blur them\n  - a.nii.gz\n"):
        next(downsample_changed(save("a.nii.gz", brain), None, "a", [Change(NOWHERE, ONE)]))


def test_damaged_images_and_unknown_settings_are_refused(tmp_path):
    for settings in ({"align": "elastic"}, {"space": "native"}, {"intensity": "minmax"}):
        with pytest.raises(InputError, match="is not one of"):
            next(downsample_changed(tmp_path / "a.nii.gz", None, "a", [], **settings))
    with pytest.raises(InputError, match="does not exist"):
        next(downsample_changed(tmp_path / "a.nii.gz", None, "a", []))


@pytest.mark.parametrize("kind", ["affine", pytest.param("syn", marks=pytest.mark.slow)])
def test_registered_volumes(monkeypatch, kind):
    """Displacements are of the template's space, whatever the registration, and 0 is what `align_to_mni` gives."""
    from nilearn.datasets import load_mni152_template

    monkeypatch.setattr(alignment, "REGISTRATION_MM", 4)
    image = load_mni152_template(resolution=4)
    data = image.get_fdata(dtype=np.float32)
    data[: data.shape[0] // 2] *= 0.7  # the left is darker
    turn = turned(9, (0.95, 1, 1.02), (0, 0, 0), (6, -8, 10))
    flip = np.diag([1.0, -1, 1, 1])
    flip[1, 3] = data.shape[1] - 1
    scan = Volume(data[:, ::-1], turn @ image.affine @ flip)
    expected, expected_brain, _ = align_to_mni(scan, None, kind, seed=3)
    step = COMMON.affine[:3, :3] @ [2, -1, 3]
    with sampler(scan, None, kind, seed=3) as sample:
        same, brain = sample(NOWHERE)
        moved, moved_brain = sample(by(*step))
    np.testing.assert_allclose(same, expected, atol=1e-5 * np.ptp(expected))
    np.testing.assert_array_equal(brain, expected_brain)
    shifted = np.roll(expected, (-2, 1, -3), (0, 1, 2))
    np.testing.assert_allclose(moved[INNER], shifted[INNER], atol=1e-4 * np.ptp(expected))
    assert np.mean(moved_brain[INNER] != np.roll(expected_brain, (-2, 1, -3), (0, 1, 2))[INNER]) < 1e-4
    assert np.abs(shifted - expected)[INNER].max() > 0.3 * np.ptp(expected)


@pytest.mark.slow
@pytest.mark.skipif(not IXI.is_dir(), reason=f"no real brains at {IXI}")
def test_a_real_brain():
    with open(IXI / "participants.tsv", encoding="utf-8") as file:
        (person,) = (row["participant_id"] for row in islice(csv.DictReader(file, delimiter="\t"), 1))
    image = IXI / "anat" / f"{person}_T1w_brain.nii.gz"
    expected, _, row = downsample(image, None, person, align="affine", seed=5)
    assert row["problem"] == ""
    changes = [Change(NOWHERE, ONE), Change(by(*(COMMON.affine[:3, :3] @ [1, 0, 0])), ONE)]
    same, moved = downsample_changed(image, None, person, changes, align="affine", seed=5)
    np.testing.assert_allclose(same, expected, atol=1e-4)
    np.testing.assert_allclose(moved[INNER], np.roll(expected, -1, axis=0)[INNER], atol=1e-2)
