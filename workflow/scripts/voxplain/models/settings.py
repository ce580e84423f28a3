"""How a network is built and trained: the sections ``model`` and ``training`` of the config, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voxplain.base.errors import refuse

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is built and trained.

    Attributes
    ----------
    network : str
        ``VoxelCNN`` or ``package.module:Class``.
    arguments : mapping
        Of the class, without ``shape`` and ``outputs``.
    task : {'classification', 'regression'}
    labels : sequence of str
        Classes in the order of the outputs; none for regression.
    epochs, batch_size : int
        A last batch of one person is left out: BatchNorm would learn from it alone.
    learning_rate, weight_decay : float
        Of Adam.
    milestones, gamma : sequence of int, float
        The learning rate is multiplied by `gamma` after each of these numbers of epochs.
    loss : {'mse', 'l1'}
        For regression, on targets standardised by the people trained on; classes always use the cross entropy.
    checkpoint : {'best', 'last'}
        ``best``: part of the people is held out and the epoch of their lowest loss is kept. ``last``: everybody
        trains and the last epoch is kept (Kan et al. 2020).
    validation_fraction : float
        Share held out for ``best``.
    amp : {'auto', 'never'}
        ``auto``: mixed precision on a GPU (bfloat16, or float16 with a scaled loss where that is missing) and on a CPU
        that multiplies bfloat16 itself. ``never``: float32.

    Raises
    ------
    InputError
        Naming every impossible value.
    """

    network: str = "VoxelCNN"
    arguments: Mapping[str, object] = field(default_factory=dict)
    task: str = "classification"
    labels: Sequence[str] = ()
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    milestones: Sequence[int] = (5, 15)
    gamma: float = 0.1
    loss: str = "mse"
    checkpoint: str = "best"
    validation_fraction: float = 0.15
    amp: str = "auto"

    def __post_init__(self):
        fraction, taken = self.validation_fraction, sorted({"shape", "outputs"} & set(self.arguments))
        checks = [
            (self.task in TASKS, f"task {self.task!r} is not one of {', '.join(TASKS)}"),
            (
                self.task != "classification" or len(self.labels) >= 2,
                f"labels {list(self.labels)}: a classification needs at least two",
            ),
            (self.epochs >= 1, f"epochs {self.epochs} must be at least 1"),
            (self.batch_size >= 2, f"batch_size {self.batch_size} must be at least 2"),
            (self.learning_rate > 0, f"learning_rate {self.learning_rate} must be above 0"),
            (self.weight_decay >= 0, f"weight_decay {self.weight_decay} must not be negative"),
            (self.gamma > 0, f"gamma {self.gamma} must be above 0"),
            (self.loss in ("mse", "l1"), f"loss {self.loss!r} is not one of mse, l1"),
            (self.checkpoint in ("best", "last"), f"checkpoint {self.checkpoint!r} is not one of best, last"),
            (0 < fraction <= 0.5, f"validation_fraction {fraction} must be above 0 and at most 0.5"),
            (self.amp in ("auto", "never"), f"amp {self.amp!r} is not one of auto, never"),
            (not taken, f"arguments must not set {', '.join(taken)}: they follow from the images and the labels"),
        ]
        wrong = [problem for fine, problem in checks if not fine]
        if wrong:
            refuse("Settings of the training that cannot be", wrong)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1."""
        return self.learning_rate * self.gamma ** sum(epoch > milestone for milestone in self.milestones)
