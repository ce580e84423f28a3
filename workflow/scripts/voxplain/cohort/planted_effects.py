"""Changes of an atlas's regions as displacements and factors of intensity, and the truth that they make."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from voxplain.base.errors import refuse
from voxplain.cohort.phantom.effects import INTENSITY, TRUTH_LEVEL, VOLUME
from voxplain.cohort.phantom.fields import FIELD, FINE, jacobian, positions, sample
from voxplain.cohort.phantom.growth import growth, rounded
from voxplain.cohort.planting import KINDS, PlantedSettings
from voxplain.imaging.displaced import Change
from voxplain.imaging.grid import COMMON

# Amounts as many standard deviations from their mean must leave an image whole.
LARGEST_DEVIATION = 4


@dataclass(frozen=True)
class PlantedEffects:
    """The changes of all regions at their nominal size (amount 1).

    Attributes
    ----------
    indices : list of int
        Of the regions in their atlas.
    push : Tensor [regions, 3, z, y, x]
        Displacement in mm from a changed brain to the unchanged one, on the phantom's ``FIELD``.
    profile : Tensor [regions, z, y, x]
        Relative change of intensity, in the unchanged brain.
    """

    indices: list[int]
    push: torch.Tensor
    profile: torch.Tensor

    def change(self, amounts: np.ndarray) -> Change:
        """Return what is done to a person, on the common grid.

        Parameters
        ----------
        amounts : ndarray [regions]
            Of `voxplain.cohort.planting.planted_amounts`.
        """
        amounts = torch.from_numpy(np.asarray(amounts)).float()
        places = positions(COMMON)
        push = sample(torch.einsum("k,kczyx->czyx", amounts, self.push), FIELD, places)
        profile = torch.einsum("k,kzyx->zyx", amounts, self.profile)[None]
        # What is brighter is a part of the unchanged brain, and grows with it.
        factor = 1 + sample(profile, FIELD, places + push)[0]
        return Change(push.numpy().transpose(0, 3, 2, 1), factor.numpy().T)


def planted_effects(settings: PlantedSettings, data: np.ndarray, regions: pd.DataFrame) -> PlantedEffects:
    """Make the nominal changes of regions of an atlas.

    Parameters
    ----------
    settings : PlantedSettings
    data : ndarray of int [D, H, W]
        Labels on `COMMON`.
    regions : DataFrame
        ``index`` and ``name`` of the labels.

    Raises
    ------
    InputError
        Naming every region that the atlas does not have, that several labels share, or that has no voxel; and where
        changes are so large that an image would fold or turn dark.
    """
    indices = _indices(settings.regions, data, regions)
    volume, intensity = settings.size("volume_effect"), settings.size("intensity_effect")
    push, profile = [], []
    for index in indices:
        mask = torch.from_numpy(np.ascontiguousarray((data == index).T)).float()[None]
        shape = rounded(sample(mask, COMMON, positions(FINE), nearest=True, outside="zeros")[0] > 0)
        push.append(growth(shape, volume))
        profile.append(intensity * shape)
    effects = PlantedEffects(indices, torch.stack(push), torch.stack(profile))
    _check_whole(settings, effects)
    return effects


def planted_change(effects: PlantedEffects, amount: float = 1.0) -> np.ndarray:
    """Return the changes of a person who carries every region's change in the same amount.

    Returns
    -------
    ndarray [2, D, H, W] float32
        On `COMMON`: relative change of intensity, relative change of local volume (0.5: half as much again), i.e.
        1/det(I + gradient of the displacement) - 1.
    """
    push = amount * effects.push.sum(0)
    intensity = sample(amount * effects.profile.sum(0)[None], FIELD, positions(FIELD) + push)[0]
    change = sample(torch.stack([intensity, 1 / jacobian(push) - 1]), FIELD, positions(COMMON))
    return change.permute(0, 3, 2, 1).contiguous().numpy()


def planted_truth(settings: PlantedSettings, effects: PlantedEffects) -> np.ndarray:
    """Tell where something is planted.

    Maps are held against the same voxels whatever the `effect`, also against those where nothing is planted at 0.

    Returns
    -------
    ndarray [D, H, W] uint8
        On `COMMON`: 1 where the intensity changes, 2 where the local volume does, 3 where both do. A change counts
        where, at the effect 1, it is at least half (``TRUTH_LEVEL`` of the phantom) of its nominal size.
    """
    change = planted_change(effects)
    codes = np.zeros(change.shape[1:], dtype=np.uint8)
    for values, name, code in zip(change, KINDS["both"], (INTENSITY, VOLUME), strict=True):
        if settings.size(name) > 0:
            codes += (values >= TRUTH_LEVEL * settings.size(name)).astype(np.uint8) * np.uint8(code)
    return codes


def _indices(wanted: Sequence[int | str], data: np.ndarray, regions: pd.DataFrame) -> list[int]:
    """Return the labels of regions that are given by index or name."""
    found, bad = [], []
    for one in wanted:
        labels = regions.loc[regions["name" if isinstance(one, str) else "index"] == one, "index"].tolist()
        if len(labels) != 1:
            bad.append(f"{one!r}: " + (f"the name of the labels {labels}" if labels else "not in the atlas"))
        elif not (data == labels[0]).any():
            bad.append(f"{one!r}: no voxel on the common grid")
        elif labels[0] in found:
            bad.append(f"{one!r}: the label {labels[0]}, which is there already")
        found += labels
    if bad:
        refuse(
            f"planted effects: {len(bad)} of {len(wanted)} regions cannot be taken",
            bad,
            f"The atlas has {len(regions)} regions; its table of labels gives their index and name.",
        )
    return [int(label) for label in found]


def _check_whole(settings: PlantedSettings, effects: PlantedEffects) -> None:
    """Refuse sizes at which the largest amounts would fold an image, or make its intensity negative."""
    deviation = LARGEST_DEVIATION * settings.spread
    push, profile = effects.push.sum(0), effects.profile.sum(0)
    bad = set()
    for amount in (-deviation * settings.effect, (1 + deviation) * settings.effect):
        if float(jacobian(amount * push).min()) <= 0:
            bad.add("volume_effect: the displacement would fold the image")
        if float((1 + amount * profile).min()) < 0:
            bad.add("intensity_effect: intensities would become negative")
    if bad:
        refuse(
            f"planted effects: too large for people {LARGEST_DEVIATION} standard deviations from the mean",
            sorted(bad),
            "Lower effect, spread or these sizes, or plant in regions that do not touch.",
        )
