"""The phantom's coarse fields against closed forms and SciPy."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from voxplain.cohort.phantom.anatomy import anatomy, asymmetric
from voxplain.cohort.phantom.effects import planted_change
from voxplain.cohort.phantom.fields import (
    FIELD,
    FINE,
    jacobian,
    lattice_shape,
    positions,
    resize,
    sample,
    spline_field,
)
from voxplain.cohort.phantom.render import render
from voxplain.cohort.phantom.settings import PhantomSettings
from voxplain.imaging.grid import COMMON, HCP, Grid


def test_positions_are_voxel_centres_in_mm():
    points = positions(HCP.rescaled((13, 31, 10)))
    affine = HCP.rescaled((13, 31, 10)).affine
    assert points.shape == (3, 10, 31, 13)
    np.testing.assert_allclose(points[:, 7, 5, 2], (affine @ [2, 5, 7, 1])[:3], atol=1e-4)


def test_sampling_equals_scipy():
    grid = Grid((6, 7, 8), np.diag([-3.0, 2.0, 4.0, 1.0]) + np.array([[0, 0, 0, 5.0]] * 3 + [[0] * 4]))
    rng = np.random.default_rng(0)
    data = rng.standard_normal(grid.shape).astype(np.float32)
    index = rng.uniform(0, 1, (3, 4, 5, 6)) * (np.array(grid.shape) - 1).reshape(3, 1, 1, 1)
    mm = np.einsum("ij,j...->i...", grid.affine[:3, :3], index) + grid.affine[:3, 3].reshape(3, 1, 1, 1)
    mine = sample(torch.from_numpy(data.T.copy())[None], grid, torch.from_numpy(mm).float())[0]
    np.testing.assert_allclose(mine, map_coordinates(data, index, order=1), atol=1e-5)


def test_resizing_keeps_positions():
    inner = (slice(None), slice(2, -2), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(resize(positions(FIELD), FINE)[inner], positions(FINE)[inner], atol=1e-3, rtol=0)


def test_spline_field_equals_scipy_and_has_unit_variance():
    spacing = 20.0
    coefficients = np.random.default_rng(1).standard_normal((2, *lattice_shape(spacing)))
    field = spline_field(coefficients, spacing).numpy()
    assert field.var() == pytest.approx(1, abs=0.15)
    expected = coefficients
    for axis, (n, mm) in enumerate(zip(FIELD.shape[::-1], FIELD.voxel_size()[::-1], strict=True), start=1):
        count = coefficients.shape[axis]
        basis = BSpline(np.arange(count + 4) - 3.0, np.eye(count), 3)(np.arange(n) * mm / spacing)
        basis /= np.sqrt((basis**2).sum(1).mean())
        expected = np.moveaxis(np.moveaxis(expected, axis, -1) @ basis.T, -1, axis)
    np.testing.assert_allclose(field, expected, atol=1e-5)


def test_jacobian_of_a_linear_map_is_its_determinant():
    matrix = torch.tensor([[0.1, 0.05, 0.0], [-0.2, 0.3, 0.1], [0.0, 0.02, -0.15]])
    displacement = torch.einsum("ij,jzyx->izyx", matrix, positions(COMMON))
    inner = jacobian(displacement, COMMON)[1:-1, 1:-1, 1:-1]
    expected = float(torch.linalg.det(matrix + torch.eye(3)))
    assert inner.min() == pytest.approx(expected, abs=1e-4)
    assert inner.max() == pytest.approx(expected, abs=1e-4)


def test_planted_change_reaches_its_nominal_size():
    settings = PhantomSettings(volume_effect=0.6, intensity_effect=0.2)
    intensity, volume = planted_change(settings, 1.0)
    assert float(volume.max()) == pytest.approx(0.6, abs=0.03)
    assert float(intensity.max()) == pytest.approx(0.2, abs=0.005)
    assert float(volume.min()) > -0.05, "what grows may press its surroundings a little, not more"
    nothing = planted_change(settings, 0.0)
    assert float(nothing.abs().max()) == pytest.approx(0, abs=1e-5)


def test_rendering_equals_sampling_the_template_directly():
    brain = anatomy()
    places = asymmetric(positions(FIELD))
    brightness = torch.full((1, *places.shape[1:]), 0.5)
    volume = render(places, brightness, HCP, noise=0.0, seed=0, whole_numbers=False)
    inside = np.argwhere(volume > 1)[::5000]
    mm = torch.from_numpy((inside @ HCP.affine[:3, :3].T + HCP.affine[:3, 3]).T).float()
    index = asymmetric(mm).numpy() - brain.grid.affine[:3, 3:]
    expected = 500 * map_coordinates(brain.t1[0].numpy().T, index, order=1)
    # The places are interpolated from 2.8 mm, which bends the asymmetry by less than 0.02 mm.
    assert np.abs(volume[tuple(inside.T)] - expected).max() < 5
    outside = volume[0].max(), volume[-1].max(), volume[:, 0].max(), volume[:, :, -1].max()
    assert outside == (0, 0, 0, 0)


def test_noise_is_rician_and_averaged_by_larger_voxels():
    places, one = positions(FIELD), torch.ones((1, *FIELD.shape[::-1]))
    clean = render(places, one, COMMON, 0.0, 1, False)
    noisy = render(places, one, COMMON, 0.3, 1, False)
    inside = clean > 500
    sd = 0.3 * 870 * np.sqrt(0.7**3 / np.prod(COMMON.voxel_size()))
    difference = (noisy - clean)[inside]
    assert difference.std() == pytest.approx(sd, rel=0.05)
    assert difference.mean() == pytest.approx((sd**2 / (2 * clean[inside])).mean(), abs=0.5)
    assert (noisy[clean == 0] == 0).all()
