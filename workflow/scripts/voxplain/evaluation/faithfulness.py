"""Deletion and insertion: does the network's answer hang on the voxels that a map calls important?

The voxels of the brain are taken away (or given back) one share after the other, the most important ones first, and the
network is asked again. Samek et al. 2017 (arXiv 1509.06321) perturb from the most relevant region on; Petsiuk et al.
2018 (arXiv 1806.07421, RISE, section 4) take the area under the curve of deletion and of insertion. A map is faithful
as far as it does better than a random order, and better than an order that knows the image and nothing of the network.

Measures, of each person:

``probability`` (classes)
    Probability of the class that the network gives to the whole image. Faithful: small area of deletion, large area of
    insertion.
``accuracy`` (classes)
    1 when the answer is the true class, else 0. Faithful: as ``probability``.
``change`` (numbers)
    (f(x') - f(x))², in squared standard deviations of the target among the people trained on. Faithful: large area of
    deletion, small area of insertion.
``mae`` (numbers)
    |f(x') - truth| in the target's unit. Faithful: as ``change``.

Differences between orders are signed so that positive means more faithful, whatever the measure; see
`voxplain.evaluation.faithfulness_tables`.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor, nn

from voxplain.attribution.memory_budget import images_at_once
from voxplain.base.errors import InputError, refuse
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.evaluation.faithfulness_tables import AREA_COLUMNS, CURVE_COLUMNS, KINDS, ORDERS, tables_of
from voxplain.evaluation.replacement import Replacement
from voxplain.models.answers import Answers
from voxplain.models.folding import fold_batchnorm
from voxplain.models.loading import Volumes

# Percent; denser at the start, where the orders differ most.
SHARES = (0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
MEMORY_MB = 4096.0


def curves(
    model: nn.Module,
    maps: Iterable[tuple[str, np.ndarray]],
    stack: np.ndarray,
    rows: Sequence[int],
    ids: Sequence[str],
    targets: Sequence[object],
    metadata: Mapping[str, object],
    brain: np.ndarray,
    replacement: Replacement,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    references: dict[str, dict[str, np.ndarray]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure one network with the maps of one method and one replacement.

    Three orders are compared: by the map's absolute value, as a voxel of a large negative value matters as much as one
    of a large positive value; at random; and by the image's absolute value, brightest voxels first (of z-scored images
    those farthest from the mean). Equal values are ordered as in the person's random order, so that a map that is 0
    everywhere is just that order. Only voxels of the brain are replaced.

    Parameters
    ----------
    model : nn.Module
        Left as it is; a frozen copy with folded BatchNorm is asked.
    maps : iterable of (str, ndarray [D, H, W])
        One for each of `ids`, in any order; as `voxplain.population.maps.walk_maps` gives them.
    stack : ndarray [people, D, H, W]
        Images, possibly memory-mapped.
    rows, ids, targets : sequences
        Row of the stack, participant id and true target of those measured, best people whom the network has not seen.
    metadata : mapping
        Of the checkpoint: ``task``, ``labels``, ``target_mean``, ``target_sd``.
    brain : ndarray of bool [D, H, W]
    replacement : Replacement
        Where it has several draws, what is measured is averaged over them.
    shares : sequence of float
        Percent of the brain's voxels, rising from 0 to 100.
    seed : int
    device : torch.device
    batch_size : int, optional
        Images a pass; by default as many as 4 GiB hold (on a CPU 8 at most). The result is the same but for rounding.
    references : dict, optional
        Where the measures of the orders that know no map are kept by person: give one dict, empty at first, to the
        calls for all methods of a network and replacement, and they are measured once.

    Returns
    -------
    curve : DataFrame
        ``replacement, kind, order, measure, share`` (percent deleted or inserted)``, value`` (mean over people)``,
        people``.
    areas : DataFrame
        ``replacement, kind, order, measure, people``; ``auc``, the area under the curve over the shares as fractions
        (trapezoids), which is the mean of the measure along the curve and in its unit, averaged over people, and ``sd``
        over people; then for the references ``random`` and ``intensity``: ``difference_to_``, mean over people of the
        differences of their areas, positive where the order is more faithful than the reference; ``sd_to_``; ``p_``,
        of Wilcoxon's signed-rank test (two-sided, exact for few people); ``ranks_`` and ``variance_``, the sum of
        signed ranks and its variance, with which folds are joined. No row names a person.

    Raises
    ------
    InputError
        For shares that do not rise from 0 to 100, a brain mask that is empty or of another shape, and people without a
        map, with another person's, or with one that is not finite.
    """
    volumes = Volumes(stack, rows, torch.device(device), resident=False)
    _check(shares, brain, volumes.shape)
    if not len(rows) == len(ids) == len(targets):
        raise ValueError(f"{len(rows)} rows, {len(ids)} ids and {len(targets)} targets: one of each")
    if not len(ids):
        return pd.DataFrame(columns=CURVE_COLUMNS), pd.DataFrame(columns=AREA_COLUMNS)
    answers = Answers.encode(targets, metadata["task"], metadata["labels"] or ())
    inside = np.flatnonzero(brain)
    counts = [round(share / 100 * len(inside)) for share in shares]
    network = fold_batchnorm(model, volumes.batch([0])).to(volumes.device)
    batch_size = batch_size or images_at_once(network, volumes.batch([0]), MEMORY_MB, gradients=False)
    places, measured = {person: place for place, person in enumerate(ids)}, {}
    references = {} if references is None else references
    progress = Progress(f"faithfulness, {replacement.name}: people", len(ids))
    for person, volume in maps:
        place = _place(person, volume, places, measured, volumes)
        image = volumes.batch([place])
        wanted = ORDERS[:1] if person in references else ORDERS
        orders = _orders(volume.ravel()[inside], image.flatten().cpu().numpy()[inside], person, seed, wanted)
        outputs, clean = _outputs(network, image, replacement.images(image, person), inside[orders], counts, batch_size)
        found = _measures(outputs, clean, answers.values[place], metadata)
        known = references.setdefault(person, {name: values[1:] for name, values in found.items()})
        measured[person] = {name: np.concatenate([values[:1], known[name]]) for name, values in found.items()}
        progress.step()
    missing = [person for person in ids if person not in measured]
    if missing:
        refuse("People without a map; one of each is expected", missing, "Explain them, or measure fewer people.")
    names = list(measured[ids[0]])
    # [measures, people, orders, kinds, shares]
    values = np.stack([[measured[person][name] for person in ids] for name in names])
    return tables_of(values, names, replacement.name, shares, np.array(counts) / len(inside))


