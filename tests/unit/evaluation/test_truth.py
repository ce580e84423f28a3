"""A truth that the user gives lands where its affine says, whatever its grid."""

import nibabel as nib
import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.evaluation.truth import read_truth
from voxplain.imaging.grid import Grid

GRID = Grid((12, 10, 8), np.array([[-3.0, 0, 0, 16], [0, 3, 0, -13], [0, 0, 3, -11], [0, 0, 0, 1]]))
CENTRE, RADIUS = np.array([6.0, -3.0, 2.0]), 5.0
COS, SIN = 0.8 * np.cos(0.35), 0.8 * np.sin(0.35)
AFFINES = {
    "plain": [[1.0, 0, 0, -24], [0, 1, 0, -26], [0, 0, 1, -20], [0, 0, 0, 1]],
    "flipped": [[-1.0, 0, 0, 24], [0, 1, 0, -26], [0, 0, 1, -20], [0, 0, 0, 1]],
    "shifted": [[1.0, 0, 0, -12.5], [0, 1, 0, -31], [0, 0, 1, -14], [0, 0, 0, 1]],
    "oblique": [[COS, -SIN, 0, -10], [SIN, COS, 0, -26], [0, 0, 0.8, -16], [0, 0, 0, 1]],
}


def ball(affine, shape):
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(places - CENTRE, axis=-1) < RADIUS


@pytest.mark.parametrize("kind", list(AFFINES))
def test_a_ball_lands_on_its_place(tmp_path, kind):
    affine = np.array(AFFINES[kind])
    nib.save(nib.Nifti1Image(ball(affine, (50, 52, 44)).astype(np.float32) * 7, affine), tmp_path / "truth.nii.gz")
    found = read_truth(tmp_path / "truth.nii.gz", np.ones(GRID.shape, dtype=bool), GRID)
    expected = ball(GRID.affine, GRID.shape)
    # Nearest neighbours: voxels on the ball's rim may fall on either side.
    assert (found.astype(bool) != expected).sum() <= 4
    centre = (np.argwhere(found) @ GRID.affine[:3, :3].T + GRID.affine[:3, 3]).mean(axis=0)
    np.testing.assert_allclose(centre, CENTRE, atol=0.7)


def test_a_truth_outside_the_brain_or_all_over_it_is_refused(tmp_path):
    affine = np.array(AFFINES["plain"])
    nib.save(nib.Nifti1Image(ball(affine, (50, 52, 44)).astype(np.uint8), affine), tmp_path / "truth.nii.gz")
    elsewhere = np.zeros(GRID.shape, dtype=bool)
    elsewhere[9:] = True
    with pytest.raises(InputError, match=r"it has 0 of the 240 voxels"):
        read_truth(tmp_path / "truth.nii.gz", elsewhere, GRID)
    few = np.zeros(GRID.shape, dtype=bool)
    few[3, 3, 4] = True
    with pytest.raises(InputError, match="it has 1 of the 1 voxels"):
        read_truth(tmp_path / "truth.nii.gz", few, GRID)
