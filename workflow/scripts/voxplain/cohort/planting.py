"""Changes of a chosen size planted into real people's images, so that maps can be held against what is really there.

Labels are drawn at random, so that nothing but the planted change tells the groups apart. Everybody is displaced and
scaled by an own amount, whose mean differs between the groups: nobody's image is left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.names import check_ids
from voxplain.base.seeds import seed_for, stream

CONTROL, PLANTED = "control", "planted"
LABELS = (CONTROL, PLANTED)
KINDS = {
    "intensity": ("intensity_effect",),
    "volume": ("volume_effect",),
    "both": ("intensity_effect", "volume_effect"),
}
# Of numeric targets: either group gets half of each quarter of the people.
TARGET_BINS = 4
_RANGES = {
    "volume_effect": (0.0, 1.5),
    "intensity_effect": (0.0, 1.0),
    "effect": (0.0, 2.0),
    "spread": (0.0, 1.0),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class PlantedSettings:
    """What is planted.

    Attributes
    ----------
    regions : sequence of int or str
        Regions of an atlas, by index or by name; each is changed by an amount of its own.
    kind : {'volume', 'intensity', 'both'}
    volume_effect : float
        Relative growth of the local volume at the centre of a region, at the effect 1; 0.5 is half as much again.
    intensity_effect : float
        Relative gain of the intensity there.
    effect : float
        Scale of both. 0 plants nothing: maps of networks trained on such images show what chance does.
    spread : float
        Standard deviation of the amount over the people of either group, as a share of the effect.
    seed : int
        Labels and amounts follow from it.

    Raises
    ------
    InputError
        Naming every setting that cannot be.
    """

    regions: Sequence[int | str]
    kind: str = "both"
    volume_effect: float = 0.8
    intensity_effect: float = 0.3
    effect: float = 1.0
    spread: float = 0.25
    seed: int = 0

    def __post_init__(self):
        bad = []
        listed = isinstance(self.regions, list | tuple) and len(self.regions) > 0
        if not listed or any(isinstance(one, bool) or not isinstance(one, int | str) for one in self.regions):
            bad.append(f"regions: {self.regions!r}, expected a list of indices or names, one or more")
        elif len(set(self.regions)) < len(self.regions):
            bad.append(f"regions: {list(self.regions)}, expected every region once")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            kinds, kind = (int, "a whole number") if name == "seed" else (int | float, "a number")
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                bad.append(f"{name}: {value!r}, expected {kind} from {low} to {high}")
        if self.kind not in KINDS:
            bad.append(f"kind: {self.kind!r}, expected one of {', '.join(KINDS)}")
        else:
            bad += [
                f"{name}: 0, expected more, because kind is {self.kind} (effect: 0 plants nothing)"
                for name in KINDS[self.kind]
                if getattr(self, name) == 0
            ]
        if bad:
            refuse(f"planted effects: {len(bad)} settings cannot be", bad)

    def size(self, name: str) -> float:
        """Return ``intensity_effect`` or ``volume_effect`` where that kind is planted, otherwise 0."""
        return float(getattr(self, name)) if name in KINDS[self.kind] else 0.0


def draw_labels(people: pd.DataFrame, seed: int) -> pd.Series:
    """Draw at random who is to carry the planted change: half of the people, whatever their target.

    Stratified by the target (a number by quarter of the people), families as wholes: scikit-learn's ``StratifiedKFold``
    or, where people share a group, ``StratifiedGroupKFold`` with two folds, one of which is taken at random.

    Parameters
    ----------
    people : DataFrame
        `participant_id`, `target` (text or numbers), `group` (missing where unknown); in any order.
    seed : int

    Returns
    -------
    Series
        `CONTROL` or `PLANTED`, by `participant_id`, sorted by it.

    Raises
    ------
    InputError
        For ids that occur twice, fewer than two families, and for targets no two of which are alike in their class.
    """
    from voxplain.cohort.folds import family_codes, split_people
    from voxplain.cohort.limits import strata

    check_ids(people["participant_id"], "people to plant in")
    people = people.sort_values("participant_id", ignore_index=True)
    families = family_codes(people)
    if len(np.unique(families)) < 2:
        raise InputError(f"planted effects: the {len(people)} people are of one family; two or more are needed")
    task = "regression" if pd.api.types.is_numeric_dtype(people["target"]) else "classification"
    stratum = strata(people, task, min(TARGET_BINS, len(people) // 2))
    if np.unique(stratum, return_counts=True)[1].max() < 2:
        raise InputError(f"planted effects: no two of the {len(people)} people have the same target")
    half = split_people(stratum, families, 2, seed_for(seed, "planted", "labels"))
    carriers = half == stream(seed, "planted", "half").integers(2)
    return pd.Series(np.where(carriers, PLANTED, CONTROL), index=people["participant_id"], name="label")


def planted_amounts(settings: PlantedSettings, indices: Sequence[int], person: str, label: str) -> np.ndarray:
    """Draw how much of each region's change a person carries.

    Parameters
    ----------
    settings : PlantedSettings
    indices : sequence of int
        Of the regions in their atlas.
    person : str
    label : str
        `CONTROL` or `PLANTED`.

    Returns
    -------
    ndarray [regions]
        ``effect * (label + spread * normal)``, the label being 0 or 1; one stream a person and region.
    """
    own = [stream(settings.seed, "planted", "amount", person, int(i)).standard_normal() for i in indices]
    return settings.effect * (LABELS.index(label) + settings.spread * np.array(own))
