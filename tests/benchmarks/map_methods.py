"""Maps a second of Grad-CAM, guided backpropagation and relevance beside captum's, and beside plain passes.

The network is the published one (32 channels, 58x70x58 voxels) with random weights, the images are noise. captum gets
a network in evaluation mode with torch's usual layout of memory, one person at a time or in the batches that we use.
The limit is a forward and backward pass to the input, of the network as it is and in the same batches.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from measuring import LIMIT, OURS, PEER, Row, per_unit, take_turns

METHODS = ("gradcam", "guided_backprop", "lrp")
NAMES = {"gradcam": "LayerGradCam", "guided_backprop": "GuidedBackprop", "lrp": "LRP"}
THREADS, SEED = 2, 1


@dataclass(frozen=True)
class Size:
    """What is explained, and by how large a network; one by one captum has fewer people, as it takes long."""

    shape: tuple[int, int, int] = (58, 70, 58)
    channels: int = 32
    people: int = 32
    one_by_one: int = 4
    repetitions: int = 5


DEFAULT = Size()
SMALL = Size(shape=(22, 24, 22), channels=2, people=3, one_by_one=1, repetitions=1)


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    """Return two rows a method: beside captum one by one, and beside captum in batches."""
    size = SMALL if small else Size(people=192, one_by_one=16) if device == "cuda" else DEFAULT
    result = []
    for method in METHODS:
        contenders = {
            OURS: functools.partial(ours, method=method),
            "one": functools.partial(captum, method=method, batched=False),
            "batch": functools.partial(captum, method=method, batched=True),
            LIMIT: one_pass,
        }
        times = take_turns(contenders, size.repetitions, size=size, device=device)
        times = per_unit(times, {who: size.one_by_one if who == "one" else size.people for who in times})
        batch = min(usual_batch(method, device), size.people)
        for peer, words, wanted in (("one", "one by one", 3.0), ("batch", f"{batch} at once", 1.0)):
            result.append(
                Row(
                    work=f"{method}, captum {words}",
                    unit="map",
                    seconds={OURS: times[OURS], PEER: times[peer], LIMIT: times[LIMIT]},
                    peer=f"captum {NAMES[method]}, {words}",
                    limit=f"forward and backward pass to the input, {batch} at once",
                    wanted_ratio=wanted,
                )
            )
    return result


def usual_batch(method: str, device: str) -> int:
    import torch

    from voxplain.attribution.registry import checked_settings, usual_batch_size

    return usual_batch_size(torch.device(device), checked_settings(method, {}))


def network_and_images(size: Size, people: int):
    """Return a network in evaluation mode whose BatchNorm has seen data, and as many images."""
    import torch

    from voxplain.models.voxel_cnn import VoxelCNN

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    model = VoxelCNN(shape=size.shape, channels=size.channels)
    with torch.no_grad():
        model.train()(torch.randn(4, 1, *size.shape))
    return model.eval(), torch.randn(people, 1, *size.shape)


def ours(size: Size, device: str, method: str) -> Callable[[], None]:
    """Do what a job does, but for reading and writing: one call for all people."""
    import torch

    from voxplain.attribution.registry import attribute
    from voxplain.base.device import on_device

    model, images = network_and_images(size, size.people)
    targets = torch.tensor([[0.0, 1.0]]).repeat(size.people, 1)
    # Held to the end of the process, which is what ends it.
    held = on_device(device, THREADS)
    model = model.to(held.__enter__())
    return timed(lambda: attribute(method, model, images, targets), device, held)


def captum(size: Size, device: str, method: str, batched: bool) -> Callable[[], None]:
    """Explain with captum as its documentation says, and bring maps to the grid of the images and to the CPU."""
    import torch

    people = size.people if batched else size.one_by_one
    at_once = usual_batch(method, device) if batched else 1
    model, images = network_and_images(size, people)
    model = model.to(device, memory_format=torch.contiguous_format)
    explain = {"gradcam": captum_gradcam, "guided_backprop": captum_guided, "lrp": captum_lrp}[method](model, size)

    def once():
        return torch.cat([explain(part.to(device)).detach().cpu() for part in images.split(at_once)])

    return timed(once, device)


def captum_gradcam(model, size: Size) -> Callable:
    from captum.attr import LayerAttribution, LayerGradCam

    cam = LayerGradCam(model, model.features[-1].relu)

    def explain(images):
        coarse = cam.attribute(images, target=1)
        return LayerAttribution.interpolate(coarse, size.shape, interpolate_mode="trilinear")

    return explain


def captum_guided(model, size: Size) -> Callable:
    from captum.attr import GuidedBackprop

    guided = GuidedBackprop(model)
    return quietly(lambda images: guided.attribute(images.requires_grad_(), target=1))


def captum_lrp(model, size: Size) -> Callable:
    """Return the rules of our default, BatchNorm folded by torch's own function: captum has no rule for it."""
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    class Flattening(nn.Module):
        """Nor has it one for nn.Flatten."""

        def __init__(self):
            super().__init__()
            blocks = [[fuse_conv_bn_eval(block.conv, block.norm), block.relu, block.pool] for block in model.features]
            self.features = nn.Sequential(*(layer for block in blocks for layer in block))
            self.linear = model.head.linear

        def forward(self, images):
            return self.linear(torch.flatten(self.features(images), 1))

    network = Flattening().eval()
    relevance = LRP(network)

    def explain(images):
        for module in network.modules():  # each time: captum takes the rules away at the end
            if isinstance(module, nn.Conv3d):
                module.rule = Alpha1_Beta0_Rule()
            elif isinstance(module, nn.Linear | nn.MaxPool3d):
                module.rule = EpsilonRule()
        return relevance.attribute(images.requires_grad_(), target=1)

    return quietly(explain)


def quietly(explain: Callable) -> Callable:
    """Leave out captum's announcements of its hooks."""
    import warnings

    def explain_quietly(images):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return explain(images)

    return explain_quietly


def one_pass(size: Size, device: str) -> Callable[[], None]:
    import torch

    from voxplain.base.device import on_device

    at_once = usual_batch("gradcam", device)
    model, images = network_and_images(size, size.people)
    held = on_device(device, THREADS)
    model = model.to(held.__enter__()).requires_grad_(False)

    def once():
        for part in images.split(at_once):
            part = part.to(device).requires_grad_()
            torch.autograd.grad(model(part)[:, 1].sum(), part)[0].cpu()

    return timed(once, device, held)


def timed(once: Callable, device: str, held: object = None) -> Callable[[], None]:
    """Return the work after a first time that does not count; `held` lives as long."""
    import torch

    def work():
        once()
        if device == "cuda":
            torch.cuda.synchronize()
        return held and None

    work()
    return work
