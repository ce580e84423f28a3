"""What holds for every method of the registry."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.method import Attribution, Method
from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise, UNet3d
from voxplain.attribution.registry import METHODS, Explainer, attribute, batches_of, explain, register
from voxplain.base.errors import InputError
from voxplain.models.folding import frozen_copy

torch.manual_seed(2)
# Any model of which part of the logits is negative, as a trained one's.
NOISE_MODEL = TrainedNoise(UNet3d(depth=1, channels=2).eval(), NoiseSettings(depth=1, channels=2), (22, 24, 22), 1.0)
NOISE_MODEL.model.head.bias.data.fill_(-0.1)
QUICK = {
    "perturbation": {"replacement": "blur", "iterations": 6, "jitters": 2, "l1": 0.02, "tolerance": None},
    "smoothgrad": {"samples": 3},
    "integrated_gradients": {"baseline": "zero", "steps": 4},
    "occlusion": {"baseline": "zero", "window": 11, "stride": 8},
    "noise": {"model": "unet", "depth": 1, "channels": 2, "noise_model": NOISE_MODEL},
}
IDS = ["p1", "p2", "p3", "p4", "p5"]
every_method = pytest.mark.parametrize("name", sorted(METHODS))
# The map of noise is that of its own model, whatever the network and the target are.
every_other_method = pytest.mark.parametrize("name", sorted(set(METHODS) - {"noise"}))


def run(name, model, images, targets, **more):
    return explain(name, model, images, targets, **{"participant_ids": IDS, "seed": 3, **QUICK.get(name, {}), **more})


def as_they_are(monkeypatch, copied):
    """Let methods work on copies of networks that nothing was done to."""
    monkeypatch.setattr("voxplain.attribution.registry.fold_batchnorm", lambda model, example: copied(model))
    for module in ("method", "gradcam", "memory_budget"):
        monkeypatch.setattr(f"voxplain.attribution.{module}.quickened", lambda model, example, keep=(): copied(model))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.abs().max().item())


@every_method
def test_shape_type_and_sign(name, small_cnn, images, mixed_targets):
    maps = run(name, small_cnn, images, mixed_targets)
    assert maps.shape == (5, 22, 24, 22)
    assert maps.dtype == torch.float32
    assert (maps.amax(dim=(1, 2, 3)) > maps.amin(dim=(1, 2, 3))).all()
    assert METHODS[name].signed == bool(maps.min() < 0)


@every_method
def test_mixed_batches_equal_single_people(name, small_cnn, images, mixed_targets):
    together = run(name, small_cnn, images, mixed_targets, batch_size=5)
    close(run(name, small_cnn, images, mixed_targets, batch_size=2), together)
    for i in range(5):
        one = slice(i, i + 1)
        close(run(name, small_cnn, images[one], mixed_targets[one], participant_ids=IDS[one]), together[one])


@every_method
def test_order_of_people_plays_no_part(name, small_cnn, images, mixed_targets):
    order = [3, 0, 4, 2, 1]
    shuffled = run(name, small_cnn, images[order], mixed_targets[order], participant_ids=[IDS[i] for i in order])
    close(shuffled, run(name, small_cnn, images, mixed_targets)[order])


@every_method
def test_a_quicker_network_changes_nothing(name, small_cnn, images, mixed_targets, monkeypatch):
    quick = run(name, small_cnn, images, mixed_targets)
    as_they_are(monkeypatch, frozen_copy)
    close(run(name, small_cnn, images, mixed_targets), quick)


@every_method
def test_the_network_is_left_as_it_was(name, small_cnn, images, mixed_targets):
    small_cnn.train()
    small_cnn.features[0].eval()
    modes = [module.training for module in small_cnn.modules()]
    before = copy.deepcopy(small_cnn.state_dict())
    run(name, small_cnn, images, mixed_targets)
    assert [module.training for module in small_cnn.modules()] == modes
    assert all(p.requires_grad and p.grad is None for p in small_cnn.parameters())
    assert all(torch.equal(before[key], value) for key, value in small_cnn.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in small_cnn.modules())


@every_method
def test_dropout_is_off(name, small_cnn, images, mixed_targets):
    small_cnn.train()
    assert torch.equal(run(name, small_cnn, images, mixed_targets), run(name, small_cnn, images, mixed_targets))


@every_method
def test_hooks_are_removed_after_an_error(name, small_cnn, images, monkeypatch):
    """The working copy is shared here, so that hooks that stay would be seen."""
    shared = frozen_copy(small_cnn)
    as_they_are(monkeypatch, lambda model: shared)
    with pytest.raises(InputError, match=r"returned \[5, 2\] for targets of \[5, 3\]"):
        run(name, small_cnn, images, torch.ones(5, 3), batch_size=5)
    assert not any(module._forward_hooks for module in shared.modules())


@every_other_method
def test_a_dead_network_gives_zeros_not_nan(name, small_cnn, images, mixed_targets):
    with torch.no_grad():
        for parameter in small_cnn.parameters():
            parameter.zero_()
    assert torch.equal(run(name, small_cnn, images, mixed_targets), torch.zeros(5, 22, 24, 22))


@every_method
def test_regression(name, images):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(4), nn.Flatten(), nn.Linear(250, 1))
    result = attribute(name, model, images, torch.ones(5, 1), **QUICK.get(name, {}))
    assert result.maps.abs().max() > 0
    expected = np.ones(5) if name == "perturbation" else model(images).detach().numpy()[:, 0]
    np.testing.assert_allclose(result.score_before, expected, rtol=1e-5)


def test_score_before_is_the_contrast(small_cnn, images):
    logits = small_cnn.eval()(images).detach().numpy()
    result = attribute("gradcam", small_cnn, images, torch.tensor([[-1.0, 1.0]]).repeat(5, 1))
    np.testing.assert_allclose(result.score_before, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5)
    assert result.score_after is None
    assert result.iterations is None


@every_other_method
def test_the_target_matters(name, small_cnn, images):
    first, second = torch.tensor([[1.0, 0]]).repeat(5, 1), torch.tensor([[0, 1.0]]).repeat(5, 1)
    assert (run(name, small_cnn, images, first) - run(name, small_cnn, images, second)).abs().max() > 0


def test_refusals(small_cnn, images, mixed_targets):
    with pytest.raises(InputError, match="no attribution method 'lime'; known: gradcam"):
        explain("lime", small_cnn, images, mixed_targets)
    with pytest.raises(InputError, match=r"(?s)gradcam has no such settings\n  - colour\n  - rectified\nIt has: layer"):
        explain("gradcam", small_cnn, images, mixed_targets, rectified=True, colour=1)
    with pytest.raises(InputError, match=r"images: \[5, 22, 24, 22\], expected \[n, 1, D, H, W\]"):
        explain("gradcam", small_cnn, images[:, 0], mixed_targets)
    with pytest.raises(InputError, match="5 images, but targets for 2"):
        explain("gradcam", small_cnn, images, mixed_targets[:2])
    with pytest.raises(InputError, match="5 images, but 1 participant ids"):
        explain("gradcam", small_cnn, images, mixed_targets, participant_ids=["a"])
    with pytest.raises(InputError, match="batch_size: 0"):
        explain("gradcam", small_cnn, images, mixed_targets, batch_size=0)


def test_nan_is_named(small_cnn, images, mixed_targets):
    images[2] = torch.nan
    with pytest.raises(InputError, match=r"gradcam: maps that are not finite\n  - p3\n"):
        explain("gradcam", small_cnn, images, mixed_targets, participant_ids=IDS)


def test_a_new_method_is_one_registration(small_cnn, images, mixed_targets, monkeypatch):
    monkeypatch.setattr("voxplain.attribution.registry.METHODS", dict(METHODS))
    none = METHODS["guided_backprop"].settings
    register(Method("image", lambda net, x, t, s, c: Attribution(x[:, 0], np.zeros(len(x))), none))
    assert torch.equal(explain("image", small_cnn, images, mixed_targets), images[:, 0])
    with pytest.raises(ValueError, match="'image' is registered already"):
        register(Method("image", None, none))


@pytest.mark.parametrize(("count", "most", "sizes"), [(5, 4, [2, 3]), (4, 4, [4]), (9, 4, [3, 3, 3]), (1, 8, [1])])
def test_batches_are_of_about_equal_size(count, most, sizes):
    """A single image is slow."""
    batches = batches_of(count, most)
    assert [part.stop - part.start for part in batches] == sizes
    assert [i for part in batches for i in range(count)[part]] == list(range(count))
    assert batches_of(0, most) == []


@pytest.mark.parametrize("name", ["gradcam", "guided_backprop", "lrp", "smoothgrad"])
def test_what_is_the_same_for_all_people_is_done_once(name, small_cnn, images, mixed_targets):
    """Every batch takes as many passes as the method itself needs."""
    explain_some = Explainer(name, small_cnn, images[:1], 3, **QUICK.get(name, {}))
    passes = []
    explain_some.network.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    maps = explain_some(images, mixed_targets, IDS, 3).maps
    assert passes == {"smoothgrad": [2, 6, 3, 8, 1]}.get(name, [2, 3])
    assert torch.equal(maps, run(name, small_cnn, images, mixed_targets, batch_size=3))
