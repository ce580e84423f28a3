"""Remove and retrain: how well networks predict that were trained, and are tested, on masked images.

A network that was trained on whole images fails on images with holes also where nothing of use was taken away. Hooker
et al. 2019 (arXiv 1806.10758, ROAR) therefore replace the most important pixels in training and test images alike and
train anew: if the accuracy falls further than with random pixels, those had something to say that the rest of the image
does not repeat. Here the masks come from population maps: the same voxels are replaced in everybody, so that the form
of a person's own mask cannot give the class away (Rong et al. 2022, arXiv 2202.00449), and by those of the training
people's mean image, so that they are the same in everybody.

``removed``
    The voxels at which the map is strongest are replaced. Faithful: accuracy falls further than with a random map.
``kept``
    All others are replaced, outside the brain too. Faithful: accuracy stays higher than with a random map.

Random maps have the values and the smoothness of a real one (`voxplain.evaluation.spatial_null`); voxels drawn one by
one would leave something of every region and mislead.

Maps are made from the training people of a fold. Each of theirs comes from the network of another fold, which has seen
this fold's people in training: what remains of them is a trace in averages, but it is not nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from voxplain.base.errors import refuse
from voxplain.base.files import read_table, write_table
from voxplain.base.progress import Progress
from voxplain.evaluation.altered_images import AlteredImages
from voxplain.evaluation.masked_tables import MODES, REMOVED
from voxplain.evaluation.spatial_null import surrogates
from voxplain.models.fold import train_and_test
from voxplain.models.metrics import fold_metrics
from voxplain.models.resuming import fingerprint
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import training_precision
from voxplain.population.threshold import top_voxels

COLUMNS = ["mode", "share", "draw", "metric", "value", "volume", "n", "n_train"]


def random_maps(volume: np.ndarray, brain: np.ndarray, draws: int, seed: int, fold: object) -> list[np.ndarray]:
    """Return random maps of the values and smoothness of |map|, float32 [D, H, W]; others in every fold."""
    if draws < 1:
        refuse(f"At least 1 random map is needed to retrain on, got {draws}.")
    return list(surrogates(np.abs(volume), brain, draws, seed, "retraining", fold))


def replaced_voxels(volume: np.ndarray, brain: np.ndarray, share: float, mode: str) -> np.ndarray:
    """Mark the voxels that are replaced.

    Parameters
    ----------
    volume : ndarray [D, H, W]
        The absolute value counts.
    brain : ndarray of bool [D, H, W]
    share : float
        Percent of the brain's voxels, those where the map is strongest; fewer where it is 0 elsewhere.
    mode : {'removed', 'kept'}
        What becomes of them.

    Returns
    -------
    ndarray of bool [D, H, W]

    Raises
    ------
    InputError
        For another mode, a share that is not above 0 and below 100, and what `top_voxels` refuses.
    """
    if mode not in MODES:
        refuse(f"Unknown mode {mode!r} of retraining; expected one of {', '.join(MODES)}.")
    if not 0 < share < 100:
        refuse(f"A share of the brain's voxels must lie above 0 and below 100 percent, got {share}.")
    top = top_voxels(volume, brain, round(share / 100 * int(np.sum(brain))))
    return top if mode == REMOVED else ~top


def retrain(
    stack: np.ndarray,
    people: pd.DataFrame,
    fold: object,
    maps: Sequence[np.ndarray],
    brain: np.ndarray,
    shares: Sequence[float],
    modes: Sequence[str],
    settings: TrainingSettings,
    device: torch.device | str,
    seed: int,
    folder: str | Path,
    families: pd.Series | None = None,
) -> pd.DataFrame:
    """Train and test a network on masked images of all people, once for each map, share and mode.

    What each finished training found is kept in `folder`, and the epochs of the unfinished one: a job that was killed
    goes on where it was. The folder stays: delete it once the result is saved. It holds no participant.

    Parameters
    ----------
    stack : array [n, D, H, W]
        float32, may be memory-mapped; it is not copied.
    people : DataFrame
        ``participant_id, fold, target`` of each row of the stack, with the index 0 to n − 1.
    fold : int
        Whose people are tested; all others are trained on.
    maps : sequence of ndarray [D, H, W]
        One of a method (`voxplain.population.weights.joint_map` of the training people), or several `random_maps`.
    brain : ndarray of bool [D, H, W]
    shares, modes
        See `replaced_voxels`.
    settings : TrainingSettings
        Those of the networks on whole images.
    device : torch.device
    seed : int
        Of every training: that of the network on whole images, so that only the images differ.
    folder : path-like
        What other settings, people or images left there is not used; what other code left is, so name it after the
        code.
    families : Series, optional
        Family of each row; families are not split between training and inner validation.

    Returns
    -------
    DataFrame
        ``mode, share, draw`` (number of the map, from 1)``, metric, value, volume`` (share of the brain that the map
        removed or kept, 0 to 1)``, n`` (people tested)``, n_train``.

    Raises
    ------
    InputError
        As `voxplain.models.training.train` and `replaced_voxels`, and when nobody is left to train on, or to test.
    """
    training = np.flatnonzero(people["fold"] != fold)
    if not 0 < len(training) < len(people):
        refuse(f"Fold {fold!r} has {len(people) - len(training)} of {len(people)} people; nobody to train or test.")
    brain = np.asarray(brain, dtype=bool)
    plans = [
        ({"mode": mode, "share": share, "draw": draw}, replaced_voxels(volume, brain, share, mode))
        for draw, volume in enumerate(maps, start=1)
        for share in shares
        for mode in modes
    ]
    known = {
        "settings": asdict(settings),
        "seed": [seed, str(fold)],
        "people": people[["participant_id", "fold", "target"]].to_numpy().tolist(),
        "families": None if families is None else pd.factorize(families)[0],
        "images": np.array([volume.sum(dtype=np.float64) for volume in stack]),
        "software": [torch.__version__, torch.device(device).type, str(training_precision(device, settings.amp))],
    }
    average = mean_image(stack, training)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables, progress = [], Progress("retraining: network", len(plans), every=0)
    with FileLock(folder / "lock"):
        for plan, replaced in plans:
            key = fingerprint(**known, replaced=np.packbits(replaced))
            file = folder / f"{key}.tsv"
            if not file.is_file():
                images = AlteredImages(stack, lambda volumes, where=replaced: np.where(where, average, volumes))
                _, guesses = train_and_test(images, people, fold, settings, device, seed, folder / key, families)
                found = fold_metrics(guesses, settings.task, settings.labels)
                write_table(pd.DataFrame({"metric": list(found), "value": list(found.values())}), file)
            # Read back also when just written, so that an interrupted run gives the same bytes.
            marked = replaced if plan["mode"] == REMOVED else ~replaced
            sizes = {"volume": marked[brain].mean(), "n": len(people) - len(training), "n_train": len(training)}
            tables.append(read_table(file).assign(**plan, **sizes))
            progress.step()
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def mean_image(stack: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return the mean of some images, float32 [D, H, W], with one image in memory at a time."""
    total = np.zeros(stack.shape[1:])
    for row in rows:
        total += stack[row]
    return (total / len(rows)).astype(np.float32)
