from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.occlusion import covering_matrix
from voxplain.attribution.registry import attribute, explain
from voxplain.base.errors import InputError


def linear(shape, outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), outputs))


def naive(score, image, baseline, window, starts):
    """Mean fall of the score over the cubes that cover a voxel, cube by cube."""
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for corner in product(*starts):
        cube = tuple(slice(start, start + window) for start in corner)
        occluded = image.clone()
        occluded[cube] = baseline[cube]
        total[cube] += score(image) - score(occluded)
        count[cube] += 1
    return total / count


def test_closed_form_of_a_linear_network():
    """Single voxels: w (x − x′)."""
    shape = (3, 4, 3)
    model, image, mean = linear(shape), torch.randn(2, 1, *shape), torch.randn(shape)
    weights = model[1].weight.detach().reshape(shape)
    maps = explain("occlusion", model, image, torch.ones(2, 1), window=1, stride=1, mean_image=mean)
    torch.testing.assert_close(maps, weights * (image[:, 0] - mean), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("stride", "starts"),
    [
        (1, (range(5), range(6), range(4))),
        (2, ([0, 2, 4], [0, 2, 3, 5], [0, 1, 2, 3])),
        (3, ([0, 2, 4], [0, 2, 3, 5], [0, 3])),
    ],
)
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_equals_a_loop_over_cubes(stride, starts, baseline):
    """Also where the stride does not divide what the cube leaves free of the image."""
    shape = (7, 8, 6)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 5 * 6 * 4, 3)).eval()
    images, mean = torch.randn(2, 1, *shape), torch.randn(shape)
    targets = torch.tensor([[0.0, 1, 0], [-1, 0, 1]])
    maps = explain("occlusion", model, images, targets, window=3, stride=stride, baseline=baseline, mean_image=mean)
    start = mean if baseline == "mean" else torch.zeros(shape)
    for image, target, found in zip(images, targets, maps, strict=True):
        with torch.no_grad():
            expected = naive(lambda x, t=target: (model(x[None, None])[0] @ t).item(), image[0], start, 3, starts)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("window", "stride"), [(3, 2), (4, 3), (2, 2), (3, 3)])
def test_a_mirrored_network_gives_the_mirrored_map_of_a_mirrored_image(axis, window, stride):
    """Of whole numbers, so that sums are exact in any order."""
    shape = (7, 8, 6)
    draws = torch.Generator().manual_seed(2)
    image, weights, mean = (torch.randint(-4, 5, shape, generator=draws).float() for _ in range(3))

    def mapped(image, weights, mean):
        model = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 1, bias=False))
        model[1].weight.data = weights.reshape(1, -1)
        options = {"window": window, "stride": stride, "mean_image": mean}
        return explain("occlusion", model, image[None, None], torch.ones(1, 1), **options)[0]

    expected = mapped(image, weights, mean)
    assert not torch.equal(expected, expected.flip(axis))
    assert torch.equal(mapped(*(volume.flip(axis) for volume in (image, weights, mean))), expected.flip(axis))


def test_the_lattice_is_symmetric_and_of_whole_windows():
    for size, window in product(range(1, 24), range(1, 9)):
        for stride in range(1, window + 1):
            if window > size:
                continue
            covers = covering_matrix(size, window, stride)
            assert torch.equal(covers, covers.flip(0, 1))
            assert (covers.sum(dim=0) == window).all()
            assert (covers.sum(dim=1) >= 1).all()
            assert covers[0, 0] == covers[-1, -1] == 1
            starts = covers.argmax(dim=0)
            assert not len(starts) > 1 or 1 <= starts.diff().min() <= starts.diff().max() <= stride
            assert len(starts) <= np.ceil((size - window) / stride) + 2


def test_cubes_of_voxels_that_equal_the_baseline_explain_nothing(small_cnn, images, mixed_targets):
    images[:, :, :12] = 0  # cubes start at 0, 3, 7, 10, ...
    maps = explain("occlusion", small_cnn, images, mixed_targets, window=5, stride=5, baseline="zero")
    assert maps[:, :10].abs().max() < 1e-5 < maps[:, 10:].abs().max()


def test_memory_and_batches_play_no_part(small_cnn, images, mixed_targets):
    options = {"window": 8, "stride": 7, "baseline": "zero"}
    expected = explain("occlusion", small_cnn, images, mixed_targets, batch_size=5, **options)
    for more in ({"memory_mb": 0.001}, {"batch_size": 1}, {"batch_size": 3}):
        found = explain("occlusion", small_cnn, images, mixed_targets, **options, **more)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    reverse = explain("occlusion", small_cnn, images.flip(0), mixed_targets.flip(0), **options).flip(0)
    torch.testing.assert_close(reverse, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_no_pass_holds_more_images_than_fit(small_cnn, images, mixed_targets):
    passes = []
    small_cnn.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    options = {"window": 20, "stride": 20, "baseline": "zero", "batch_size": 5}
    explain("occlusion", small_cnn, images, mixed_targets, memory_mb=0.001, **options)
    assert set(passes) == {1}


def test_the_score_is_that_of_the_image(small_cnn, images, mixed_targets):
    result = attribute("occlusion", small_cnn, images, mixed_targets, window=20, stride=20, baseline="zero")
    expected = (small_cnn.eval()(images) * mixed_targets).sum(dim=1).detach().numpy()
    np.testing.assert_allclose(result.score_before, expected, rtol=1e-4, atol=1e-5)


def test_refusals(small_cnn, images, mixed_targets):
    with pytest.raises(InputError, match=r"a cube of 23 voxels does not fit into an image of \(22, 24, 22\)"):
        explain("occlusion", small_cnn, images, mixed_targets, window=23, baseline="zero")
    with pytest.raises(InputError, match=r"stride: 5 is larger than the window of 4"):
        explain("occlusion", small_cnn, images, mixed_targets, window=4, stride=5)
    with pytest.raises(InputError, match=r"baseline: mean needs .* set baseline: zero"):
        explain("occlusion", small_cnn, images, mixed_targets)
    wrong = {"window": 0, "stride": 1.5, "baseline": "blur", "memory_mb": 0}
    with pytest.raises(InputError) as error:
        explain("occlusion", small_cnn, images, mixed_targets, **wrong)
    assert all(name in str(error.value) for name in wrong)
