"""Who the phantom's people are: sex, age, family and head size, as a pure function of the settings."""

import numpy as np
import pandas as pd

from voxplain.base.seeds import stream
from voxplain.cohort.phantom.settings import PhantomSettings
from voxplain.imaging.grid import MNI_BRAIN_ML

LABELS = ("F", "M")
# Intracranial volume in ml, mean and standard deviation, about as in young adults (FreeSurfer's estimate in the HCP).
INTRACRANIAL_ML = {"F": (1400.0, 120.0), "M": (1600.0, 130.0)}
# In the design "none": of everybody, half-way between the two.
_ANYBODY_ML = tuple(sum(pair) / 2 for pair in zip(*INTRACRANIAL_ML.values(), strict=True))
_FIRST_ID, _ID_STEP = 100_206, 101
_YOUNGEST, _OLDEST = 22, 37


def design(settings: PhantomSettings) -> pd.DataFrame:
    """Draw the people.

    Families are drawn one after the other, each from an own stream, and every pair of neighbours in the table holds a
    woman and a man: a person's row does not depend on how many people follow, and the classes are balanced.

    Returns
    -------
    DataFrame
        One row a person: ``participant_id`` (six digits, as in the HCP), ``Gender``, ``Age`` (band), ``Age_in_Yrs``,
        ``Family_ID``, ``Mother_ID``, ``Father_ID``, ``Release``, ``Acquisition`` and ``head_size`` (linear factor
        between the MNI152 brain and the person's native one).
    """
    rows: list[dict] = []
    family = 0
    while len(rows) < settings.people:
        rows += _family(settings, family, first=len(rows))
        family += 1
    return pd.DataFrame(rows[: settings.people])


def _family(settings: PhantomSettings, family: int, first: int) -> list[dict]:
    rng = stream(settings.seed, "phantom", "family", family)
    size = int(rng.integers(1, settings.family_size + 1))
    gaps = rng.integers(1, 3, size)
    gaps[0] = 0
    ages = rng.integers(_YOUNGEST, _OLDEST + 1 - gaps.sum()) + np.cumsum(gaps)
    ages = rng.permutation(ages)
    shared = rng.standard_normal()
    mother, father = (str(n) for n in 50_001 + 2 * family + np.array([0, 40_000]))
    rows = []
    for place in range(first, first + size):
        own = stream(settings.seed, "phantom", "person", place)
        sex = _sex(settings.seed, place)
        share = settings.family_share
        deviation = np.clip(np.sqrt(share) * shared + np.sqrt(1 - share) * own.standard_normal(), -2.5, 2.5)
        mean, spread = _ANYBODY_ML if settings.design == "none" else INTRACRANIAL_ML[sex]
        age = int(ages[place - first])
        rows.append(
            {
                "participant_id": str(_FIRST_ID + _ID_STEP * place),
                "Gender": sex,
                "Age": _band(age),
                "Age_in_Yrs": age,
                "Family_ID": f"{mother}_{father}",
                "Mother_ID": mother,
                "Father_ID": father,
                "Release": str(own.choice(["Q3", "S500", "S900", "S1200"])),
                "Acquisition": f"Q{own.integers(1, 14):02d}",
                "head_size": float(((mean + spread * deviation) / MNI_BRAIN_ML) ** (1 / 3)),
            }
        )
    return rows


def _sex(seed: int, place: int) -> str:
    first = int(stream(seed, "phantom", "pair", place // 2).integers(2))
    return LABELS[(first + place) % 2]


def _band(age: int) -> str:
    return "22-25" if age <= 25 else "26-30" if age <= 30 else "31-35" if age <= 35 else "36+"
