"""Training of one network on the training people of one fold."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from voxplain.base.errors import InputError
from voxplain.base.progress import Progress
from voxplain.base.seeds import seed_for, stream
from voxplain.models.answers import Answers
from voxplain.models.holdout import hold_out
from voxplain.models.loading import Volumes
from voxplain.models.networks import build
from voxplain.models.objective import Objective
from voxplain.models.resuming import fingerprint, restore_state, save_state, undisturbed
from voxplain.models.settings import TrainingSettings


@dataclass(frozen=True)
class TrainedModel:
    """A trained network.

    Attributes
    ----------
    model : nn.Module
        In evaluation mode, on the device it was trained on.
    history : DataFrame
        One row an epoch: ``epoch, train_loss, train_accuracy | train_mae, validation_loss, validation_accuracy |
        validation_mae, learning_rate, seconds, best``. The mean absolute error is in the target's unit, a regression's
        loss in standardised units; training values are those in passing, with dropout. ``best`` marks the epoch whose
        weights `model` has.
    metadata : dict
        For `save_checkpoint`, which also needs ``fold``.
    """

    model: nn.Module
    history: pd.DataFrame
    metadata: dict[str, object]


def train(
    stack: np.ndarray,
    rows_train: Sequence[int],
    targets: Sequence[object],
    settings: TrainingSettings,
    device: torch.device | str,
    seed: int,
    resume_folder: str | Path | None = None,
    groups: Sequence[object] | None = None,
    dropout_seed: int | None = None,
) -> TrainedModel:
    """Train a network.

    On a CPU of one kind the result depends on the arguments and torch's number of threads alone, to the last bit, also
    when the training was interrupted and resumed. On a GPU the backward pass of max-pooling adds in no fixed order:
    there two trainings agree to rounding only.

    Parameters
    ----------
    stack : array [n, D, H, W]
        float32, may be memory-mapped.
    rows_train : sequence of int
        Rows to train on, in any order.
    targets : sequence
        Label or number of each of `rows_train`.
    settings : TrainingSettings
    device : torch.device
    seed : int
        Of this training: derive it from the config's seed and the fold.
    resume_folder : path-like, optional
        Where the state after each epoch is kept, under a lock. It stays there: delete it once the checkpoint is saved.
    groups : sequence, optional
        Family of each of `rows_train`; families are not split between training and inner validation.
    dropout_seed : int, optional
        Of the dropout masks alone, which otherwise follow from `seed`.

    Returns
    -------
    TrainedModel

    Raises
    ------
    InputError
        For people or targets that cannot be trained on, and for a loss that is not finite.
    """
    device = torch.device(device)
    with undisturbed(device, resume_folder):
        training = _Training(stack, *_ordered(rows_train, targets, groups), settings, device, seed, dropout_seed)
        return training.run(resume_folder)


def _ordered(rows, targets, groups) -> tuple[np.ndarray, list[object], list[object] | None]:
    """Sort people by row, so that the order in which they are given does not matter."""
    rows = np.asarray(rows, dtype=np.int64)
    if len(targets) != len(rows) or (groups is not None and len(groups) != len(rows)):
        raise ValueError(f"{len(rows)} rows but {len(targets)} targets: one of each is needed, and of groups if any")
    if len(np.unique(rows)) != len(rows):
        raise ValueError("a person occurs more than once among the training people")
    order = np.argsort(rows)
    targets = list(targets)
    if groups is not None:
        groups = list(groups)
        groups = [groups[i] for i in order]
    return rows[order], [targets[i] for i in order], groups


class _Training:
    """The moving parts of one training: data, network, optimiser, history, best weights."""

    def __init__(self, stack, rows, targets, groups, settings: TrainingSettings, device, seed: int, dropout_seed):
        self.settings, self.device, self.seed = settings, device, seed
        self.dropout_seed = seed if dropout_seed is None else dropout_seed
        answers = Answers.encode(targets, settings.task, settings.labels)
        self.fitted, self.validated = np.arange(len(rows)), np.arange(0)
        if settings.checkpoint == "best":
            self.fitted, self.validated = hold_out(answers, settings.validation_fraction, seed, groups)
        self.objective = Objective(answers, self.fitted, settings.loss, device)
        self.volumes = Volumes(stack, rows, device)
        self.arguments = {
            **settings.arguments,
            "shape": list(self.volumes.shape),
            "outputs": len(settings.labels) if answers.classification else 1,
        }
        torch.manual_seed(seed_for(seed, "weights"))
        self.model = build(settings.network, self.arguments).to(device)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.precision = training_precision(device, settings.amp)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        self.history: list[dict[str, object]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.key = fingerprint(
            settings=asdict(settings),
            seed=[seed, self.dropout_seed],
            rows=rows,
            answers=answers.values,
            fitted=self.fitted,
            images=np.array([stack[row].sum(dtype=np.float64) for row in rows]),
            weights=[[name, list(tensor.shape)] for name, tensor in self.model.state_dict().items()],
            software=[torch.__version__, device.type, str(self.precision)],
        )

    def run(self, folder: str | Path | None) -> TrainedModel:
        if folder is not None:
            self._resume(folder)
        progress = Progress("training: epoch", self.settings.epochs, done=len(self.history))
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            start = time.monotonic()
            row = {"epoch": epoch, **self._train_epoch(epoch), **self._validate()}
            row |= {"learning_rate": self.settings.rate(epoch), "seconds": round(time.monotonic() - start, 3)}
            self._check_finite(row)
            self.history.append(row)
            if self.settings.checkpoint == "best" and self._best_epoch() == epoch:
                self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            if folder is not None:
                state = {"history": self.history, "scaler": self.scaler.state_dict()}
                save_state(folder, self.key, state, self.model, self.optimiser, self.best)
            validation = f", validation {row['validation_loss']:.4f}" if len(self.validated) else ""
            progress.step(note=f"loss {row['train_loss']:.4f}{validation}")
        return self._finished()

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        # Seeded anew each epoch: a resumed training needs no state of random generators.
        order = stream(self.seed, "shuffle", epoch).permutation(self.fitted)
        torch.manual_seed(seed_for(self.dropout_seed, "dropout", epoch))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(epoch)
        self.model.train()
        totals = torch.zeros(3, device=self.device)
        for places in batches(order, self.settings.batch_size, drop_single=True):
            self.optimiser.zero_grad()
            with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
                outputs = self.model(self.volumes.batch(places))
            loss, measure = self.objective(outputs, places)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            # Summed on the device: a number asked for after each batch would make a GPU wait.
            totals += len(places) * torch.stack([loss.detach(), measure, torch.ones_like(measure)])
        return self._means("train", totals)

    def _validate(self) -> dict[str, float]:
        totals = torch.zeros(3, device=self.device)
        self.model.eval()
        with torch.no_grad():
            for places in batches(self.validated, self.settings.batch_size):
                loss, measure = self.objective(self.model(self.volumes.batch(places)), places)
                totals += len(places) * torch.stack([loss, measure, torch.ones_like(measure)])
        return self._means("validation", totals)

    def _means(self, side: str, totals: torch.Tensor) -> dict[str, float]:
        loss, measure, people = totals.tolist()
        people = people or math.nan
        return {f"{side}_loss": loss / people, f"{side}_{self.objective.measure}": measure / people}

    def _check_finite(self, row: dict[str, object]) -> None:
        sides = ["train", *(["validation"] if len(self.validated) else [])]
        broken = [side for side in sides if not math.isfinite(row[f"{side}_loss"])]
        if broken:
            raise InputError(
                f"Training diverged: the {' and '.join(broken)} loss of epoch {row['epoch']} is not finite "
                f"(learning rate {row['learning_rate']:g}). Use a lower learning_rate, images.intensity: zscore, or "
                "training.amp: never."
            )

    def _best_epoch(self) -> int:
        if self.settings.checkpoint == "last":
            return len(self.history)
        return 1 + int(np.argmin([row["validation_loss"] for row in self.history]))

    def _resume(self, folder: str | Path) -> None:
        restored = restore_state(folder, self.key, self.model, self.optimiser)
        if restored is None:
            return
        state, best = restored
        self.history = state["history"]
        self.best = {name: tensor.to(self.device) for name, tensor in best.items()}
        self.scaler.load_state_dict(state["scaler"])

    def _finished(self) -> TrainedModel:
        if self.best:
            self.model.load_state_dict(self.best)
        epoch = self._best_epoch()
        history = pd.DataFrame(self.history)
        history["best"] = history["epoch"] == epoch
        metadata = {
            "network": self.settings.network,
            "arguments": self.arguments,
            "task": self.settings.task,
            "labels": list(self.settings.labels) if self.settings.task == "classification" else [],
            "target_mean": self.objective.mean,
            "target_sd": self.objective.sd,
            "epoch": epoch,
            "people_trained": len(self.fitted),
            "people_validated": len(self.validated),
            "precision": str(self.precision).removeprefix("torch."),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
        }
        return TrainedModel(self.model.eval(), history, metadata)


def batches(places: np.ndarray, size: int, drop_single: bool = False) -> list[np.ndarray]:
    """Cut places into batches; a last one of a single person is left out on request, unless it is the only one."""
    cut = [places[start : start + size] for start in range(0, len(places), size)]
    return cut[:-1] if drop_single and len(cut) > 1 and len(cut[-1]) == 1 else cut


def training_precision(device: torch.device | str, amp: str) -> torch.dtype:
    """Return the type in which a training multiplies: 16 bits where the device is faster at them.

    Weights, their updates, the loss and everything outside the training steps stay in float32.

    Parameters
    ----------
    device : torch.device
    amp : {'auto', 'never'}
        See `TrainingSettings`.

    Returns
    -------
    torch.dtype
        ``float32``, ``bfloat16``, or ``float16``, whose gradients need a scaled loss.
    """
    if amp == "never":
        return torch.float32
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _processor_multiplies_bfloat16() else torch.float32


def _processor_multiplies_bfloat16() -> bool:
    # Plain AVX-512 would only emulate it, and slower than float32. ARM's instructions are left out because torch's
    # convolutions of volumes are not known to use them.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.11 does not tell
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
