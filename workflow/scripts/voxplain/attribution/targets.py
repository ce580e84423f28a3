"""Which output is explained: weights over the outputs of the network, and their name for the tables."""

from collections.abc import Sequence

import torch
from torch import Tensor

from voxplain.base.errors import InputError, refuse

KINDS = ("predicted", "true", "contrast")


def check_kind(kind: str, labels: Sequence[str]) -> None:
    """Refuse a target that these labels do not have.

    Raises
    ------
    InputError
        For an unknown word, or ``contrast`` without exactly two classes.
    """
    if not labels:
        return
    if kind not in KINDS and kind not in labels:
        raise InputError(
            f"target: {kind!r} is neither one of {', '.join(KINDS)} nor a class label ({', '.join(labels)})"
        )
    if kind == "contrast" and len(labels) != 2:
        raise InputError(
            f"target: contrast needs two classes, but there are {len(labels)} ({', '.join(labels)}). "
            "Use predicted, true or one of the labels."
        )


def target_weights(
    kind: str,
    logits: Tensor | None,
    labels: Sequence[str],
    true: Sequence[str] | None = None,
    people: int | None = None,
) -> Tensor:
    """Return the weights over the network's outputs whose weighted sum is explained.

    Parameters
    ----------
    kind : str
        ``predicted`` (the class of the largest logit), ``true``, ``contrast`` (logit of the second class minus logit
        of the first) or a class label. Regression explains its only output whatever the kind.
    logits : Tensor [n, outputs] or None
        Needed for ``predicted``; otherwise it only gives n and the device.
    labels : sequence of str
        Output column i belongs to ``labels[i]``; empty for regression.
    true : sequence of str, optional
        True class of each person; needed for ``true``.
    people : int, optional
        n, where no logits are given.

    Returns
    -------
    Tensor [n, outputs]
        float32: one-hot for a class, (-1, +1) for the contrast, 1 for regression.

    Raises
    ------
    InputError
        See `check_kind`; also for true classes that are not among the labels.
    """
    labels = list(labels)
    check_kind(kind, labels)
    n = people if logits is None else len(logits)
    device = None if logits is None else logits.device
    if not labels:
        return torch.ones((n, 1), device=device)
    if kind == "contrast":
        return torch.tensor([-1.0, 1.0], device=device).repeat(n, 1)
    if kind == "predicted" and kind not in labels:
        chosen = logits.argmax(dim=1)
    else:
        names = list(true) if kind == "true" and kind not in labels else [kind] * n
        unknown = sorted({str(name) for name in names} - set(labels))
        if unknown:
            refuse(
                f"{len(unknown)} true classes are not outputs of the network ({', '.join(labels)})",
                unknown,
                "Explain another target (predicted, contrast or a label), or mend the labels.",
            )
        chosen = torch.tensor([labels.index(name) for name in names], device=device, dtype=torch.long)
    return torch.nn.functional.one_hot(chosen, len(labels)).to(torch.float32)


def explained_texts(weights: Tensor, labels: Sequence[str], probability: bool = False) -> list[str]:
    """Name what each row of weights explains.

    A label, ``B-A`` for the contrast of labels [A, B], or ``regression``; ``p(B)-p(A)`` where it is the probabilities
    and not the logits that count.
    """
    if not labels:
        return ["regression"] * len(weights)
    names = [f"p({label})" if probability else label for label in labels]
    return [
        "-".join([name for name, weight in zip(names, row, strict=True) if weight > 0]
                 + [name for name, weight in zip(names, row, strict=True) if weight < 0])
        for row in weights.tolist()
    ]  # fmt: skip
