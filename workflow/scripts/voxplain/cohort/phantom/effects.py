"""The planted effects: what differs between the classes, where, and the truth that maps are measured against."""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from voxplain.base.files import write_image, write_table
from voxplain.cohort.phantom.anatomy import anatomy, reference_labels
from voxplain.cohort.phantom.fields import FIELD, FINE, jacobian, positions, sample
from voxplain.cohort.phantom.growth import growth, rounded
from voxplain.cohort.phantom.settings import PhantomSettings
from voxplain.imaging.grid import COMMON

# (tissue, kind, centre in mm): the parcel whose centre is nearest is planted. Three effects are on one side only; the
# last two are a pair.
PLANTED = (
    ("grey", "both", (-48.0, 13.0, 5.0)),
    ("grey", "volume", (12.0, -63.0, 11.0)),
    ("white", "intensity", (17.0, 36.0, 33.0)),
    ("grey", "both", (-31.0, -28.0, -22.0)),
    ("grey", "both", (31.0, -28.0, -22.0)),
)
# The design "left": two of the places above, one of the others mirrored, and two more, none of them near the midline.
PLANTED_LEFT = (
    ("grey", "both", (-48.0, 13.0, 5.0)),
    ("grey", "both", (-36.0, -68.0, 8.0)),
    ("white", "both", (-17.0, 36.0, 33.0)),
    ("grey", "both", (-31.0, -28.0, -22.0)),
    ("grey", "both", (-44.0, -48.0, 40.0)),
)
# The truth is where a change reaches this share of the nominal change at an effect's centre.
TRUTH_LEVEL = 0.5
INTENSITY, VOLUME = 1, 2
KINDS = ("volume", "intensity", "both")


@dataclass(frozen=True)
class Effects:
    """The planted effects at their nominal size (``effect`` 1), on `FIELD`, in the space of the reference brain.

    Attributes
    ----------
    regions : DataFrame
        ``index``, ``name``, ``hemisphere``, ``kind``, ``volume_effect``, ``intensity_effect``; one row an effect.
    push : Tensor [effects, 3, z, y, x]
        Displacement in mm from a changed brain to the reference brain.
    profile : Tensor [effects, z, y, x]
        Relative change of intensity.
    """

    regions: pd.DataFrame
    push: torch.Tensor
    profile: torch.Tensor


@lru_cache(maxsize=2)
def effects(settings: PhantomSettings) -> Effects:
    """Build the planted effects."""
    regions = _planted_regions(settings)
    labels = reference_labels(FINE)
    shapes = [rounded(labels == index) for index in regions["index"]]
    push = [growth(shape, size) for shape, size in zip(shapes, regions["volume_effect"], strict=True)]
    profile = [shape * size for shape, size in zip(shapes, regions["intensity_effect"], strict=True)]
    return Effects(regions, torch.stack(push), torch.stack(profile))


@lru_cache(maxsize=4)
def planted_change(settings: PhantomSettings, effect: float) -> torch.Tensor:
    """Return the changes of a person who carries every effect at `effect` times its nominal size.

    Returns
    -------
    Tensor [2, z, y, x]
        On `FIELD`, in the space of that person before any other deformation: relative change of intensity, relative
        change of local volume (0.5: half as much again), i.e. 1/det(I + gradient of the displacement) - 1.
    """
    planted = effects(settings)
    push = effect * planted.push.sum(0)
    intensity = sample(planted.profile.sum(0)[None], FIELD, positions(FIELD) + push)[0]
    return torch.stack([effect * intensity, 1 / jacobian(push) - 1])


def truth_codes(settings: PhantomSettings, points: torch.Tensor) -> np.ndarray:
    """Tell what is planted at any positions.

    Parameters
    ----------
    settings : PhantomSettings
    points : Tensor [3, z, y, x]
        In mm, in the space of a person before any deformation but the planted one.

    Returns
    -------
    ndarray [x, y, z] uint8
        1 where the intensity changes, 2 where the local volume does, 3 where both do, 0 elsewhere. A change counts
        where it is at least `TRUTH_LEVEL` times the nominal change at an effect's centre.
    """
    codes = torch.zeros(points.shape[1:], dtype=torch.uint8)
    if settings.planted_effect > 0:
        change = sample(planted_change(settings, settings.effect), FIELD, points)
        nominal = (settings.intensity_effect, _reached_volume(settings))
        for values, peak, code in zip(change, nominal, (INTENSITY, VOLUME), strict=True):
            if peak > 0:
                codes += (values >= TRUTH_LEVEL * settings.effect * peak).to(torch.uint8) * code
    return codes.permute(2, 1, 0).contiguous().numpy()


def mock_truth(settings: PhantomSettings, points: torch.Tensor) -> np.ndarray:
    """Tell where the design ``both`` would plant, at the nominal size of the effects.

    Maps of a cohort in which nothing is planted are held against it: they should find it no better than by chance.

    Parameters
    ----------
    settings : PhantomSettings
        Of any design.
    points : Tensor [3, z, y, x]

    Returns
    -------
    ndarray [x, y, z] uint8
        As `truth_codes`.
    """
    return truth_codes(replace(settings, design="both", effect=1.0), points)


def write_truth(settings: PhantomSettings, folder: str | os.PathLike) -> None:
    """Write what is planted in the population, in MNI space whatever the people's space.

    ``truth.nii.gz`` (uint8 on the common grid; see `truth_codes`) and ``truth_regions.tsv`` (``index``, ``name``,
    ``hemisphere``, ``kind``, ``volume_effect``, ``intensity_effect``; sizes include the setting ``effect``). Without
    effects, or in a design that plants nothing, both are empty.
    """
    folder = Path(folder)
    codes = truth_codes(settings, positions(COMMON))
    regions = effects(settings).regions.copy()
    regions[["volume_effect", "intensity_effect"]] *= settings.planted_effect
    regions = regions[(regions[["volume_effect", "intensity_effect"]] > 0).any(axis=1)]
    write_image(codes, COMMON.affine, folder / "truth.nii.gz")
    write_table(regions, folder / "truth_regions.tsv")


def _reached_volume(settings: PhantomSettings) -> float:
    """Return the growth at an effect's centre for ``effect`` times the displacement, divided by ``effect``.

    Growth is not linear in the displacement: 1/(1 - s)^3 - 1 for an isotropic shrinking by s on the way back.
    """
    shrink = 1 - (1 + settings.volume_effect) ** (-1 / 3)
    return ((1 - settings.effect * shrink) ** -3 - 1) / settings.effect


def _planted_regions(settings: PhantomSettings) -> pd.DataFrame:
    regions = anatomy().regions
    rows = []
    for tissue, own_kind, centre in PLANTED_LEFT if settings.design == "left" else PLANTED:
        kind = settings.design if settings.design in KINDS else own_kind
        side = regions[
            (regions["tissue"] == tissue) & (regions["hemisphere"] == ("left" if centre[0] < 0 else "right"))
        ]
        distance = ((side[["x", "y", "z"]] - np.array(centre)) ** 2).sum(axis=1)
        region = side.loc[distance.idxmin()]
        rows.append(
            {
                "index": int(region["index"]),
                "name": region["name"],
                "hemisphere": region["hemisphere"],
                "kind": kind,
                "volume_effect": settings.volume_effect if kind != "intensity" else 0.0,
                "intensity_effect": settings.intensity_effect if kind != "volume" else 0.0,
            }
        )
    return pd.DataFrame(rows)
