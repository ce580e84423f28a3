"""Perturbation maps of people an hour at an equal objective, beside the published way to optimise them.

Both lower the same objective (the network's tempered answer for moved mixtures of the image and the population's mean,
plus the regularisers) for the same people and network, a VoxelCNN that is trained here on synthetic brains. The final
masks of both are judged by one function: the objective over 27 fixed shifts, by the plain formula below. The limit is
the passes through the network alone, for as many images as ours took.
"""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measuring import LIMIT, OURS, PEER, Row, per_unit, take_turns
from perturbation_study import SEED, THREADS, Size, prepare, prepared

# As published: images a step, learning rate, steps after which it falls to a tenth, and over which regularisers grow.
JITTERS, RATE, EVERY, RAMP = 10, 0.3, 30, 60
DEFAULT = Size()
SMALL = Size(shape=(22, 24, 22), channels=2, learned_from=8, epochs=1, people=2, repetitions=1, steps=3)
GPU = Size(channels=32, people=96, repetitions=3)


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    """Return one row; the objectives that both reached stand in its note."""
    size = SMALL if small else GPU if device == "cuda" else DEFAULT
    with tempfile.TemporaryDirectory() as folder:
        accuracy = prepare(folder, size, device)
        contenders = {OURS: ours, PEER: published, LIMIT: passes}
        times = take_turns(contenders, size.repetitions, folder=folder, size=size, device=device)
        reached = objectives(folder, size)
        steps = np.load(Path(folder) / "steps.npy")
    ratio = reached[OURS].mean() / reached[PEER].mean()
    pairs = "; ".join(f"{a:.3f}, {b:.3f}" for a, b in zip(reached[OURS], reached[PEER], strict=True))
    return [
        Row(
            work=f"perturbation maps, {size.channels} channels",
            unit="person",
            seconds=per_unit(times, {OURS: size.people, PEER: 1, LIMIT: size.people}),
            peer=f"the published way: one person at a time, {size.steps} steps of {JITTERS} images, one by one",
            limit=f"forward and backward pass to the input of as many images, {usual_batch(device)} at once",
            wanted_ratio=30.0 if device == "cuda" else 6.0,
            note=(
                f"mean final objective, ours over the peer's: {ratio:.4f}, wanted: at most 1.01 (ours, peer: {pairs}); "
                f"steps of ours: {steps.min()} to {steps.max()}, on average {steps.mean():.1f}; accuracy of the "
                f"network for the people explained: {accuracy:.2f}"
            ),
        )
    ]


def usual_batch(device: str) -> int:
    import torch

    from voxplain.attribution.registry import checked_settings, usual_batch_size

    return usual_batch_size(torch.device(device), checked_settings("perturbation", {}))


def ours(folder: str, size: Size, device: str) -> Callable[[], None]:
    """Do what a job does, but for reading and writing: one call for all people."""
    import torch

    from voxplain.attribution.registry import attribute
    from voxplain.base.device import on_device

    model, images, mean = prepared(folder, size)
    targets = torch.tensor([[-1.0, 1.0]]).repeat(len(images), 1)
    held = on_device(device, THREADS)
    model = model.to(held.__enter__())

    def once(held=held, **settings):  # the device is held to the end of the process
        result = attribute("perturbation", model, images, targets, seed=SEED, mean_image=mean, **settings)
        np.save(Path(folder) / "ours.npy", result.maps.numpy())
        np.save(Path(folder) / "steps.npy", result.iterations)

    once(iterations=2)
    return once