def _check(shares: Sequence[float], brain: np.ndarray, shape: tuple[int, ...]) -> None:
    rising = np.all(np.diff(np.asarray(shares, dtype=float)) > 0)
    if len(shares) < 2 or not rising or shares[0] != 0 or shares[-1] != 100:
        raise InputError(f"shares: {list(shares)} must rise from 0 to 100 percent")
    if tuple(np.shape(brain)) != shape:
        raise InputError(f"brain: {list(np.shape(brain))}, expected the images' {list(shape)}")
    if not np.any(brain):
        raise InputError("brain: the mask is empty, so there is nothing to replace")


def _place(person: str, volume: np.ndarray, places: Mapping[str, int], measured: Mapping, volumes: Volumes) -> int:
    """Return whose map this is, or refuse it."""
    if person not in places or person in measured:
        raise InputError(f"the map of {person} was not expected (or comes twice); one of each person is expected")
    if tuple(volume.shape) != volumes.shape or not np.isfinite(volume).all():
        raise InputError(f"the map of {person} must be finite and of the images' shape {volumes.shape}")
    return places[person]


def _orders(volume: np.ndarray, image: np.ndarray, person: str, seed: int, wanted: Sequence[str]) -> np.ndarray:
    """Return the voxels in some of the `ORDERS`, the most important first, [orders, voxels]."""
    chance = stream(seed, "faithfulness", person).permutation(len(image))
    strengths = {"map": np.abs(volume), "random": np.zeros(len(image)), "intensity": np.abs(image)}
    return np.stack([np.lexsort((chance, -strengths[order])) for order in wanted])


def _outputs(
    network: nn.Module, image: Tensor, stand_ins: Tensor, orders: np.ndarray, counts: Sequence[int], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's outputs, [draws, orders, kinds, shares, outputs], and those of the whole image, [outputs].

    Images with nothing or everything replaced are the same for all orders and passed once.
    """
    voxels = orders.shape[1]
    passes = {(0, 0, 0, 0): 0}  # draw, order, and from where to where in the order voxels are replaced -> its number
    places = np.empty((len(stand_ins), len(orders), len(KINDS), len(counts)), dtype=int)
    for draw, order, kind, step in np.ndindex(places.shape):
        start, stop = (0, counts[step]) if KINDS[kind] == "deletion" else (counts[step], voxels)
        key = (draw, order, start, stop)
        if start == stop:
            key = (0, 0, 0, 0)
        elif stop - start == voxels:
            key = (draw, 0, 0, voxels)
        places[draw, order, kind, step] = passes.setdefault(key, len(passes))
    order_of = torch.as_tensor(orders, device=image.device)
    instead = stand_ins.flatten(1)
    todo, outputs = list(passes), []
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for first in range(0, len(todo), batch_size):
            part = todo[first : first + batch_size]
            altered = image.repeat(len(part), 1, 1, 1, 1)
            for flat, (draw, order, start, stop) in zip(altered.flatten(1), part, strict=True):
                replaced = order_of[order, start:stop]
                flat[replaced] = instead[draw, replaced]
            outputs.append(network(altered).double().cpu())
    everything = torch.cat(outputs).numpy()
    return everything[places], everything[0]


def _measures(outputs: np.ndarray, clean: np.ndarray, true: float, metadata: Mapping) -> dict[str, np.ndarray]:
    """Return each measure of one person, [orders, kinds, shares], averaged over the draws."""
    if metadata["task"] == "classification":
        found = {
            "probability": softmax(outputs, axis=-1)[..., clean.argmax()],
            "accuracy": (outputs.argmax(axis=-1) == true).astype(float),
        }
    else:
        # The network speaks in standard deviations of the target.
        guess = outputs[..., 0] * metadata["target_sd"] + metadata["target_mean"]
        found = {"change": (outputs[..., 0] - clean[0]) ** 2, "mae": np.abs(guess - true)}
    return {name: values.mean(axis=0) for name, values in found.items()}
