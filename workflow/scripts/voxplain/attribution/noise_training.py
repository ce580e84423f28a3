"""Training of a noise model against a frozen network: as much noise as possible that leaves the answer as it is.

For an image x with B = sigmoid(U(x)) and ε ~ N(0, 1), U-Noise (Koker et al. 2021, arXiv 2101.05791) minimises

    task loss(f(x + ε (B (max − min) + min))) − λ mean over voxels of log B.

The task loss compares with the network's own clean answer, so that no true target is needed: the squared distance of a
regression's (standardised) outputs (Bintsi et al. 2021, arXiv 2108.05388, minimise a loss of regression that they do
not name), and for classes the Kullback-Leibler divergence from the clean to the noisy probabilities. The cross entropy
with the predicted class would reward noise that makes the network surer; the divergence is least at the clean image.

For a linear network with weights w, unit noise and no floor, the loss is Σ w² B² − λ/V Σ log B over V voxels, whose
least value has B = min(1, √(λ/2V)/|w|).

Noise moves a network with ReLUs in two ways: at random, and always in one direction, because what lies below a
threshold is cut. The second way, the drift, is by far the larger one for white noise, which convolutions average out,
and the published loss can be lowered without finding any important voxel: by noise whose drifts in different places
cancel. The map then shows that balance, and the network does worse when more voxels are freed of noise. Where a random
half of the cubes stays clean, the drifts cannot all cancel, and each cube has to answer for its own. The task loss is
doubled to make up for the clean half: for a linear network the loss above stays what it is, on average.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from voxplain.attribution.noise_model import NoiseSettings, TrainedNoise, build_noise_model, noise_sd
from voxplain.attribution.perturbation_answer import temperatures
from voxplain.base.errors import InputError
from voxplain.base.progress import Progress
from voxplain.base.seeds import seed_for, stream
from voxplain.models.folding import fold_batchnorm
from voxplain.models.loading import Volumes
from voxplain.models.resuming import fingerprint, restore_state, save_state, undisturbed
from voxplain.models.training import batches


def train_noise(
    model: nn.Module,
    stack: np.ndarray,
    rows: Sequence[int],
    metadata: Mapping[str, object],
    settings: NoiseSettings,
    device: torch.device | str,
    seed: int,
    resume_folder: str | Path | None = None,
) -> tuple[TrainedNoise, pd.DataFrame]:
    """Train a noise model for a network.

    Parameters
    ----------
    model : nn.Module
        The network; left as it is.
    stack : array [n, D, H, W]
        float32, may be memory-mapped.
    rows : sequence of int
        Rows to train on, in any order: the people that the network was trained on.
    metadata : mapping
        Of the network's checkpoint: ``task`` and, for the noise model's file, ``fold``.
    settings : NoiseSettings
    device : torch.device
    seed : int
        Of this training: derive it from the config's seed and the fold.
    resume_folder : path-like, optional
        Where the state after each epoch is kept, under a lock. Delete it once the noise model is saved.

    Returns
    -------
    TrainedNoise
        On the device.
    DataFrame
        One row an epoch: ``epoch, loss, task_loss, mean_log_b, mean_b, learning_rate, seconds``. The task loss is in
        squared units of the network's output for a regression, and in nats for classes.

    Raises
    ------
    InputError
        For rows that are not there, and for a loss that is not finite.
    """
    device = torch.device(device)
    rows = np.sort(np.asarray(rows, dtype=np.int64))
    if len(rows) == 0:
        raise InputError("there is nobody to train a noise model on")
    with undisturbed(device, resume_folder):
        training = _Training(model, stack, rows, metadata, settings, device, seed)
        history = training.run(resume_folder)
    trained = TrainedNoise(
        training.noise.eval(), settings, training.volumes.shape, training.intensity_sd, metadata.get("fold")
    )
    return trained, history


def task_loss(noisy: Tensor, clean: Tensor, task: str, confidence: float | None = None) -> Tensor:
    """Return how far noise has moved the answers, mean over people.

    Parameters
    ----------
    noisy, clean : Tensor [n, outputs]
        Outputs of the network.
    task : {'classification', 'regression'}
        Kullback-Leibler divergence (nats), or squared distance.
    confidence : float, optional
        See `NoiseSettings`.
    """
    if task == "regression":
        return (noisy - clean).square().sum(dim=1).mean()
    temperature = temperatures(clean, clean.argmax(dim=1), confidence)[:, None]
    noisy, clean = (noisy / temperature).log_softmax(dim=1), (clean / temperature).log_softmax(dim=1)
    return functional.kl_div(noisy, clean, reduction="batchmean", log_target=True)


def brain_intensity_sd(stack: np.ndarray, rows: Sequence[int]) -> float:
    """Return the standard deviation of intensity over the brain (voxels that are not 0), root mean square over people.

    Raises
    ------
    InputError
        When the images have no contrast.
    """
    brains = (volume[volume != 0] for volume in (np.asarray(stack[row], dtype=np.float64) for row in rows))
    found = math.sqrt(np.mean([brain.var() if brain.size else 0.0 for brain in brains]))
    if not found > 0 or not math.isfinite(found):
        raise InputError(f"the images to train a noise model on have an intensity with a standard deviation of {found}")
    return found


class _Training:
    """The moving parts of one training."""

    def __init__(self, model, stack, rows, metadata, settings: NoiseSettings, device: torch.device, seed: int):
        self.settings, self.device, self.seed, self.task = settings, device, seed, metadata["task"]
        self.volumes = Volumes(stack, rows, device)
        self.intensity_sd = brain_intensity_sd(stack, rows)
        self.network = fold_batchnorm(model, torch.from_numpy(np.array(stack[rows[:1]], np.float32))[:, None])
        self.network.to(device)
        torch.manual_seed(seed_for(seed, "noise weights"))
        self.noise = build_noise_model(settings, self.volumes.shape).to(device)
        self.optimiser = torch.optim.Adam(self.noise.parameters(), lr=settings.learning_rate)
        self.steps = len(batches(np.arange(len(rows)), settings.people_per_step))
        self.history: list[dict[str, float]] = []
        self.key = fingerprint(
            settings=asdict(settings),
            seed=seed,
            rows=rows,
            task=self.task,
            images=np.array([stack[row].sum(dtype=np.float64) for row in rows]),
            network=fingerprint(**{k: v.detach().cpu().numpy() for k, v in self.network.state_dict().items()}),
            software=[torch.__version__, device.type],
        )

    def run(self, folder: str | Path | None) -> pd.DataFrame:
        if folder is not None:
            restored = restore_state(folder, self.key, self.noise, self.optimiser)
            self.history = restored[0]["history"] if restored else []
        progress = Progress("noise model: epoch", self.settings.epochs, done=len(self.history))
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            start = time.monotonic()
            row = {"epoch": epoch, **self._train_epoch(epoch), "seconds": round(time.monotonic() - start, 3)}
            if not math.isfinite(row["loss"]):
                raise InputError(
                    f"Training of the noise model diverged: the loss of epoch {epoch} is not finite. "
                    "Use a lower learning_rate."
                )
            self.history.append(row)
            if folder is not None:
                save_state(folder, self.key, {"history": self.history}, self.noise, self.optimiser, {})
            progress.step(note=f"task loss {row['task_loss']:.3g}, mean B {row['mean_b']:.3f}")
        return pd.DataFrame(self.history)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        # Seeded anew each epoch: a resumed training needs no state of random generators.
        order = stream(self.seed, "noise order", epoch).permutation(len(self.volumes))
        torch.manual_seed(seed_for(self.seed, "noise draws", epoch))
        self.noise.train()
        totals = torch.zeros(4, device=self.device)
        rate = self.settings.learning_rate
        for step, places in enumerate(batches(order, self.settings.people_per_step)):
            done = ((epoch - 1) * self.steps + step) / (self.settings.epochs * self.steps)
            for group in self.optimiser.param_groups:
                group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2
            self.optimiser.zero_grad()
            task, log_b, mean_b = self._terms(self.volumes.batch(places))
            loss = task - self.settings.lambda_ * log_b
            loss.backward()
            self.optimiser.step()
            totals += len(places) * torch.stack([task.detach(), log_b.detach(), mean_b, torch.ones_like(mean_b)])
        task, log_b, mean_b, people = totals.tolist()
        return {
            "loss": (task - self.settings.lambda_ * log_b) / people,
            "task_loss": task / people,
            "mean_log_b": log_b / people,
            "mean_b": mean_b / people,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
        }

    def _terms(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the task loss, the mean of log B and, without a gradient, the mean of B."""
        with torch.no_grad():
            clean = self.network(images)
        logits = self.noise(images)
        drawn = torch.randn_like(images)
        if self.settings.cubes is not None:
            drawn = drawn * _random_cubes(images, self.settings.cubes)
        noisy = images + drawn * noise_sd(logits, self.settings, self.intensity_sd)
        task = task_loss(self.network(noisy), clean, self.task, self.settings.confidence)
        if self.settings.cubes is not None:
            task = 2 * task
        return task, functional.logsigmoid(logits).mean(), logits.detach().sigmoid().mean()


def _random_cubes(images: Tensor, edge: int) -> Tensor:
    """Return 1 in a random half of the cubes of a randomly shifted lattice and 0 in the others, [n, 1, D, H, W]."""
    shape = images.shape[2:]
    chosen = torch.rand(len(images), 1, *((size + edge - 2) // edge + 1 for size in shape), device=images.device) < 0.5
    for axis, size in enumerate(shape, start=2):
        start = int(torch.randint(edge, ()))
        chosen = chosen.repeat_interleave(edge, dim=axis).narrow(axis, start, size)
    return chosen.to(images.dtype)
