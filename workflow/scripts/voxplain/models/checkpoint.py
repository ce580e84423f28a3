"""Networks as safetensors files: weights, and in the header all that is needed to build and use them again."""

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from voxplain.base.errors import InputError, refuse
from voxplain.base.files import written_whole
from voxplain.models.networks import BUILT_IN, build
from voxplain.models.settings import TASKS

FORMAT = "voxplain-1"
# These are text in Python too; the others are stored as JSON. `fold` is a number, or "external".
PLAIN = ("format", "network", "task")
REQUIRED = ("network", "arguments", "task", "labels", "target_mean", "target_sd", "fold")
# Wrappers put these before every name of the network that they wrap.
WRAPPERS = ("module.", "_orig_mod.")
# A block halves every axis; no volume lets itself be halved more often.
MOST_BLOCKS = 16
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
CONVERT = (
    "A .pt or .pth file is converted once, where it is trusted:\n"
    "  import torch; from safetensors.torch import save_file\n"
    "  state = torch.load('weights.pt', map_location='cpu', weights_only=True)\n"
    "  save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')"
)


def save_checkpoint(model: nn.Module, path: str | Path, metadata: Mapping[str, object]) -> None:
    """Write the state of a network and its metadata; equal networks give equal files.

    Parameters
    ----------
    model : nn.Module
        With its BatchNorm unfolded.
    path : path-like
        ``.safetensors``
    metadata : mapping
        ``network`` (name as in `build`), ``arguments`` (keyword arguments of the class, with shape and outputs),
        ``task``, ``labels`` (list, in the order of the outputs; empty for regression), ``target_mean`` and
        ``target_sd`` (of the people trained on, in the target's unit; None for classification), ``fold``.

    Raises
    ------
    ValueError
        When a key is missing.
    """
    missing = [key for key in REQUIRED if key not in metadata]
    if missing:
        raise ValueError(f"checkpoint metadata lacks {', '.join(missing)}")
    metadata = {**metadata, "format": FORMAT}
    header = {key: value if key in PLAIN else json.dumps(value) for key, value in metadata.items()}
    write_tensors(model.state_dict(), header, path)


def load_checkpoint(path: str | Path) -> tuple[nn.Module, dict[str, object]]:
    """Return the network of a checkpoint, on the CPU in evaluation mode, and its metadata.

    Returns
    -------
    model : nn.Module
    metadata : dict
        The keys of `save_checkpoint`, with ``arguments`` as a dict and ``labels`` as a list again.

    Raises
    ------
    InputError
        For a file that is not a checkpoint of voxplain, or whose tensors do not fit its network.
    """
    tensors, header = read_tensors(path)
    metadata = _parsed(header, path)
    return _rebuilt(metadata, tensors, path), metadata


def _parsed(header: Mapping[str, str], path: str | Path) -> dict[str, object]:
    if header.get("format") != FORMAT:
        raise InputError(
            f"{path}: no checkpoint of this software (format {header.get('format')!r}, expected {FORMAT!r}). "
            "Weights from elsewhere are named under interpret.weights, with network, task and labels in the config."
        )
    missing = [key for key in REQUIRED if key not in header]
    if missing:
        refuse(f"{path}: the header lacks these keys", missing, "Train the network again.")
    metadata, problems = {}, []
    for key, value in header.items():
        try:
            metadata[key] = value if key in PLAIN else json.loads(value)
        except (ValueError, RecursionError):
            problems.append(f"{key}: {value[:60]!r} cannot be read")
    problems = problems or _contradictions(metadata)
    if problems:
        refuse(
            f"{path}: the header of the checkpoint is damaged",
            problems,
            "Copy the file again or train the network again.",
        )
    return metadata


