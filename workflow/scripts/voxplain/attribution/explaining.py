"""The maps of one job's people: computed in batches, kept one by one, moved into the declared folder at the end."""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from torch import nn

from voxplain.attribution.choosing import default_target
from voxplain.attribution.memory_budget import halved, too_small, within_memory
from voxplain.attribution.method import Attribution
from voxplain.attribution.noise_model import TrainedNoise
from voxplain.attribution.registry import Explainer, batches_of, checked_settings, find_method, usual_batch_size
from voxplain.attribution.targets import check_kind, explained_texts, target_weights
from voxplain.base.errors import InputError
from voxplain.base.files import folder_written_whole, write_image, write_table, write_text
from voxplain.base.progress import Progress
from voxplain.imaging.grid import COMMON

COLUMNS = ["participant_id", "target", "explained", "score_before", "score_after", "iterations", "conservation"]
Answer = TypeVar("Answer")


def partial_key(
    weights: str | Path,
    settings: Mapping,
    ids: Sequence[str],
    code: str,
    targets: Sequence,
    images: Iterable[np.ndarray],
) -> str:
    """Return a short hash of all that a job's maps and table depend on; it names the folder of unfinished pieces.

    Parameters
    ----------
    weights : path-like
        Checkpoint; its content counts.
    settings : mapping
        Method, target, seed and the method's settings; anything that JSON can hold.
    ids : sequence of str
    code : str
        Hash of the code.
    targets : sequence
        True targets.
    images : iterable of ndarray
        What is explained, one volume at a time, and the mean image.
    """
    digest = hashlib.sha256(Path(weights).read_bytes())
    digest.update(json.dumps([dict(settings), list(ids), code, [str(t) for t in targets]], sort_keys=True).encode())
    for image in images:
        digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()[:16]


def explain_people(
    model: nn.Module,
    metadata: Mapping,
    stack: np.ndarray,
    rows: Sequence[int],
    ids: Sequence[str],
    targets_true: Sequence,
    method: str,
    settings: Mapping,
    device: torch.device | str,
    batch_size: int | None,
    partial_folder: str | Path,
    out_folder: str | Path,
    seed: int,
    mean_image: np.ndarray | None = None,
    noise_model: TrainedNoise | None = None,
) -> None:
    """Write the maps of some people, ``sub-{id}_map.nii.gz``, and ``maps.tsv``.

    Every finished person is kept in `partial_folder`; a job that starts again there goes on with the others. The folder
    is removed when `out_folder` is complete.

    Parameters
    ----------
    model : nn.Module
        On any device; left on `device`, otherwise unchanged.
    metadata : mapping
        Of the checkpoint; ``labels`` names the outputs (empty for regression).
    stack : ndarray [people, D, H, W]
        Images on the common grid, possibly memory-mapped.
    rows : sequence of int
        Row of the stack for each of `ids`; may be empty.
    ids : sequence of str
    targets_true : sequence
        True target of each person.
    method : str
    settings : mapping
        Of the method, and ``target`` (see `voxplain.attribution.targets.target_weights`; default: contrast for two
        classes, otherwise predicted).
    device : torch.device
    batch_size : int or None
        People per batch; None: `voxplain.attribution.registry.usual_batch_size`.
    partial_folder, out_folder : path-like
    seed : int
    mean_image : ndarray [D, H, W], optional
    noise_model : TrainedNoise, optional
        Of the method ``noise``.

    Raises
    ------
    InputError
        For settings that do not fit, when another process works in `partial_folder`, and when the device has not enough
        memory for one person. With too little for a batch, batches get smaller, which is said.
    """
    options = dict(settings)
    labels = [str(label) for label in metadata["labels"] or []]
    kind = target_kind(method, options.pop("target", None), labels)
    if noise_model is not None and noise_model.fold != metadata.get("fold"):
        raise InputError(
            f"the noise model was trained against the network of fold {noise_model.fold}, but the one to be explained "
            f"is that of fold {metadata.get('fold')}. Give both of one fold."
        )
    batch_size = batch_size or usual_batch_size(torch.device(device), checked_settings(method, options))
    probability = find_method(method).explains_probability or options.get("start") == "probability"
    partial = Path(partial_folder)
    with _held(partial):
        # A batch that was kept in part is explained again as a whole: who is beside a person moves the last bits.
        batches = [range(len(ids))[cut] for cut in batches_of(len(ids), batch_size)]
        waiting = [batch for batch in batches if not all(_row_file(partial, ids[i]).exists() for i in batch)]
        progress = Progress(f"{method}: people", len(ids), len(ids) - sum(map(len, waiting)))
        explain = None
        if waiting:
            first = torch.from_numpy(_images(stack, [rows[waiting[0][0]]]))
            more = (first, seed, mean_image, noise_model)
            explain = within_memory(lambda: Explainer(method, model.to(device), *more, **options))
            if explain is None:
                raise too_small(method, device)

        def answer(batch: Sequence[int]) -> tuple[torch.Tensor, Attribution]:
            images = torch.from_numpy(_images(stack, [rows[i] for i in batch])).to(device)
            logits, true = _logits(explain.network, images, kind, labels), [_plain(targets_true[i]) for i in batch]
            weights = target_weights(kind, logits, labels, true, len(batch))
            return weights, explain(images, weights, [ids[i] for i in batch], len(batch))

        with _meanwhile(2 * batch_size) as meanwhile:
            for batch, (weights, result) in _batches_that_fit(explain, waiting, answer):
                texts = explained_texts(weights, labels, probability)
                for place, i in enumerate(batch):
                    meanwhile(_keep, partial, ids[i], _plain(targets_true[i]), texts[place], result, place)
                    meanwhile(progress.step)
        _publish(partial, ids, Path(out_folder))


