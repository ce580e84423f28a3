"""Is this a brain, and does it lie where it should? One row of measurements a volume."""

import math

import numpy as np

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import inside_brain

COLUMNS = (
    "participant_id",
    "shape",
    "voxel_mm",
    "orientation",
    "min",
    "max",
    "brain_volume_ml",
    "scale",
    "dice",
    "distance_mm",
    "checksum",
    "problem",
)
# Least Dice with the MNI brain, and largest distance of the centres in mm, by the space that images are said to be in.
# Affinely aligned brains reach 0.93-0.96; rigidly placed ones keep their size and lie around 0.7-0.95.
EXPECTED = {"mni": (0.9, None), "acpc": (0.7, 10.0)}
# Intracranial volumes of adults end below 2.1 litres; a head with face and neck has four.
LARGEST_BRAIN_ML = 2500.0
# One of so many voxels is looked at first.
FEW = 997


def measure(
    volume: Volume,
    data: np.ndarray,
    brain: np.ndarray,
    space: str,
    *,
    mask: Volume | None = None,
    inside: np.ndarray | None = None,
    align: str = "none",
    scale: float = math.nan,
    min_overlap: float | None = None,
    max_distance_mm: float | None = None,
) -> dict[str, object]:
    """Measure one volume and judge its place.

    Parameters
    ----------
    volume : Volume
        As read.
    data, brain : ndarray of `COMMON`'s shape
        The same on the common grid: float and bool.
    space : {'mni', 'acpc'}
        Where the brain should lie: on the MNI brain, or about there with its own size.
    mask : Volume, optional
        Brain on the grid of `volume`; otherwise its non-zero voxels.
    inside : ndarray of bool [D, H, W], optional
        What `voxplain.imaging.resizing.inside_brain` gives, where it is known already.
    align : str
        How the brain was aligned, for the advice.
    scale : float
        Of `voxplain.imaging.alignment.align_to_mni`; NaN for brains that were not aligned.
    min_overlap : float, optional
        Least Dice with the MNI brain; by `space` when not given (0.9, 0.7).
    max_distance_mm : float, optional
        Largest distance between the centres of both brains; by `space` when not given (none, 10 mm).

    Returns
    -------
    dict
        `COLUMNS` without ``participant_id``: shape, voxel edges and orientation (``LAS``: the voxel axes run to the
        left, to the front, up) as text, intensity range, brain volume in ml as scanned, how many times larger the brain
        is than the template, Dice and distance of the centres in mm on the common grid, the checksum of the files
        (`checksum_of`), and what is wrong (``""`` when nothing is).
    """
    from nibabel.orientations import aff2axcodes

    least_overlap, largest_distance = expected_place(space, min_overlap, max_distance_mm)
    inside = inside_brain(volume, mask) if inside is None else inside
    lowest, highest = volume.value_range()
    voxel_ml = abs(np.linalg.det(volume.affine[:3, :3])) / 1000
    row: dict[str, object] = {
        "shape": "x".join(str(n) for n in volume.data.shape),
        "voxel_mm": "x".join(f"{edge:.2f}" for edge in np.linalg.norm(volume.affine[:3, :3], axis=0)),
        "orientation": "".join(aff2axcodes(volume.affine)),
        "min": lowest,
        "max": highest,
        "brain_volume_ml": round(float(np.count_nonzero(inside) * voxel_ml), 1),
        "scale": round(float(scale), 4),
        "dice": float("nan"),
        "distance_mm": float("nan"),
        "checksum": checksum_of(volume, *([] if mask is None else [mask])),
    }
    reference = mni_brain(brain.shape)
    problems = []
    if row["brain_volume_ml"] > LARGEST_BRAIN_ML:
        source = "non-zero voxels fill" if mask is None else "the brain mask fills"
        problems.append(
            f"{source} {row['brain_volume_ml']:.0f} ml, more than a brain (at most {LARGEST_BRAIN_ML:.0f} ml): give "
            "skull-stripped images or a column of brain masks"
        )
    flat = _flat(volume, inside)
    if flat is not None:
        problems.append(f"all voxels of the brain are {flat:g}: a mask in the place of an image?")
    if not brain.any() or not np.any(data):
        problems.append("no brain within the field of view of the common grid")
    else:
        row["dice"] = round(float(2 * np.sum(brain & reference) / (brain.sum() + reference.sum())), 4)
        row["distance_mm"] = round(float(np.linalg.norm(_centre_mm(brain) - _centre_mm(reference))), 2)
        if row["dice"] < least_overlap:
            problems.append(
                f"overlaps the MNI brain with Dice {row['dice']:.2f} only (expected {least_overlap:g} at least)"
            )
        if largest_distance is not None and row["distance_mm"] > largest_distance:
            problems.append(
                f"lies {row['distance_mm']:.1f} mm from the MNI brain's centre "
                f"(expected {largest_distance:g} mm at most)"
            )
    row["problem"] = "; ".join(problems)
    if problems and flat is None and not row["brain_volume_ml"] > LARGEST_BRAIN_ML:
        row["problem"] += _advice(space, align)
    return row


def checksum_of(*volumes: Volume) -> str | None:
    """Return the checksums of an image and its mask, if any, joined by +; None when one came from no file."""
    checksums = [volume.checksum for volume in volumes]
    return None if None in checksums else "+".join(checksums)


def expected_place(
    space: str, min_overlap: float | None = None, max_distance_mm: float | None = None
) -> tuple[float, float | None]:
    """Return the least Dice and the largest distance in mm (None: any) for a space, as set or by default.

    Raises
    ------
    InputError
        For an unknown space.
    """
    if space not in EXPECTED:
        raise InputError(f"images.space: {space!r} is not one of {', '.join(EXPECTED)}")
    overlap, distance = EXPECTED[space]
    return (
        overlap if min_overlap is None else min_overlap,
        distance if max_distance_mm is None else max_distance_mm,
    )


def unread(problem: str) -> dict[str, object]:
    """Return the row of a volume that could not be read or processed: nothing measured, and why."""
    nothing = dict.fromkeys(COLUMNS[1:-1])
    return {**nothing, "problem": " ".join(problem.split())}


def _flat(volume: Volume, inside: np.ndarray) -> float | None:
    """Return the one value that all voxels of the brain have; None when they differ."""
    # A few voxels tell an image from a mask; all are looked at when these agree only.
    for step in (FEW, 1):
        values = volume.data.reshape(-1, order="F")[::step][inside.reshape(-1, order="F")[::step]]
        if values.size and values.min() < values.max():
            return None
    return float(values[0]) if values.size else None


def _advice(space: str, align: str) -> str:
    if align == "none":
        return f". Set images.align: affine for images that are not in {space} space"
    if align == "rigid":
        return ". Set images.align: affine, since rigid alignment keeps the size of the head"
    return f". The {align} alignment failed: look at the image and its brain mask"


def _centre_mm(brain: np.ndarray) -> np.ndarray:
    """Return the centre of mass of a mask on the common field of view, in mm [3]."""
    grid = COMMON if brain.shape == COMMON.shape else COMMON.rescaled(brain.shape)
    return grid.affine[:3, :3] @ np.argwhere(brain).mean(axis=0) + grid.affine[:3, 3]
