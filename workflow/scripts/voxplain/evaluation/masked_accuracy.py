"""Masked accuracy: how well networks predict people of whom they see only what a population map marks.

Kan et al. 2020 (arXiv 2006.15969, section 4) multiply images with masks made of population maps and test the networks,
trained on whole images, on what is left. That is a test out of distribution: a network has never seen an image with
holes, and may fail on it for that reason alone, or may read the mask's outline. A high accuracy speaks for a mask; a
low one hardly speaks against it. What such a number is worth is told by random masks of the same values, thus the same
volume, at the strongest places of random maps that are as smooth as the population map
(`voxplain.evaluation.spatial_null`), and more fairly by networks that are trained anew on masked images
(`voxplain.evaluation.retraining`).

The population maps come from all people, those tested included; the networks have not seen the people they are tested
on.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from torch import nn

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.evaluation.altered_images import AlteredImages
from voxplain.evaluation.masked_tables import SOFT, THRESHOLD, WHOLE
from voxplain.evaluation.spatial_null import draw_ranks, fit_field
from voxplain.imaging.intensity import check_intensity, normalise
from voxplain.models.folding import fold_batchnorm
from voxplain.models.metrics import fold_metrics
from voxplain.models.prediction import predict

COLUMNS = ["fold", "method", "group", "mask", "draw", "metric", "value", "volume", "n"]
Masks = Mapping[tuple[str, str, str], np.ndarray]


def soft_mask(volume: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return |map| divided by its largest value inside the brain: 0 to 1, and 0 outside.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        A population map; of a signed one the absolute value counts, as it does for thresholds.
    brain : ndarray of bool [D, H, W]

    Returns
    -------
    float32 ndarray [D, H, W]
        0 everywhere for a map that is 0 in the whole brain.
    """
    strength = np.where(brain, np.abs(volume), 0)
    largest = strength.max()
    return (strength / largest if largest > 0 else strength).astype(np.float32)


def mask_images(images: np.ndarray, mask: np.ndarray, intensity: str) -> np.ndarray:
    """Multiply raw intensities with a mask, and normalise them afterwards as the images were.

    A mask turns intensities down towards 0, which for raw ones is black, but for z-scores the mean of the brain: so the
    mask comes first. z-scores are raw intensities but for scale and level. The scale plays no part, as it is normalised
    again; the level is taken from the person's darkest brain voxel, which counts as black.

    Parameters
    ----------
    images : float32 ndarray [..., D, H, W]
        Of z-scored ones the brain is where they are not 0.
    mask : ndarray [D, H, W]
        0 to 1.
    intensity : {'none', 'zscore'}
        How the images were normalised: `voxplain.imaging.intensity.normalise`.

    Returns
    -------
    float32 ndarray [..., D, H, W]
        With a mask of ones the images themselves, but for rounding. z-scores of which a mask leaves nothing, or one
        intensity, are 0 everywhere.

    Notes
    -----
    The darkest brain voxel of six skull-stripped T1 images (IXI) had 0.03 to 0.07 standard deviations of raw intensity,
    the mean 3.0 to 3.1: masked z-scores differed from those of masked raw images by less than 0.01 (root mean square),
    those of a mask put on z-scores by 0.4 for a soft and 1.0 for a thresholded mask.
    """
    check_intensity(intensity)
    if intensity == "none":
        return images * mask.astype(np.float32)
    result = np.zeros(images.shape, dtype=np.float32)
    for place in np.ndindex(images.shape[:-3]):
        image = images[place]
        brain = image != 0
        if not brain.any():
            continue
        raw = image[brain]
        raw = (raw - raw.min()) * mask[brain]
        if np.ptp(raw):
            result[place][brain] = normalise(raw, np.ones(raw.shape, dtype=bool), intensity)
    return result


