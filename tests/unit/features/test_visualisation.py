"""Feature visualisation on networks whose best input is known."""

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.base.errors import InputError
from voxplain.features import views
from voxplain.features.objectives import Objective, channel_objectives, output_objectives
from voxplain.features.synthesised import Visualisation
from voxplain.features.visualisation import visualise
from voxplain.features.visualisation_settings import VisualisationSettings
from voxplain.models.folding import fold_batchnorm
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE = (14, 16, 12)


def still(**changes):
    """Settings without chance: no transforms, no noise, the whole volume free."""
    return VisualisationSettings(
        **{"start_noise": 0, "within_brain": False, "jitter": 0, "scale": 0, "rotation": 0, "steps": 60} | changes
    )


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


class Linear(nn.Module):
    """Outputs of one linear layer on all voxels."""

    def __init__(self, *weights):
        super().__init__()
        self.flatten, self.linear = nn.Flatten(), nn.Linear(int(np.prod(SHAPE)), len(weights))
        with torch.no_grad():
            self.linear.weight[:] = torch.from_numpy(np.stack([w.ravel() for w in weights]).astype(np.float32))
            self.linear.bias.zero_()

    def forward(self, images):
        return self.linear(self.flatten(images))


@pytest.fixture
def weights():
    rng = np.random.default_rng(3)
    return rng.normal(size=(2, *SHAPE))


@pytest.fixture
def filters():
    """Two hand-made 5x5x5 patterns: a tilted wave within a Gaussian, and a ball."""
    z, y, x = np.meshgrid(*3 * [np.arange(-2, 3)], indexing="ij")
    ball = np.exp(-(x**2 + y**2 + z**2) / 3)
    return np.stack([ball * np.cos(1.7 * x + 0.9 * y - 0.6 * z + 0.7), ball - ball.mean()])


