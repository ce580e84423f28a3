import pytest
import torch
from torch import nn

from voxplain.attribution.memory_budget import images_at_once, scores_of
from voxplain.base.errors import InputError


def test_images_at_once():
    """Activations 2 · 6³ (convolution) and as many (ReLU) of 4 bytes; Identity and Flatten hand on what they get."""
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(432, 2))
    image = torch.zeros(1, 1, 8, 8, 8)
    activations, input_bytes, logits = 432 * 4, 512 * 4, 8
    largest = input_bytes
    needed = input_bytes + 2 * activations + logits + 2 * largest + 6 * input_bytes
    assert images_at_once(model, image, 3.001 * needed / 2**20) == 3
    assert images_at_once(model, image, 2.999 * needed / 2**20) == 2
    assert images_at_once(model, image, 3.001 * (needed - input_bytes - 2 * activations - logits) / 2**20, False) == 3
    assert images_at_once(model, image, 1e-9) == 1
    assert images_at_once(model, image, 1e9) == 8
    assert not any(module._forward_hooks for module in model.modules())


class Summed(nn.Module):
    """A layer of its own kind: takes a list, or a volume by keyword."""

    def forward(self, volumes=None, *, volume=None):
        return sum(volumes) if volume is None else 2 * volume


@pytest.mark.parametrize("call", [lambda layer, x: layer([x, x]), lambda layer, x: layer(volume=x)])
def test_layers_that_are_not_given_a_tensor_count_as_new_volumes(call):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.summed, self.flatten, self.linear = Summed(), nn.Flatten(), nn.Linear(512, 2)

        def forward(self, images):
            return self.linear(self.flatten(call(self.summed, images)))

    image = torch.zeros(1, 1, 8, 8, 8)
    needed = (512 * 4 + 512 * 4 + 8) + 2 * 512 * 4 + 6 * 512 * 4
    assert images_at_once(Network(), image, 3.001 * needed / 2**20) == 3
    assert images_at_once(Network(), image, 2.999 * needed / 2**20) == 2


def test_scores_come_in_passes_of_what_fits():
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
    images, targets = torch.randn(5, 1, 2, 2, 2), torch.randn(5, 2)
    passes = []
    model.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    found = scores_of(model, images, targets, 2)
    assert passes == [2, 2, 1]
    assert not found.requires_grad
    torch.testing.assert_close(found, (model(images) * targets).sum(dim=1).detach())
    with pytest.raises(InputError, match=r"returned \[5, 2\] for targets of \[5, 3\]"):
        scores_of(model, images, torch.ones(5, 3), 2)


def test_outputs_that_lose_their_axis_in_the_last_pass_are_refused():
    class Squeezed(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1)).squeeze()

    with pytest.raises(InputError, match=r"returned \[2\] for targets of \[1, 2\]"):
        scores_of(Squeezed(8, 2), torch.randn(5, 1, 2, 2, 2), torch.ones(5, 2), 2)