def measure_masks(
    networks: Mapping[object, nn.Module],
    stack: np.ndarray,
    people: pd.DataFrame,
    metadata: Mapping[object, Mapping[str, object]],
    masks: Masks,
    brain: np.ndarray,
    intensity: str,
    draws: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Test networks on people with every mask, on random masks beside each, and on whole images.

    Parameters
    ----------
    networks : mapping of fold to nn.Module
        The network of every fold, all of one kind. Frozen copies with folded BatchNorm are asked.
    stack : array [n, D, H, W]
        Images, possibly memory-mapped.
    people : DataFrame
        ``row`` (of the stack), ``target`` and ``fold``, whose network has not seen them.
    metadata : mapping
        Of the checkpoints, by fold: ``task``, ``labels``, ``target_mean``, ``target_sd``.
    masks : mapping of (method, group, kind) to ndarray [D, H, W]
        Values 0 to 1; outside the brain they are taken for 0.
    brain : ndarray of bool [D, H, W]
    intensity : {'none', 'zscore'}
        How the images were normalised.
    draws : int
        Random masks for each mask: the same ones for every fold, so that folds can be averaged draw by draw. Those
        of a ``threshold`` mask are as smooth as the ``soft`` one of the same method and group, where that is there:
        two values say little of the map that they come from, and random masks made from them alone fall into small
        pieces.
    seed : int
    device : torch.device

    Returns
    -------
    DataFrame
        ``fold, method, group, mask, draw, metric, value, volume, n``: the kind of the mask, 0 for the mask itself and
        1, 2, ... for random ones, every metric of `fold_metrics`, the mean of the mask over the brain, and the people.
        The first rows, with ``none`` for method, group and mask, are those of whole images. Nobody is named. Folds
        without people have no rows.

    Raises
    ------
    InputError
        For a negative number of draws, and naming every mask that has another shape than the brain, or values that are
        not within 0 and 1.
    """
    brain = np.asarray(brain, dtype=bool)
    _check(masks, brain, draws)
    rows: list[dict[str, object]] = []
    if people.empty:
        return pd.DataFrame(rows, columns=COLUMNS)

    # Read once: the same few people are needed for every mask.
    own = np.asarray(stack[people["row"].to_numpy()])
    people = people.assign(row=range(len(people)))
    folded = {
        fold: fold_batchnorm(networks[fold].to(device), torch.from_numpy(own[:1, None].astype(np.float32)))
        for fold in people["fold"].unique()
    }

    def test(images, volume, method, group, kind, draw):
        mask = {"method": method, "group": group, "mask": kind, "draw": draw}
        for fold, tested in people.groupby("fold", sort=True):
            known = metadata[fold]
            guesses = predict(folded[fold], images, tested["row"].to_numpy(), known, device)
            guesses["target"] = tested["target"].to_numpy()
            found = fold_metrics(guesses, known["task"], known["labels"] or ())
            facts = {"fold": fold, **mask, "volume": volume, "n": len(tested)}
            rows.extend(facts | {"metric": metric, "value": value} for metric, value in found.items())

    test(own, 1.0, WHOLE, WHOLE, WHOLE, 0)
    progress = Progress("masked accuracy: mask", len(masks) * (1 + draws))
    for (method, group, kind), mask in masks.items():
        shape = masks.get((method, group, SOFT), mask) if kind == THRESHOLD else mask
        for draw, one in enumerate(_with_random(mask, shape, brain, draws, seed, method, group, kind)):
            images = AlteredImages(own, lambda volumes, one=one: mask_images(volumes, one, intensity))
            test(images, float(one[brain].mean(dtype=np.float64)), method, group, kind, draw)
            progress.step()
    return pd.DataFrame(rows, columns=COLUMNS)


def _with_random(
    mask: np.ndarray, shape: np.ndarray, brain: np.ndarray, draws: int, seed: int, *words: str
) -> Iterator[np.ndarray]:
    """Give the mask inside the brain, then random ones of the same values in the order of surrogates of `shape`."""
    mask = np.where(brain, mask, 0).astype(np.float32)
    yield mask
    values, field = np.sort(mask[brain]), fit_field(shape, brain)
    for ranks in draw_ranks(field, draws, seed, "masked accuracy", *words):
        one = np.zeros_like(mask)
        one[brain] = values[ranks]
        yield one


def _check(masks: Masks, brain: np.ndarray, draws: int) -> None:
    if draws < 0:
        refuse(f"The number of random masks must be 0 or more, got {draws}.")
    if not brain.any():
        refuse("The brain mask is empty, so nothing is left of any image.")
    problems = []
    for name, mask in masks.items():
        if mask.shape != brain.shape:
            problems.append(f"{' '.join(name)}: has the shape {mask.shape}, the brain {brain.shape}")
        elif not (np.min(mask) >= 0 and np.max(mask) <= 1):
            problems.append(f"{' '.join(name)}: values from {np.min(mask)} to {np.max(mask)}, expected 0 to 1")
    if problems:
        refuse("Masks that cannot be applied", problems)
