"""What stands in for voxels that are taken away from an image: an average, a blur, or another person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from voxplain.attribution.baselines import baseline_images
from voxplain.attribution.method import Context
from voxplain.base.errors import InputError, refuse
from voxplain.base.seeds import stream
from voxplain.models.loading import Volumes

REPLACEMENTS = ("mean", "blur", "resample")
# Share of the training side, nearest in the target, that counts as a person's class where the target is a number.
NEAREST = 0.25


@dataclass(frozen=True)
class Replacement:
    """One way to replace voxels.

    No way is neutral: the mean image and blurs are images that a network has not been trained on, so that its answer
    to them may change for that reason alone. Voxels of other people of the same class are real ones, but they speak
    for the same class: then only what is special about a person is taken away, and the answer changes little.

    Attributes
    ----------
    name : {'mean', 'blur', 'resample'}
        The population's mean image, the person's own image blurred, or the images of donors, people of the same class.
    mean_image : ndarray [D, H, W], optional
        Needed by ``mean``.
    blur_sigma : float
        Standard deviation of ``blur``, voxels.
    stack : ndarray [people, D, H, W], optional
        Needed by ``resample``.
    donors : mapping of str to sequence of int
        Needed by ``resample``: for each person's id the rows of the stack to draw voxels from, one image a draw; see
        `draw_donors`.

    Raises
    ------
    InputError
        For an unknown name, a blur that does not blur, and for what a replacement needs and was not given.
    """

    name: str
    mean_image: np.ndarray | None = None
    blur_sigma: float = 3.0
    stack: np.ndarray | None = None
    donors: Mapping[str, Sequence[int]] | None = None

    def __post_init__(self):
        problems = []
        if self.name not in REPLACEMENTS:
            problems.append(f"{self.name!r} is not one of {', '.join(REPLACEMENTS)}")
        if self.name == "blur" and not 0 < self.blur_sigma < np.inf:
            problems.append(f"blur_sigma: {self.blur_sigma!r} must be above 0, in voxels")
        if self.name == "mean" and self.mean_image is None:
            problems.append("mean needs the population's mean image (mean_image=)")
        if self.name == "resample" and (self.stack is None or self.donors is None):
            problems.append("resample needs the stack of images and the donors of each person (stack=, donors=)")
        if problems:
            refuse("A replacement that cannot work", problems)

    def images(self, image: Tensor, person: str) -> Tensor:
        """Return what replaces the voxels of one person's image.

        Parameters
        ----------
        image : Tensor [1, 1, D, H, W]
        person : str
            Id; the key of `donors`.

        Returns
        -------
        Tensor [draws, 1, D, H, W]
            On the image's device; one draw but for ``resample``.

        Raises
        ------
        InputError
            For a mean image or a stack of another shape, and for a person without donors.
        """
        if self.name != "resample":
            mean = None if self.mean_image is None else torch.as_tensor(np.asarray(self.mean_image, np.float32))
            return baseline_images(image, self.name, self.blur_sigma, Context([person], mean_image=mean))
        rows = list(self.donors.get(person, ()))
        if not rows:
            raise InputError(f"resample: {person} has no donors; give those of draw_donors for all who are measured")
        shape, expected = tuple(self.stack.shape[1:]), tuple(image.shape[2:])
        if shape != expected:
            raise InputError(f"resample: the stack's images have the shape {shape}, but the person's {expected}")
        return Volumes(self.stack, rows, image.device, resident=False).batch(range(len(rows)))


def draw_donors(
    people: pd.DataFrame, candidates: pd.DataFrame, task: str, draws: int, seed: int
) -> dict[str, list[int]]:
    """Draw donors of each person's own class, without replacement, never the person.

    Whom a person gets depends on the seed, the id and the candidates, not on the other people or the order of rows; a
    larger number of draws keeps the donors of a smaller one.

    Parameters
    ----------
    people : DataFrame
        ``participant_id`` and ``target`` of those whose voxels are replaced.
    candidates : DataFrame
        ``participant_id``, ``target`` and ``row`` (of the stack), best of the people that the network was trained on,
        so that nobody explained stands in for another.
    task : {'classification', 'regression'}
        For regression the quarter of the candidates (rounded up) whose targets are nearest to the person's is taken for
        the class.
    draws : int
        Donors a person; fewer where a class has fewer.
    seed : int

    Returns
    -------
    dict of str to list of int
        Rows of the stack by id, in the order in which they were drawn.

    Raises
    ------
    InputError
        For less than one draw, and naming every class of which there is no donor for somebody.
    """
    if draws < 1:
        raise InputError(f"draws: {draws} must be at least 1")
    candidates = candidates.sort_values("participant_id")
    found, without = {}, []
    for person, target in zip(people["participant_id"], people["target"], strict=True):
        others = candidates[candidates["participant_id"] != person]
        if task == "regression":
            distance = (others["target"].astype(float) - float(target)).abs()
            nearest = distance.sort_values(kind="stable").index[: int(np.ceil(NEAREST * len(others)))]
            others = others[others.index.isin(nearest)]
        else:
            others = others[others["target"].astype(str) == str(target)]
        if others.empty:
            # A number may be a restricted one, and any number at all would do.
            without.append("people with any target" if task == "regression" else str(target))
            continue
        chosen = stream(seed, "resample", person).permutation(len(others))[:draws]
        found[person] = [int(row) for row in others["row"].to_numpy()[chosen]]
    if without:
        counts = pd.Series(without).value_counts().sort_index()
        refuse(
            "In-class resampling finds nobody else of these classes among the people that the network was trained on",
            [f"{label} (needed for {count} people)" for label, count in counts.items()],
            "Use fewer folds or more people, or leave resample out of the replacements.",
        )
    return found
