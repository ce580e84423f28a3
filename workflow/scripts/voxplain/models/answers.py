"""The answers of the people as numbers: what a model should say about each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxplain.base.errors import refuse


@dataclass(frozen=True)
class Answers:
    """What the network should say about each person.

    Attributes
    ----------
    values : ndarray [n]
        int64 class index, or float64 target in the target's own unit.
    classification : bool
    """

    values: np.ndarray
    classification: bool

    @classmethod
    def encode(cls, targets: Sequence[object], task: str, labels: Sequence[str]) -> "Answers":
        """Turn targets of a table into numbers; the index of a class is its place in `labels`.

        Raises
        ------
        InputError
            Naming targets that are no label, or no finite number.
        """
        if task == "classification":
            index = {str(label): i for i, label in enumerate(labels)}
            texts = [str(target) for target in targets]
            unknown = sorted({repr(text) for text in texts if text not in index})
            if unknown:
                refuse(f"Targets that are none of the labels {list(index)}", unknown, "List every class under labels.")
            return cls(np.array([index[text] for text in texts], dtype=np.int64), True)
        numbers = [_number(target) for target in targets]
        bad = [repr(target) for target, number in zip(targets, numbers, strict=True) if not np.isfinite(number)]
        if bad:
            refuse("Regression needs finite numbers as targets", bad, "Drop these people from the table.")
        return cls(np.array(numbers, dtype=np.float64), False)


def _number(value: object) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