def target_kind(method: str, kind: str | None, labels: Sequence[str]) -> str:
    """Return what a method explains, as the config says it or by default.

    Of a contrast a method that lowers a probability takes the predicted class.

    Raises
    ------
    InputError
        See `voxplain.attribution.targets.check_kind`.
    """
    kind = kind or default_target(labels)
    check_kind(kind, labels)
    return "predicted" if kind == "contrast" and find_method(method).explains_probability else kind


def _batches_that_fit(
    explain: Explainer, batches: Iterable[Sequence[int]], answer: Callable[[Sequence[int]], Answer]
) -> Iterator[tuple[Sequence[int], Answer]]:
    """Yield batches of people, and what `answer` gives of each; half of them when the memory ends."""
    waiting = deque(batches)
    while waiting:
        batch = waiting.popleft()
        found = within_memory(answer, batch)
        if found is not None:
            yield batch, found
            continue
        fewer = halved(explain, len(batch))
        waiting = deque(part[cut] for part in (batch, *waiting) for cut in batches_of(len(part), fewer))


@contextmanager
def _held(partial: Path) -> Iterator[None]:
    """Hold the partial folder for this process; remove it when the block ends well."""
    partial.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{partial}: another process is computing the same maps. Wait for it, or end it, and start again."
        ) from None
    try:
        yield
        shutil.rmtree(partial, ignore_errors=True)
    finally:
        lock.release()


@contextmanager
def _meanwhile(most: int) -> Iterator[Callable[..., None]]:
    """Give a function that has others called by a thread of its own, in order, while this one goes on.

    At most `most` calls wait. What one of them raises is raised here, at a later call or at the end of the block, which
    all of them are over before it is left, also by an error.
    """
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:

        def meanwhile(function: Callable, *arguments) -> None:
            waiting.append(thread.submit(function, *arguments))
            while len(waiting) > most:
                waiting.popleft().result()

        yield meanwhile
        for call in waiting:
            call.result()


def _images(stack: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Copy rows of a memory-mapped stack, [n, 1, D, H, W]."""
    return np.stack([stack[row] for row in rows]).astype(np.float32)[:, None]


def _logits(network: nn.Module, images: torch.Tensor, kind: str, labels: Sequence[str]) -> torch.Tensor | None:
    """Run the network only where the target depends on its answer."""
    if not labels or kind != "predicted":
        return None
    with torch.no_grad():
        return network(images).cpu()


def _plain(value: object) -> str | float:
    """Return a target as text or as a number that JSON can hold."""
    return value if isinstance(value, str) else float(value)


def _map_name(person: str) -> str:
    return f"sub-{person}_map.nii.gz"


def _row_file(partial: Path, person: str) -> Path:
    return partial / f"{person}.json"


def _keep(
    partial: Path, person: str, target: str | float | None, explained: str, result: Attribution, place: int
) -> None:
    """Keep one finished person; the row is written last, so that a row means a whole map."""
    volume = result.maps[place].numpy()
    write_image(volume, COMMON.rescaled(volume.shape).affine, partial / _map_name(person))
    row = {
        "participant_id": person,
        "target": target,
        "explained": explained,
        "score_before": _number(result.score_before[place]),
        "score_after": None if result.score_after is None else float(result.score_after[place]),
        "iterations": None if result.iterations is None else int(result.iterations[place]),
        "conservation": None if result.conservation is None else _number(result.conservation[place]),
    }
    write_text(json.dumps(row), _row_file(partial, person))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _publish(partial: Path, ids: Sequence[str], out_folder: Path) -> None:
    """Copy all people into the declared folder, which appears whole, with the table sorted by id."""
    rows = [json.loads(_row_file(partial, person).read_text(encoding="utf-8")) for person in sorted(ids)]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"iterations": "Int64"})
    needed = sum((partial / _map_name(person)).stat().st_size for person in ids)
    with folder_written_whole(out_folder, needed) as folder:
        for person in ids:
            shutil.copyfile(partial / _map_name(person), folder / _map_name(person))
        write_table(table, folder / "maps.tsv")