def _contradictions(metadata: Mapping[str, object]) -> list[str]:
    """Return what a header says that no checkpoint of this software would."""
    task, arguments, labels = metadata["task"], metadata["arguments"], metadata["labels"]
    sizes = arguments.get("shape") if isinstance(arguments, dict) else None
    texts = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    checks = [
        (task in TASKS, f"task: {task!r} is not one of {', '.join(TASKS)}"),
        (texts, f"labels: {labels!r} is not a list of labels"),
        (_whole(sizes, 3), f"arguments: {arguments!r} has no shape of three whole numbers"),
        (
            isinstance(arguments, dict) and _whole([arguments.get("outputs")], 1),
            f"arguments: {arguments!r} has no number of outputs",
        ),
    ]
    if task == "regression":
        scale = [metadata["target_mean"], metadata["target_sd"]]
        known = all(isinstance(number, int | float) and math.isfinite(number) for number in scale)
        checks.append((known, f"target_mean, target_sd: {scale} are not finite numbers"))
    problems = [problem for fine, problem in checks if not fine]
    if not problems and task == "classification" and len(labels) != arguments["outputs"]:
        problems.append(f"outputs: {arguments['outputs']} for {len(labels)} labels")
    return problems


def _whole(numbers: object, n: int) -> bool:
    """Tell whether something is a list of n whole numbers of 1 or more."""
    return isinstance(numbers, list) and len(numbers) == n and all(isinstance(m, int) and m > 0 for m in numbers)


def _rebuilt(metadata: Mapping[str, object], tensors: dict[str, torch.Tensor], path: str | Path) -> nn.Module:
    """Build the network that a header describes, and fill it."""
    network, arguments = metadata["network"], metadata["arguments"]
    if network in BUILT_IN:
        blocks = arguments.get("blocks", 1)
        if isinstance(blocks, int) and blocks > MOST_BLOCKS:
            refuse(f"{path}: the header of the checkpoint is damaged", [f"arguments: {blocks} blocks"])
        # First without memory: a damaged header can ask for any amount of it.
        with contextlib.suppress(TypeError):  # which build() puts into words
            try:
                with torch.device("meta"):
                    outline = BUILT_IN[network](**arguments)
            except RuntimeError as error:
                raise InputError(f"{path}: {network} cannot be built with {arguments}: {error}") from error
            _check_fit(outline, tensors, path)
    return _filled(build(network, arguments), tensors, path)


def load_external(
    path: str | Path,
    network: str,
    arguments: Mapping[str, object],
    task: str,
    labels: Sequence[str],
    shape: Sequence[int],
    target_mean: float = 0.0,
    target_sd: float = 1.0,
) -> tuple[nn.Module, dict[str, object]]:
    """Return a network that the user brings, in evaluation mode, and metadata with ``fold`` = ``external``.

    A checkpoint that this software wrote tells itself how it is built: then `arguments` are not used, nor is `network`
    for a built-in one; `task`, `labels`, `shape` and the class of the user's own network must agree with it. Names that
    a wrapper (DataParallel, torch.compile) has prefixed to all tensors are cleaned.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file with the state dict.
    network, arguments : str, mapping
        As in `build`, without shape and outputs.
    task : {'classification', 'regression'}
    labels : sequence of str
        Class of each output, in order; ignored for regression.
    shape : sequence of 3 int
        Voxels of the images.
    target_mean, target_sd : float
        Regression: what an output of 0 means and the size of an output of 1, in the target's unit.

    Raises
    ------
    InputError
        For an unreadable file, tensors that do not fit, and metadata that contradict the config.
    """
    tensors, header = read_tensors(path)
    labels = [str(label) for label in labels] if task == "classification" else []
    if header.get("format") == FORMAT:
        metadata = _parsed(header, path)
        wanted = {"task": task, "labels": labels, "shape": [int(n) for n in shape]}
        found = {**metadata, "shape": metadata["arguments"]["shape"]}
        # A file must not choose which code is imported: a class of the user's is named in the config too.
        if metadata["network"] not in BUILT_IN:
            wanted["network"] = network
        wrong = [
            f"{key}: the file has {found[key]}, the config {wanted[key]}" for key in wanted if found[key] != wanted[key]
        ]
        if wrong:
            refuse(f"{path}: the checkpoint contradicts the config", wrong, "Change the config to what the file has.")
        return _rebuilt(metadata, tensors, path), {**metadata, "fold": "external"}
    if task not in TASKS:
        raise InputError(f"task: {task!r} is not one of {', '.join(TASKS)}")
    arguments = {**arguments, "shape": [int(n) for n in shape], "outputs": len(labels) or 1}
    model = build(network, arguments)
    model = _filled(model, _unwrapped(tensors, model.state_dict()), path)
    metadata = {
        "network": network,
        "arguments": arguments,
        "task": task,
        "labels": labels,
        "target_mean": float(target_mean) if task == "regression" else None,
        "target_sd": float(target_sd) if task == "regression" else None,
        "fold": "external",
        "format": FORMAT,
    }
    return model, metadata


