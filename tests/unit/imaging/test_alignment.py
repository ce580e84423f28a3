"""Brains that were moved by a known transform come back, and left stays left."""

import csv
from pathlib import Path

import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging import alignment
from voxplain.imaging.alignment import align_to_mni, check_kind
from voxplain.imaging.downsampling import downsample
from voxplain.imaging.grid import COMMON, MNI_BRAIN_ML, mni_brain
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import to_common_grid

IXI = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ixi"


# Middle of a part of the right half that is made brighter, in mm.
SPOT = (40, -20, 20)


@pytest.fixture
def quick(monkeypatch):
    """Register at 4 mm."""
    monkeypatch.setattr(alignment, "REGISTRATION_MM", 4)


@pytest.fixture
def asymmetric(places):
    """The MNI template at 3 mm, brighter in a part of the right half; float32, RAS."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=3)
    data = image.get_fdata(dtype=np.float32)
    spot = np.linalg.norm(places(data.shape, image.affine) - SPOT, axis=-1) < 15
    return Volume(data * np.where(spot, np.float32(1.5), np.float32(1)), image.affine)


def moved(volume, degrees, shift, size=1.0):
    """Turn about the x axis, scale and shift the brain in space; stored with axes P, S, R as some scanners do."""
    angle = np.deg2rad(degrees)
    place = np.eye(4)
    place[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    place[:3, :3] *= size
    place[:3, 3] = shift
    axes = np.zeros((4, 4))
    axes[(1, 2, 0), range(3)], axes[3, 3] = 1, 1
    reverse = np.diag([-1.0, 1, 1, 1])
    reverse[0, 3] = volume.data.shape[1] - 1
    return Volume(volume.data.transpose(1, 2, 0)[::-1], place @ volume.affine @ axes @ reverse)


def overlap(brain):
    return 2 * np.sum(brain & mni_brain()) / (brain.sum() + mni_brain().sum())


@pytest.mark.parametrize(("kind", "degrees", "size"), [("rigid", 8, 1.0), ("affine", -10, 0.9), ("syn", 5, 1.05)])
def test_a_moved_brain_comes_back(asymmetric, places, quick, kind, degrees, size):
    expected, _ = to_common_grid(asymmetric)
    there = moved(asymmetric, degrees, (6, -9, 14), size)
    away, away_brain = to_common_grid(there)
    data, brain, scale = align_to_mni(there, None, kind, seed=3)
    assert (data.shape, data.dtype, brain.dtype) == (COMMON.shape, np.float32, bool)
    assert overlap(away_brain) < 0.85
    assert overlap(brain) > 0.95
    assert (
        np.corrcoef(data.ravel(), expected.ravel())[0, 1]
        > 0.98
        > 0.9
        > np.corrcoef(away.ravel(), expected.ravel())[0, 1]
    )
    where = places(COMMON.shape, COMMON.affine)
    right, left = (data[np.linalg.norm(where - [x, *SPOT[1:]], axis=-1) < 8].mean() for x in (SPOT[0], -SPOT[0]))
    assert right > 1.3 * left
    assert scale == pytest.approx(np.nan if kind == "rigid" else size**3, rel=0.03, nan_ok=True)


@pytest.mark.parametrize("size", [0.88, 1.06])
def test_scale_is_how_much_larger_the_brain_is_than_the_template(asymmetric, size):
    """At the resolution of real registrations; what is changed is the volume, whatever the turn and the shift."""
    _, _, scale = align_to_mni(moved(asymmetric, -6, (6, -9, 14), size), None, "affine", seed=3)
    assert scale == pytest.approx(size**3, rel=0.02)


def test_equal_input_gives_equal_output(asymmetric, quick):
    there = moved(asymmetric, 8, (6, -9, 14))
    first, first_brain, first_scale = align_to_mni(there, None, "affine", seed=3)
    second, second_brain, second_scale = align_to_mni(there, None, "affine", seed=3)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first_brain, second_brain)
    assert first_scale == second_scale


def test_a_mask_does_what_stripping_does(asymmetric, quick):
    there = moved(asymmetric, 8, (6, -9, 14))
    mask = Volume((there.data > 0.2).astype(np.float32), there.affine)
    head = Volume(there.data + np.float32(0.1), there.affine)
    stripped = Volume(np.where(mask.data > 0.5, head.data, np.float32(0)), there.affine)
    expected, expected_brain, _ = align_to_mni(stripped, None, "rigid", seed=3)
    data, brain, _ = align_to_mni(head, mask, "rigid", seed=3)
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_array_equal(brain, expected_brain)


def test_fine_volumes_are_compared_coarsely(asymmetric):
    coarse = alignment._no_finer_than(asymmetric, 6)
    assert coarse.data.shape == tuple(round(n / 2) for n in asymmetric.data.shape)
    a, b = (to_common_grid(volume)[0].ravel() for volume in (coarse, asymmetric))
    assert np.corrcoef(a, b)[0, 1] > 0.97
    assert alignment._no_finer_than(asymmetric, 2) is asymmetric


def test_shear_is_refused(asymmetric):
    sheared = asymmetric.affine.copy()
    sheared[0, 1] = 0.5
    with pytest.raises(InputError, match="holds shear"):
        align_to_mni(Volume(asymmetric.data, sheared), None, "affine")


def test_unknown_kinds():
    check_kind("none")
    with pytest.raises(InputError, match=r"images.align: 'elastic' is not one of none, rigid, affine, syn"):
        check_kind("elastic")


@pytest.mark.slow
@pytest.mark.skipif(not IXI.is_dir(), reason=f"no real brains at {IXI}")
def test_real_brains():
    with open(IXI / "participants.tsv", encoding="utf-8") as file:
        people = [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")][::12]
    assert len(people) >= 4
    for person in people:
        image = IXI / "anat" / f"{person}_T1w_brain.nii.gz"
        assert "images.align: affine" in downsample(image, None, person, space="mni")[2]["problem"]
        data, brain, row = downsample(image, None, person, align="affine")
        assert row["problem"] == ""
        assert row["orientation"] == "PSR"
        assert row["dice"] > 0.93
        assert 0.85 < row["scale"] * MNI_BRAIN_ML / row["brain_volume_ml"] < 1
        assert np.isfinite(data).all()
        assert data[brain].std() == pytest.approx(1, rel=1e-3)
