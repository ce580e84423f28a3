"""Training samples a second beside a plain loop of torch's own parts, and beside the machine's matrix products.

The network is the published one at full size (32 channels, 58x70x58 voxels, batches of 45), the images are noise in a
memory-mapped array. The limit turns the operations that a sample needs into seconds at the rate of a large matrix
product in the precision that the training chose: nothing but the convolutions would then cost time.
"""

import contextlib
import io
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import LIMIT, OURS, PEER, Row, per_unit, take_turns

THREADS, SEED = 2, 1
LABELS = ("F", "M")


@dataclass(frozen=True)
class Size:
    """What is trained: voxels, channels of the first block, people, batch, epochs; and the edge of the matrices."""

    shape: tuple[int, int, int] = (58, 70, 58)
    channels: int = 32
    people: int = 45
    batch: int = 45
    epochs: int = 1
    edge: int = 4096
    repetitions: int = 5


SMALL = Size(shape=(22, 24, 22), channels=2, people=6, batch=3, edge=128, repetitions=1)


def size_for(small: bool, device: str) -> Size:
    if small:
        return SMALL
    # More of it on a GPU, which would otherwise mostly begin.
    return Size(people=10 * 45, epochs=10, edge=8192) if device == "cuda" else Size()


def operations(shape: tuple[int, int, int], channels: int, training: bool = True) -> int:
    """Return the multiplications and additions of one sample: forward, and in training backward as well.

    The convolutions and the linear layer count. The backward pass has none for the first layer's input.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from voxplain.models.voxel_cnn import VoxelCNN

    with torch.device("meta"):
        model, image = VoxelCNN(shape=shape, channels=channels), torch.empty(1, 1, *shape)
    with FlopCounterMode(display=False) as counter, contextlib.nullcontext() if training else torch.no_grad():
        output = model.train(training)(image)
        if training:
            output.sum().backward()
    return counter.get_total_flops()


def answers(people: int) -> np.ndarray:
    return np.arange(people) % 2


def ours(folder: str, size: Size, device: str, amp: str, **_) -> Callable[[], None]:
    from voxplain.base.device import on_device
    from voxplain.models.settings import TrainingSettings
    from voxplain.models.training import train

    stack = np.load(Path(folder) / "stack.npy", mmap_mode="r")
    targets = [LABELS[answer] for answer in answers(size.people)]
    settings = TrainingSettings(
        arguments={"channels": size.channels},
        labels=LABELS,
        epochs=size.epochs,
        batch_size=size.batch,
        checkpoint="last",
        amp=amp,
    )

    def training() -> None:
        with on_device(device, THREADS) as chosen, contextlib.redirect_stderr(io.StringIO()):
            # The history asks the device for the loss, so that a GPU is done when this returns.
            train(stack, range(size.people), targets, settings, chosen, SEED)

    training()
    return training


def peer(folder: str, size: Size, device: str, **_) -> Callable[[], None]:
    """Prepare the training as published (Kan et al. 2020, arXiv 2006.15969), on a Dataset and a DataLoader."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class People(Dataset):
        def __init__(self):
            self.stack, self.answers = np.load(Path(folder) / "stack.npy", mmap_mode="r"), answers(size.people)

        def __len__(self):
            return len(self.stack)

        def __getitem__(self, row):
            return torch.from_numpy(np.array(self.stack[row]))[None], int(self.answers[row])

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    blocks, widths, side = [], [1, size.channels, 2 * size.channels, 4 * size.channels], np.array(size.shape)
    for before, after in itertools.pairwise(widths):
        blocks += [nn.Conv3d(before, after, 3), nn.BatchNorm3d(after), nn.ReLU(), nn.MaxPool3d(2)]
        side = (side - 2) // 2
    head = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(widths[-1] * int(side.prod()), 2), nn.LogSoftmax(dim=1)]
    model = nn.Sequential(*blocks, *head).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-4)
    loss_of = nn.NLLLoss()
    # Workers would take the processor's cores from the convolutions; beside a GPU they read ahead.
    cuda = device == "cuda"
    if cuda:
        # Workers are children, which the daemon that a contender is may not have.
        multiprocessing.current_process()._config["daemon"] = False
    reading = {"num_workers": 4, "pin_memory": True, "persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(People(), size.batch, shuffle=True, **(reading if cuda else {}))

    def training() -> None:
        model.train()
        for _ in range(size.epochs):
            total = 0.0
            for images, wanted in loader:
                images, wanted = images.to(device, non_blocking=True), wanted.to(device, non_blocking=True)
                optimiser.zero_grad()
                loss = loss_of(model(images), wanted)
                loss.backward()
                optimiser.step()
                total += loss.item()

    training()
    return training


def limit(size: Size, device: str, precision: str, **_) -> Callable[[], float]:
    """Return what tells the seconds that the operations of the training would take as one matrix product."""
    from voxplain.base.device import on_device

    needed = size.epochs * size.people * operations(size.shape, size.channels)

    def product() -> float:
        with on_device(device, THREADS) as chosen:
            return needed / product_rate(chosen, precision, size.edge)

    return product


def product_rate(device: object, precision: str, edge: int, repetitions: int = 3) -> float:
    """Return the operations a second of ``torch.mm`` on random square matrices, the best of some repetitions.

    Parameters
    ----------
    device : torch.device
    precision : str
        Name of a torch type; ``tf32`` for float32 with the shorter products of a GPU.
    edge : int
        Of the matrices.
    """
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    kind = torch.float32 if precision == "tf32" else getattr(torch, precision)
    first, second = (torch.randn(edge, edge, device=device).to(kind) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        torch.mm(first, second)
        seconds = []
        for _ in range(repetitions):
            wait()
            start = time.perf_counter()
            torch.mm(first, second)
            wait()
            seconds.append(time.perf_counter() - start)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return 2 * edge**3 / min(seconds)


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    import torch

    from voxplain.models.training import training_precision

    size = size_for(small, device)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        stack = np.random.default_rng(0).standard_normal((size.people, *size.shape), dtype=np.float32)
        np.save(Path(folder) / "stack.npy", stack)
        del stack
        for amp in ("auto", "never"):
            precision = str(training_precision(torch.device(device), amp)).removeprefix("torch.")
            if amp == "never" and found[0].note.startswith(precision):
                continue
            found.append(_row(folder, size, device, amp, precision))
    return found


def _row(folder: str, size: Size, device: str, amp: str, precision: str) -> Row:
    contenders = {OURS: ours, PEER: peer, LIMIT: limit}
    options = {"folder": folder, "size": size, "device": device, "amp": amp, "precision": precision}
    return Row(
        work=f"training, {size.channels} channels, batches of {size.batch}, amp: {amp} ({device})",
        unit="sample",
        seconds=per_unit(take_turns(contenders, size.repetitions, **options), size.people * size.epochs),
        peer="float32 in torch's usual layout, Dataset and DataLoader over the memory map, torch's allocator as it is",
        limit=f"torch.mm in {precision} at {operations(size.shape, size.channels) / 1e9:.3g} GFLOP a sample",
        wanted_ratio=(4.0 if device == "cuda" else 1.6) if amp == "auto" else None,
        note=f"{precision}, {THREADS} threads" if device == "cpu" else precision,
    )