def write_tensors(tensors: Mapping[str, torch.Tensor], header: Mapping[str, str], path: str | Path) -> None:
    """Write tensors and a header of texts as one safetensors file, whole or not at all."""
    # A clone each: the format refuses tensors that share memory, as tied weights do.
    data = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, dict(header))
    # The library writes the header's texts in a random order: they are sorted, so that equal content is equal bytes.
    length = int.from_bytes(data[:8], "little")
    fields = json.loads(data[8 : 8 + length])
    fields["__metadata__"] = dict(sorted(fields.get("__metadata__", {}).items()))
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with written_whole(path, len(data)) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        file.write(data[8 + length :])


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return all tensors (on the CPU) and the header of a safetensors file.

    Raises
    ------
    InputError
        For a missing file and for one that is not safetensors.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected network weights in safetensors format.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}).\n{CONVERT}") from error


def _unwrapped(tensors: dict[str, torch.Tensor], expected: Iterable[str]) -> dict[str, torch.Tensor]:
    """Take off prefixes that wrappers add before all names, unless the network's own names begin so."""
    prefixes = [prefix for prefix in WRAPPERS if not any(name.startswith(prefix) for name in expected)]
    while prefix := next((p for p in prefixes if tensors and all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _check_fit(model: nn.Module, tensors: dict[str, torch.Tensor], path: str | Path) -> None:
    """Refuse, with one list, all tensors that are not those of the network by name, shape or kind of number."""
    expected = model.state_dict()
    problems = [f"{name}: missing, expected {tuple(expected[name].shape)}" for name in expected if name not in tensors]
    problems += [f"{name}: not part of the network" for name in tensors if name not in expected]
    both = [(name, tensors[name], wanted) for name, wanted in expected.items() if name in tensors]
    problems += [
        f"{name}: {tuple(tensor.shape)}, expected {tuple(wanted.shape)}"
        for name, tensor, wanted in both
        if tensor.shape != wanted.shape
    ]
    # Whole numbers in the place of weights are those of a quantised network, without the scale that belongs to them.
    problems += [
        f"{name}: {tensor.dtype}, expected {wanted.dtype}"
        for name, tensor, wanted in both
        if tensor.dtype != wanted.dtype and (tensor.dtype not in FLOATS or wanted.dtype not in FLOATS)
    ]
    if problems:
        refuse(
            f"{path}: {len(problems)} tensors do not fit the network {type(model).__name__}",
            problems,
            "Check network, arguments, labels and the image shape against those that the weights were trained with.",
        )


def _filled(model: nn.Module, tensors: dict[str, torch.Tensor], path: str | Path) -> nn.Module:
    """Copy tensors into the network; refuse, with one list, all that do not fit, and all that are not finite."""
    _check_fit(model, tensors, path)
    not_finite = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        refuse(f"{path}: tensors with NaN or infinite values", not_finite, "Train the network again.")
    model.load_state_dict(tensors)
    return model.eval()
