"""Head size where no table knows it: estimated from the images, or honestly unknown.

Networks tell men from women by head size when they can see it, so every figure has to be held against it. A table's
intracranial volume is the first choice. Two estimates need nothing but the images:

- ``mask``: the volume of the brain mask (or of the non-zero voxels) of an image in its native size. What it holds
  depends on the tool that stripped the skull: with or without ventricles and sulci, it is brain volume rather than
  intracranial volume. Spatial normalisation removes it, so that it is refused for images in MNI space.
- ``affine``: the determinant of the affine registration between the brain and the MNI152 brain, times that brain's
  volume. Source: Buckner et al. 2004, NeuroImage 23:724-738 (atlas scaling factor).
"""

import pandas as pd

from voxplain.base.errors import InputError
from voxplain.cohort.people import read_roster
from voxplain.cohort.roster import Roster
from voxplain.cohort.size_table import names_size_table
from voxplain.imaging.grid import MM3_PER_ML, MNI_BRAIN_ML

ESTIMATES = ("auto", "mask", "affine", "never")
SOURCES = {"mask": "brain mask", "affine": "affine determinant"}
FEWEST_HEADS, LEAST_SPREAD = 10, 0.03


def estimate_head_size(index: pd.DataFrame, how: str, align: str, space: str) -> tuple[pd.Series, str]:
    """Estimate the head size of everybody in the stack.

    Parameters
    ----------
    index : DataFrame
        ``images/index.tsv``: ``participant_id``, ``brain_volume_ml`` (as scanned) and ``scale`` (how many times larger
        than the MNI152 brain).
    how : {'auto', 'mask', 'affine', 'never'}
        ``auto``: by the affine where brains were aligned with scaling; otherwise by the mask where they kept their
        native size (rigid alignment, or ACPC space); otherwise not at all.
    align : {'none', 'rigid', 'affine', 'syn'}
        How the images were aligned.
    space : {'mni', 'acpc'}
        Where unaligned brains lie.

    Returns
    -------
    sizes : Series
        mm³ by participant id, in the order of the index; all NaN when nothing can be said.
    source : str
        ``affine determinant`` or ``brain mask``; empty when nothing can be said.

    Raises
    ------
    InputError
        For an estimate that these images cannot give; ``auto`` then says nothing instead.
    """
    kind = estimate_kind(how, align, space)
    column = {"affine": "scale", "mask": "brain_volume_ml"}.get(kind)
    if column and _normalised_away(index[column]):
        if how != "auto":
            raise InputError(
                f"cohort.size.estimate: {how} finds heads of nearly the same size in everybody (SD under "
                f"{LEAST_SPREAD:.0%} of the mean): the images were in MNI space already, where head size is lost. Give "
                "head sizes in a table (cohort.size.file), or set estimate: never."
            )
        kind = None
    sizes = pd.Series(float("nan"), index=pd.Index(index["participant_id"], name="participant_id"), name="tiv_mm3")
    if kind is None:
        return sizes, ""
    if kind == "affine":
        sizes[:] = index["scale"].to_numpy(dtype=float) * MNI_BRAIN_ML * MM3_PER_ML
    else:
        sizes[:] = index["brain_volume_ml"].to_numpy(dtype=float) * MM3_PER_ML
    return sizes, SOURCES[kind]


def _normalised_away(sizes: pd.Series) -> bool:
    """Tell whether heads vary less than those of people do (8 to 10 % in adults), among enough people to tell."""
    known = sizes.astype(float).dropna()
    return len(known) >= FEWEST_HEADS and known.std() < LEAST_SPREAD * known.mean()


def estimate_kind(how: str, align: str, space: str) -> str | None:
    """Return what an estimate would be made from, ``mask`` or ``affine``, or None; parameters and errors as above."""
    if how not in ESTIMATES:
        raise InputError(f"cohort.size.estimate: {how!r} is not one of {', '.join(ESTIMATES)}")
    scaled, native = align in ("affine", "syn"), align == "rigid" or (align == "none" and space == "acpc")
    if how == "affine" and not scaled:
        raise InputError(
            f"cohort.size.estimate: affine takes head size from the registration, but images.align is {align}: set it "
            "to affine or syn, or estimate: mask for brains of native size, or auto."
        )
    if how == "mask" and not (scaled or native):
        raise InputError(
            "cohort.size.estimate: a mask in MNI space has lost head size (images.align: none, images.space: mni). "
            "Give head sizes in a table (cohort.size.file), or images of native size with images.align, or estimate: "
            "auto."
        )
    if how == "auto":
        return "affine" if scaled else "mask" if native else None
    return None if how == "never" else how


def check_size_settings(cohort: dict, images: dict) -> None:
    """Refuse settings of ``cohort.size`` that contradict themselves or the images; opens no file.

    Parameters
    ----------
    cohort, images : dict
        Sections of the config.

    Raises
    ------
    InputError
    """
    names_size_table(cohort)
    _kind(cohort, images)


def head_size_is_obtainable(cohort: dict, images: dict, roster: Roster | None = None) -> bool:
    """Tell whether anybody's head size will be known, from a table or from the images; opens no image.

    Parameters
    ----------
    cohort, images : dict
        Sections of the config.
    roster : Roster, optional
        What `voxplain.cohort.people.read_roster` gave for the cohort, instead of reading the tables again.

    Raises
    ------
    InputError
        As `check_size_settings` and `voxplain.cohort.people.read_roster`.
    """
    if _kind(cohort, images) is not None or cohort["source"] == "phantom":  # which writes a table of them
        return True
    return bool((roster or read_roster(cohort, seed=0)).people["size"].notna().any())


def _kind(cohort: dict, images: dict) -> str | None:
    how = (cohort.get("size") or {}).get("estimate") or "auto"
    return estimate_kind(how, images["align"], images["space"])