def passes(folder: str, size: Size, device: str) -> Callable[[], None]:
    """Differentiate the network's answer for as many images as ours took the last time."""
    import torch

    from voxplain.base.device import on_device
    from voxplain.models.folding import fold_batchnorm

    model, images, _ = prepared(folder, size)
    held, at_once = on_device(device, THREADS), usual_batch(device)
    network = fold_batchnorm(model.to(held.__enter__()))
    images = images.to(device).repeat(-(-at_once // len(images)), 1, 1, 1, 1)[:at_once]

    def once(held=held, count=None):
        left = int(np.load(Path(folder) / "steps.npy").sum()) if count is None else count
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            while left > 0:
                part = images[:left].requires_grad_()
                torch.autograd.grad(network(part).softmax(dim=1)[:, 1].sum(), part)
                left -= at_once
        if device == "cuda":
            torch.cuda.synchronize()

    once(count=2 * at_once)
    return once


def published(folder: str, size: Size, device: str) -> Callable[[], None]:
    """Return a plain script's optimisation of one person, another one at every call."""
    import torch

    model, images, mean = prepared(folder, size)
    model = model.to(device, memory_format=torch.contiguous_format)  # its weights require gradients, as they come
    images, mean = images.to(device), mean.to(device)
    numbers, masks = itertools.count(), []

    def once():
        mask = optimise(Formula(model, images[next(numbers)], mean), size.steps)
        masks.append(mask.cpu().numpy())
        np.save(Path(folder) / "peer.npy", np.stack(masks))

    optimise(Formula(model, images[0], mean), 2)
    return once


def optimise(formula: "Formula", steps: int):
    """Return the coarse mask of one person that the published optimiser finds."""
    import torch

    device = formula.image.device
    mask = torch.ones([n // formula.settings.mask_scale for n in formula.image.shape], device=device)
    mask.requires_grad_()
    adam = torch.optim.Adam([mask], lr=RATE, betas=(0.9, 0.99), amsgrad=True)
    schedule = torch.optim.lr_scheduler.StepLR(adam, EVERY, 0.1)
    generator = np.random.default_rng(SEED)
    best, lowest = None, np.inf
    for step in range(steps):
        adam.zero_grad()
        full = formula.enlarged(mask)
        seen = full.detach().requires_grad_()
        regularisers = formula.regularisers(mask, full) * min(1.0, step / RAMP)
        total = regularisers.detach()
        for shift in generator.integers(formula.settings.jitter, size=(JITTERS, 3)).tolist():
            answer = formula.answer(seen, shift) / JITTERS
            answer.backward()
            total = total + answer.detach()
        # Kept is the best mask; only from where regularisers have their full weights, which favours the peer.
        if step >= RAMP and total.item() < lowest:
            best, lowest = mask.detach().clone(), total.item()
        regularisers.backward(retain_graph=True)
        full.backward(seen.grad)
        adam.step()
        schedule.step()
        with torch.no_grad():
            mask.clamp_(0, 1)
    return mask.detach() if best is None else best


class Formula:
    """The objective of one person under our default settings, as a plain script has it."""

    def __init__(self, model, image, mean):
        import torch

        from voxplain.attribution.perturbation_answer import temperatures
        from voxplain.attribution.perturbation_settings import PerturbationSettings

        self.settings = PerturbationSettings()
        self.model, self.image, self.mean = model, image[0], mean
        with torch.no_grad():
            logits = model(image[None])
        self.label = logits.argmax(dim=1)
        self.temperature = temperatures(logits, self.label, self.settings.confidence)
        radius = round(4 * self.settings.mask_sigma)
        taps = torch.exp(
            -0.5 * (torch.arange(-radius, radius + 1, device=image.device) / self.settings.mask_sigma) ** 2
        )
        self.radius, self.taps = radius, taps / taps.sum()

    def enlarged(self, mask):
        from torch.nn.functional import conv3d, interpolate, pad

        full = interpolate(mask[None, None], size=self.image.shape, mode="trilinear")
        full = pad(full, (self.radius,) * 6, mode="replicate")
        for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1)):
            full = conv3d(full, self.taps.view(1, 1, *shape))
        return full[0, 0]

    def regularisers(self, mask, full):
        variation = sum(full.diff(dim=axis).abs().pow(self.settings.beta).mean() for axis in range(3))
        return self.settings.l1 * (1 - mask).mean() + self.settings.tv * variation

    def answer(self, full, shift: Sequence[int]):
        from torch.nn.functional import pad

        before = self.settings.jitter // 2
        mixed = pad((full * self.image + (1 - full) * self.mean)[None, None], (before,) * 6, mode="replicate")
        x, y, z = (slice(s, s + n) for s, n in zip(shift, self.image.shape, strict=True))
        p = (self.model(mixed[:, :, x, y, z]) / self.temperature).softmax(dim=1)[0, self.label[0]]
        return (p - self.settings.hinge).clamp(min=0)


def objectives(folder: str, size: Size) -> dict[str, np.ndarray]:
    """Return the objective of each person whom the peer has explained, over 27 shifts, for the masks of both."""
    import torch

    from voxplain.attribution.separable import along_axes, upsampling_matrix

    model, images, mean = prepared(folder, size)
    peer = torch.from_numpy(np.load(Path(folder) / "peer.npy"))
    # A map is 1 - mask upsampled: the mask is found again by least squares.
    undo = [torch.linalg.pinv(upsampling_matrix(n, c)) for n, c in zip(size.shape, peer.shape[1:], strict=True)]
    masks = {OURS: 1 - along_axes(torch.from_numpy(np.load(Path(folder) / "ours.npy")), undo), PEER: peer}
    reached = {OURS: [], PEER: []}
    for number in range(len(peer)):
        formula = Formula(model, images[number], mean)
        for who in reached:
            mask = masks[who][number]
            with torch.no_grad():
                full = formula.enlarged(mask)
                answers = [formula.answer(full, shift) for shift in itertools.product((0, 2, 4), repeat=3)]
                reached[who].append(float(torch.stack(answers).mean() + formula.regularisers(mask, full)))
    return {who: np.array(values) for who, values in reached.items()}


if __name__ == "__main__":
    import sys

    from measuring import print_table

    print_table(rows(small="small" in sys.argv, device="cuda" if "cuda" in sys.argv else "cpu"))
