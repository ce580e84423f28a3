"""The state of a training after each epoch, in a file from which it goes on exactly where it stopped."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from filelock import FileLock

from voxplain.base.errors import InputError
from voxplain.models.checkpoint import read_tensors, write_tensors

FILE = "epoch.safetensors"


@contextlib.contextmanager
def undisturbed(device: torch.device, folder: str | Path | None) -> Iterator[None]:
    """Train within: random draws touch no others, cuDNN computes the same every time, and the folder is locked.

    Parameters
    ----------
    device : torch.device
    folder : path-like or None
        Where the state is kept; made if need be.
    """
    with contextlib.ExitStack() as contexts:
        contexts.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        contexts.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            contexts.enter_context(FileLock(Path(folder) / "lock"))
        yield


def fingerprint(**parts: object) -> str:
    """Return a short hash of everything that a training depends on; arrays count by their bytes."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        part = parts[name]
        content = part.tobytes() if hasattr(part, "tobytes") else json.dumps(part, sort_keys=True, default=str).encode()
        digest.update(f"{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def save_state(
    folder: str | Path,
    key: str,
    progress: Mapping[str, object],
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    best: Mapping[str, torch.Tensor],
) -> None:
    """Write the state after an epoch, whole or not at all; the epoch before is replaced.

    No random generator is stored: shuffling and dropout are seeded anew for every epoch.

    Parameters
    ----------
    folder : path-like
    key : str
        `fingerprint` of the training.
    progress : mapping
        What JSON can hold: finished epochs, history ...
    model, optimiser
        The optimiser's state must consist of tensors, as Adam's does.
    best : mapping
        State dict of the best epoch so far; may be empty.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for place, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in state.items()}
    write_tensors(tensors, {"key": key, "progress": json.dumps(progress)}, Path(folder) / FILE)


def restore_state(
    folder: str | Path, key: str, model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, object], dict[str, torch.Tensor]] | None:
    """Put a saved state into the network and the optimiser.

    Returns
    -------
    progress, best : dict, dict
        As given to `save_state`; None when there is no state, or one of another training or of a damaged file (which
        is said, and training starts afresh).
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        tensors, header = read_tensors(path)
    except InputError:
        return _ignored(path, "is damaged")
    if header.get("key") != key:
        return _ignored(path, "belongs to another training")
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    _fill_optimiser(optimiser, parts["optimiser"])
    return json.loads(header["progress"]), parts["best"]


def _fill_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        place, _, kind = name.partition(".")
        like = parameters[int(place)]
        if tensor.shape == like.shape:
            # The parameter's own memory layout: other code paths of torch may round differently.
            tensor = torch.empty_like(like, requires_grad=False).copy_(tensor)
        state.setdefault(int(place), {})[kind] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _ignored(path: Path, why: str) -> None:
    print(f"{path} {why}: training starts afresh.", file=sys.stderr, flush=True)
