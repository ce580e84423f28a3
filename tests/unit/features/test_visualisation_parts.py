"""Spectra, penalties and transforms of feature visualisation, and where pre-activations are read."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, gaussian_filter
from torch import nn

from voxplain.features.fourier import coefficients_of, falling_off, volumes_of
from voxplain.features.objectives import Probe, channel_objectives, output_values
from voxplain.features.regularisers import Transforms, blurred, sum_of_squares, total_variation, transformed
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.fixture
def volumes():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9, 10, 7)).astype(np.float32))


@pytest.mark.parametrize("shape", [(9, 10, 7), (8, 7, 6)])
def test_a_spectrum_gives_its_volume_back(shape):
    volumes = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    factor = falling_off(shape, 1.0)
    coefficients = coefficients_of(volumes, factor)
    assert coefficients.shape == (2, 2, *shape[:2], shape[2] // 2 + 1)
    torch.testing.assert_close(volumes_of(coefficients, factor, shape), volumes, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_random_coefficients_give_unit_variance_and_power_that_falls(decay):
    shape = (24, 26, 22)
    coefficients = torch.randn(24, 2, 24, 26, 12, generator=torch.Generator().manual_seed(0))
    volumes = volumes_of(coefficients, falling_off(shape, decay), shape).double().numpy()
    # Steeper spectra are ruled by few long waves, whose mean square scatters.
    assert np.square(volumes).mean() == pytest.approx(1, rel=0.05 + 0.15 * decay)
    power = np.square(np.abs(np.fft.fftn(volumes, axes=(1, 2, 3)))).mean(axis=0)
    f = np.sqrt(sum(g**2 for g in np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")))
    inner = (f > 0.1) & (f < 0.45)
    slope = np.polyfit(np.log(f[inner]), np.log(power[inner]), 1)[0]
    assert slope == pytest.approx(-2 * decay, abs=0.1)


def test_penalties(volumes):
    one = torch.zeros(1, 5, 5, 5)
    one[0, 2, 2, 2] = -3.0
    assert sum_of_squares(one).item() == 9
    assert total_variation(one).item() == 6 * 3
    step = torch.zeros(1, 5, 4, 3)
    step[:, :, :, 1:] = 2
    assert total_variation(step).item() == 5 * 4 * 2
    torch.testing.assert_close(sum_of_squares(volumes), (volumes**2).sum(dim=(1, 2, 3)))


def test_blur_is_that_of_scipy(volumes):
    expected = [gaussian_filter(v, 1.2, mode="nearest", truncate=4.0) for v in volumes.numpy()]
    np.testing.assert_allclose(blurred(volumes, 1.2).numpy(), expected, atol=1e-5)
    assert blurred(volumes, 0) is volumes


def test_shifts_move_whole_voxels(volumes):
    shift = torch.tensor([[1.0, -2, 0], [0, 0, 3]])
    moved = transformed(volumes, torch.eye(3).repeat(2, 1, 1), shift, (4, 4, 3))
    torch.testing.assert_close(moved[0, :-1, 2:], volumes[0, 1:, :-2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved[1, :, :, :-3], volumes[1, :, :, 3:], atol=1e-5, rtol=1e-5)
    assert not moved[1, :, :, -3:].abs().max() > 1e-5


def test_turns_and_sizes_are_those_of_scipy(volumes):
    moves = Transforms.draw(np.random.default_rng(3), 2, 2, 0.1, 20.0)
    centre = np.array([4.0, 5.0, 2.5])
    moved = transformed(volumes, moves.matrices, moves.shifts, centre).numpy()
    for volume, matrix, shift, found in zip(volumes.numpy(), moves.matrices, moves.shifts, moved, strict=True):
        matrix = matrix.double().numpy()
        offset = centre + shift.numpy() - matrix @ centre
        expected = affine_transform(volume, matrix, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_draw_looks_beyond_the_reach():
    half, jitter = np.array([1.0, 4.5, 2.0]), np.array([2, 0, 1])
    corners = np.stack(np.meshgrid(*zip(-half, half, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    for rotation in (0.0, 5.0, 30.0, 120.0):
        moves = Transforms.draw(np.random.default_rng(0), 2000, jitter, 0.1, rotation)
        places = np.einsum("sij,cj->sci", moves.matrices.numpy(), corners) + moves.shifts.numpy()[:, None]
        farthest, reach = np.abs(places).max(axis=(0, 1)), Transforms.reach(half, jitter, 0.1, rotation)
        assert (farthest <= reach + 1e-4).all()
        assert (reach < 1.5 * farthest + 1).all(), "no more than is needed"
    np.testing.assert_allclose(Transforms.reach(half, jitter, 0, 0), half + jitter)


def test_draws_lie_within_their_bounds():
    moves = Transforms.draw(np.random.default_rng(0), 400, (2, 0, 3), 0.1, 10.0)
    assert [sorted(set(column)) for column in moves.shifts.numpy().astype(int).T.tolist()] == [
        [-2, -1, 0, 1, 2], [0], [-3, -2, -1, 0, 1, 2, 3],
    ]  # fmt: skip
    sizes = torch.linalg.det(moves.matrices) ** (-1 / 3)
    assert 0.9 <= sizes.min() < 0.92
    assert 1.08 < sizes.max() <= 1.1 + 1e-6
    rotations = moves.matrices * sizes[:, None, None]
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).repeat(400, 1, 1))
    angles = torch.rad2deg(torch.arccos((rotations.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2))
    assert 10 < angles.max() <= 3**0.5 * 10 + 1.0
    assert Transforms.draw(np.random.default_rng(0), 5, 0, 0, 0).none()
    assert not moves.none()


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = VoxelCNN(shape=(22, 24, 22), channels=3, blocks=2).eval()
    model.features[0].norm.running_mean.normal_(0, 0.3)
    return model


def test_pre_activations_are_those_before_the_nonlinearity(network):
    image = torch.randn(2, 1, 22, 24, 22, generator=torch.Generator().manual_seed(1))
    block = network.features[0]
    with torch.no_grad():
        expected = block.norm(block.conv(image))
        assert expected.min() < 0
        for layer in (1, "features.0.relu", "features.0.norm"):
            torch.testing.assert_close(Probe.of(network, image[:1], layer).read(network, image), expected)
        second = network.features[1].norm(network.features[1].conv(block.pool(expected.relu())))
        torch.testing.assert_close(Probe.of(network, image[:1], "last").read(network, image), second)
        flat = Probe.of(network, image[:1], "head.linear")
        torch.testing.assert_close(flat.read(network, image), network(image))
    assert (flat.spatial, flat.channels) == (False, 2)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_a_nonlinearity_in_place_spoils_nothing():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 6**3, 2))
    image = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = plain[0](image)
        plain[1].inplace = True
        assert expected.min() < 0
        torch.testing.assert_close(Probe.of(plain, image, 1).read(plain, image), expected)


def test_what_a_unit_sees_is_where_its_gradient_is_not_zero(network):
    shape = (22, 24, 22)
    image = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    for layer, unit in ((1, (4, 7, 2)), (2, (3, 1, 2)), ("features.1.pool", (1, 1, 1))):
        probe = Probe.of(network, image, layer)
        field = probe.receptive_field(shape)
        stride, offset, seen = field
        # Every path counts: pooling by the mean lets all voxels through.
        free = nn.Sequential(nn.Conv3d(1, 1, 3), nn.AvgPool3d(2), nn.Conv3d(1, 1, 3), nn.AvgPool3d(2))
        for module in free[::2]:
            nn.init.ones_(module.weight)
        leaf = image.clone().requires_grad_()
        depth = {1: 1, 2: 3, "features.1.pool": 4}[layer]
        free[:depth](leaf)[0, 0][unit].backward()
        touched = np.argwhere(leaf.grad[0, 0].numpy() != 0)
        np.testing.assert_array_equal(touched.max(axis=0) - touched.min(axis=0) + 1, seen)
        np.testing.assert_allclose((touched.max(axis=0) + touched.min(axis=0)) / 2, offset + stride * np.array(unit))
        box = [slice(a, b + 1) for a, b in zip(touched.min(axis=0), touched.max(axis=0), strict=True)]
        assert list(field.box(unit, shape)) == box


def test_units_within_a_mask_have_their_centre_there(network):
    shape = (22, 24, 22)
    probe = Probe.of(network, torch.zeros(1, 1, *shape), 2)
    field, grid = probe.receptive_field(shape), probe.layer.step.shape[2:]
    mask = np.zeros(shape, dtype=bool)
    mask[6:12, 3:9, 8:9] = True
    within = field.units_within(mask, grid)
    assert within.shape == tuple(grid)
    # The centre of unit i is the voxel 3.5 + 2 i, rounded up.
    edges = zip(grid, [(6, 12), (3, 9), (8, 9)], strict=True)
    expected = [[i for i in range(units) if low <= 4 + 2 * i < high] for units, (low, high) in edges]
    assert [sorted(set(axis)) for axis in np.argwhere(within).T.tolist()] == expected


def test_the_part_of_a_volume_that_a_padded_unit_sees():
    padded = nn.Sequential(nn.Conv3d(1, 1, 5, padding=2), nn.Flatten(), nn.LazyLinear(1))
    probe = Probe.of(padded, torch.zeros(1, 1, 8, 8, 8), 1)
    field = probe.receptive_field((8, 8, 8))
    assert field.box((0, 4, 7), (8, 8, 8)) == (slice(0, 3), slice(2, 7), slice(5, 8))


def test_channels_of_several_layers(network):
    names = [o.name for o in channel_objectives(network, torch.zeros(1, 1, 22, 24, 22), [1, "head.linear"], 4)]
    assert names == [
        *(f"layer-1_channel-{i}" for i in range(3)),
        *(f"head.linear_channel-{i}" for i in range(2)),
    ]


def test_log_odds_are_the_logits_of_the_probabilities():
    outputs = torch.tensor([[1.0, 3.0, -2.0], [0.5, 0.2, 0.1]])
    p = outputs.double().softmax(dim=1)
    torch.testing.assert_close(output_values(outputs, [2, 0], "log_odds").double(), (p / (1 - p)).log()[:, [2, 0]])
    torch.testing.assert_close(output_values(outputs, [2, 0], "logit"), outputs[:, [2, 0]])
    torch.testing.assert_close(output_values(outputs[:, :1], [0, 0], "log_odds"), outputs[:, [0, 0]])