@pytest.fixture
def filtering(filters):
    """A convolution with the hand-made filters, BatchNorm that scales them, and two more blocks' worth of layers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 2, 5), nn.BatchNorm3d(2), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(2, 3, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(3 * 8 * 9 * 7, 2),
    )  # fmt: skip
    network[0].weight.data[:, 0] = torch.from_numpy(filters.astype(np.float32))
    network[1].running_var[:] = torch.tensor([4.0, 0.01])
    network[1].running_mean[:] = torch.tensor([1.0, -1.0])
    return fold_batchnorm(network, torch.zeros(1, 1, 24, 26, 22))


@pytest.mark.parametrize("parametrisation", ["voxel", "fourier"])
def test_a_hand_made_filter_is_recovered_under_the_default_settings(filtering, filters, parametrisation):
    shape = (24, 26, 22)
    settings = VisualisationSettings(parametrisation=parametrisation, within_brain=False)
    objectives = channel_objectives(filtering, torch.zeros(1, 1, *shape), [1])
    assert [o.name for o in objectives] == ["layer-1_channel-0", "layer-1_channel-1"]
    for made, pattern in zip(visualise(filtering, objectives, shape, settings), filters, strict=True):
        # The unit nearest to the middle, (24 - 1) / 2 = 11.5 -> unit round(9.5) = 10 whose first voxel is 10.
        corner = [int(np.round((n - 1) / 2 - 2)) for n in shape]
        seen = made.change[tuple(slice(c, c + 5) for c in corner)]
        assert correlation(seen, pattern) >= 0.95
        beside = made.change.copy()
        beside[tuple(slice(c, c + 5) for c in corner)] = 0
        assert np.abs(beside).max() < 0.35 * np.abs(seen).max()
        assert made.reached > made.before + 1


def test_a_linear_output_ends_at_its_weights_times_the_known_factor(weights):
    # -g·p/‖g‖₁ + l2 Σp²/n is smallest at p = g n / (2 l2 ‖g‖₁), n = ‖g‖₁²/‖g‖₂².
    settings = still(l2=2.0, output="logit", learning_rate=0.02, steps=300)
    for made, w in zip(visualise(Linear(*weights), output_objectives("FM"), SHAPE, settings), weights, strict=True):
        expected = w * np.abs(w).sum() / (np.square(w).sum() * 2 * 2.0)
        np.testing.assert_allclose(made.image, expected, atol=0.01)
        assert made.before == 0
        assert made.reached == pytest.approx((w * expected).sum(), rel=0.02)


def test_log_odds_of_two_classes_point_along_the_difference_of_the_weights(weights):
    female, male = visualise(Linear(*weights), output_objectives("FM"), SHAPE, still())
    assert correlation(male.image, weights[1] - weights[0]) > 0.97
    np.testing.assert_allclose(male.image, -female.image, atol=1e-5)
    assert male.reached == pytest.approx(female.reached, rel=1e-4)


def test_regression_is_raised_and_lowered(weights):
    high, low = visualise(Linear(weights[0]), output_objectives([]), SHAPE, still())
    assert (high.objective.name, low.objective.name) == ("output-high", "output-low")
    np.testing.assert_allclose(high.image, -low.image, atol=1e-5)
    assert high.reached == pytest.approx(-low.reached)
    assert high.reached > 0


def test_weights_mean_the_same_whatever_the_scale_of_the_network_and_of_the_images(weights):
    (made, _) = visualise(Linear(weights[0]), output_objectives([]), SHAPE, still())
    (scaled, _) = visualise(Linear(1000 * weights[0]), output_objectives([]), SHAPE, still(), intensity_sd=50.0)
    np.testing.assert_allclose(scaled.image, 50 * made.image, rtol=1e-3, atol=1e-3)


def test_the_signed_pre_activation_is_raised_and_not_its_size(filtering):
    """A filter that the nonlinearity silences at the start still has a gradient, and goes up, not down."""
    filtering[0].bias.data[:] = -50.0
    objective = Objective("c", 1, 0)
    (made,) = visualise(filtering, [objective], (24, 26, 22), still(steps=5))
    assert made.before == pytest.approx(-50)
    assert made.reached > -50


def test_the_box_gives_what_the_whole_volume_gives(filtering, monkeypatch):
    objective = Objective("c", 2, 1)
    (made,) = visualise(filtering, [objective], (24, 26, 22), still(steps=10))
    assert any(part != slice(0, size) for part, size in zip(made.box, (24, 26, 22), strict=True))
    monkeypatch.setattr(views, "_same", lambda *_: False)
    (whole,) = visualise(filtering, [objective], (24, 26, 22), still(steps=10))
    assert whole.box == (slice(0, 24), slice(0, 26), slice(0, 22))
    np.testing.assert_allclose(whole.image, made.image, atol=1e-3)
    assert whole.reached == pytest.approx(made.reached, rel=1e-3)


@pytest.mark.parametrize("layer", [1, 2])
def test_the_box_gives_what_the_whole_volume_gives_under_transforms(filtering, monkeypatch, layer):
    settings = VisualisationSettings(within_brain=False, steps=12, rotation=30, scale=0.1)
    shape = (30, 32, 34)
    network = nn.Sequential(*list(filtering)[:6], nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 2))
    network.requires_grad_(False)
    objectives = [Objective("c", layer, 0), Objective("d", layer, 1)]
    made = visualise(network, objectives, shape, settings)
    assert all(part.stop - part.start < size for part, size in zip(made[0].box, shape, strict=True))
    monkeypatch.setattr(views, "_same", lambda *_: False)
    for whole, one in zip(visualise(network, objectives, shape, settings), made, strict=True):
        assert whole.box == tuple(slice(0, size) for size in shape)
        np.testing.assert_allclose(whole.image[one.box], one.image[one.box], atol=2e-3)
        assert whole.reached == pytest.approx(one.reached, rel=1e-3)
        assert whole.per_norm == pytest.approx(one.per_norm, rel=1e-3)


def test_the_response_per_norm_of_a_linear_channel_is_the_norm_of_its_weights(filtering):
    """An input along the weights attains what Cauchy and Schwarz allow, at any amplitude and whatever the bias."""
    filtering[0].bias.data[:] = 3.0
    weights = filtering[0].weight.flatten(1).norm(dim=1)
    objectives = [Objective("c", 1, 0), Objective("d", 1, 1)]
    for changes in ({"l2": 0.5}, {"l2": 5.0}, {"start": "mean"}):
        settings = still(steps=300, learning_rate=0.02, **changes)
        mean = np.random.default_rng(0).normal(size=(24, 26, 22)).astype(np.float32)
        for made, bound in zip(
            visualise(filtering, objectives, mean.shape, settings, mean_image=mean), weights, strict=True
        ):
            assert made.per_norm == pytest.approx(float(bound), rel=0.01)
            assert made.per_norm <= float(bound) * (1 + 1e-5)


def test_the_response_per_norm_of_an_output_is_in_the_direction_looked_for(weights):
    for made in visualise(Linear(weights[0]), output_objectives([]), SHAPE, still(steps=300, learning_rate=0.02)):
        assert made.per_norm == pytest.approx(np.linalg.norm(weights[0]), rel=0.01)
    (still_there, _) = visualise(Linear(0 * weights[0]), output_objectives([]), SHAPE, still())
    assert np.isnan(still_there.per_norm), "nothing changed"


def test_finished_ones_are_read_back_and_not_made_again(cnn, tmp_path, monkeypatch):
    settings = VisualisationSettings(steps=3)
    objectives = [*output_objectives("FM"), *channel_objectives(cnn, torch.zeros(1, 1, 22, 24, 22), [1], 2)]

    def make(folder=None):
        return visualise(cnn, objectives, (22, 24, 22), settings, brain=BRAIN, resume_folder=folder)

    plain, kept = make(), make(tmp_path)
    monkeypatch.setattr(Visualisation, "keep", lambda *_: pytest.fail("made again"))
    again = make(tmp_path)
    for one, *others in zip(plain, kept, again, strict=True):
        for other in others:
            np.testing.assert_array_equal(other.image, one.image)
            np.testing.assert_array_equal(other.change, one.change)
            assert (other.before, other.reached, other.per_norm, other.box) == (
                one.before, one.reached, one.per_norm, one.box,
            )  # fmt: skip


def test_padding_that_reaches_the_unit_makes_the_whole_volume_free():
    torch.manual_seed(1)
    network = nn.Sequential(*(nn.Conv3d(1, 1, 3, padding=1) for _ in range(6)), nn.Flatten(), nn.Linear(512, 2)).eval()
    network.requires_grad_(False)
    (made,) = visualise(network, [Objective("c", 6, 0)], (8, 8, 8), still(steps=3))
    assert made.box == (slice(0, 8),) * 3


def test_the_mean_of_a_linear_layer_knows_only_the_sum_of_its_kernel(filtering):
    (made,) = visualise(filtering, [Objective("c", 1, 0)], (24, 26, 22), still(where="everywhere", l2=1.0))
    inner = made.image[6:-6, 6:-6, 6:-6]
    assert np.ptp(inner) < 0.01 * np.abs(made.image).max()


@pytest.fixture
def cnn():
    torch.manual_seed(2)
    return fold_batchnorm(VoxelCNN(shape=(22, 24, 22), channels=3, blocks=2).eval())


BRAIN = np.zeros((22, 24, 22), dtype=bool)
BRAIN[4:18, 4:20, 4:18] = True


def test_objectives_do_not_influence_each_other(cnn):
    settings = VisualisationSettings(steps=6)
    objectives = [*output_objectives("FM"), *channel_objectives(cnn, torch.zeros(1, 1, 22, 24, 22), [1, "last"], 2)]
    assert len(objectives) == 6
    together = visualise(cnn, objectives, (22, 24, 22), settings, brain=BRAIN, seed=4)
    for made in (together[1], together[4]):
        (alone,) = visualise(cnn, [made.objective], (22, 24, 22), settings, brain=BRAIN, seed=4)
        np.testing.assert_allclose(alone.image, made.image, atol=1e-4)
    (other,) = visualise(cnn, [together[1].objective], (22, 24, 22), settings, brain=BRAIN, seed=5)
    assert np.abs(other.image - together[1].image).max() > 1e-3


def test_nothing_is_synthesised_outside_the_brain_and_the_mean_stays(cnn):
    mean = np.random.default_rng(0).normal(size=(22, 24, 22)).astype(np.float32)
    for parametrisation in ("voxel", "fourier"):
        settings = VisualisationSettings(steps=4, start="mean", parametrisation=parametrisation, tv=0.1, blur=1.0)
        (made,) = visualise(cnn, output_objectives("FM")[:1], mean.shape, settings, brain=BRAIN, mean_image=mean)
        np.testing.assert_array_equal(made.image[~BRAIN], mean[~BRAIN])
        np.testing.assert_allclose(made.image - mean, made.change, atol=1e-6)
        assert np.abs(made.change[BRAIN]).max() > 0.05
        assert made.reached > made.before


@pytest.mark.parametrize("changes", [{"tv": 2.0}, {"blur": 1.5}, {"blur": 1.5, "blur_of": "image"}])
def test_regularisers_make_it_smoother(weights, changes):
    def roughness(image):
        return sum(np.abs(np.diff(image, axis=axis)).mean() for axis in range(3)) / np.abs(image).mean()

    plain, smooth = (
        visualise(Linear(weights[0]), output_objectives([])[:1], SHAPE, still(**s))[0].image for s in ({}, changes)
    )
    assert roughness(smooth) < 0.8 * roughness(plain)


def test_nothing_stays_behind_in_the_network(cnn):
    before = {name: tensor.clone() for name, tensor in cnn.state_dict().items()}
    visualise(cnn, [Objective("c", 1, 0), Objective("class-F", None, 0)], (22, 24, 22), still(steps=2))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in cnn.modules())
    assert not cnn.training
    for name, tensor in cnn.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_an_objective_without_gradient_stays_at_its_start(weights):
    (made, _) = visualise(Linear(0 * weights[0]), output_objectives([]), SHAPE, still(start_noise=0.1))
    assert not made.change.any()
    assert made.reached == made.before == 0


def test_what_cannot_be_visualised(cnn, weights):
    shape = (22, 24, 22)
    with pytest.raises(InputError, match=r"(?s)start: 'noise'.*steps: 0.*scale: 1"):
        VisualisationSettings(steps=0, start="noise", scale=1)
    with pytest.raises(InputError, match=r"(?s)start: mean needs.*within_brain: true needs"):
        visualise(cnn, output_objectives("FM"), shape, VisualisationSettings(start="mean"))
    with pytest.raises(InputError, match=r"(?s)there are 3\n  - c5"):
        visualise(cnn, [Objective("c0", 1, 0), Objective("c5", 1, 5)], shape, still())
    with pytest.raises(InputError, match=r"outputs.*there are 2\n  - class-X"):
        visualise(cnn, output_objectives("FMX"), shape, still())
    with pytest.raises(InputError, match="one name\n  - c"):
        visualise(cnn, [Objective("c", 1, 0), Objective("c", 1, 1)], shape, still())
    with pytest.raises(InputError, match=r"(?s)runs 2 Conv3d.*no module named 'nowhere'"):
        channel_objectives(cnn, torch.zeros(1, 1, *shape), [7, "nowhere"])
    with pytest.raises(InputError, match="not finite\n  - output-high"):
        visualise(Linear(np.nan * weights[0]), output_objectives([]), SHAPE, still())
