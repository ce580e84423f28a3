"""Registration to the MNI152 template with ANTs, applied in one interpolation straight to the common grid."""

import math
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON, Grid
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import antialias, inside_brain, resize, resize_matrices

KINDS = {"rigid": "Rigid", "affine": "Affine", "syn": "SyN"}
# Registration compares the brains at 2 mm; finer volumes are brought down first, and sampled in full afterwards.
REGISTRATION_MM = 2
# Of the linear stages, from coarse to fine. ANTs does 10 at the finest; 4 took 40 % less time and moved the Dice with
# the MNI brain by less than 0.002 (4 people); without that level, or with fewer samples, up to 0.01 and 0.05 were lost.
LINEAR_ITERATIONS = (2100, 1200, 1200, 4)
# Axes that are not at right angles cannot be told to ANTs; this is the largest cosine between two of them.
MOST_SHEAR = 0.01


def check_kind(kind: str) -> None:
    """Refuse what is neither ``none`` nor a kind of registration.

    Raises
    ------
    InputError
    """
    if kind != "none" and kind not in KINDS:
        raise InputError(f"images.align: {kind!r} is not one of none, {', '.join(KINDS)}")


def align_to_mni(
    volume: Volume, mask: Volume | None, kind: str, seed: int = 0, grid: Grid = COMMON
) -> tuple[np.ndarray, np.ndarray, float]:
    """Register a brain to the MNI152 template and sample it on the common grid.

    ANTs runs on one thread with a fixed seed, since its metric's sums depend on both: equal input gives equal output,
    and jobs side by side make better use of the cores than threads. ANTs sets the seed of NumPy's and Python's
    global random generators as well.

    Parameters
    ----------
    volume : Volume
        Skull-stripped, unless there is a mask.
    mask : Volume, optional
        Brain on the grid of `volume`.
    kind : {'rigid', 'affine', 'syn'}
    seed : int
    grid : Grid

    Returns
    -------
    data : ndarray of the grid's shape, float32
    brain : ndarray of the grid's shape, bool
    scale : float
        How many times larger the brain is than the template, by the linear part of the registration; NaN for
        ``rigid``, which has no size.

    Raises
    ------
    InputError
        For an affine with shear, or when ANTs gives up.
    """
    import ants

    ants.config.set_ants_deterministic(True, seed_value=seed % 2**31)
    inside = inside_brain(volume, mask)
    whole = _to_ras(Volume(np.where(inside, volume.data, np.float32(0)), volume.affine))
    inside = _to_ras(Volume(inside.astype(np.float32), volume.affine))
    target = _to_ras(Volume(np.zeros(grid.shape, dtype=np.float32), grid.affine))
    coarse = _ants_image(_no_finer_than(whole, REGISTRATION_MM))
    smooth = [_ants_image(antialias(moving, grid)) for moving in (whole, inside)]
    with tempfile.TemporaryDirectory(prefix="voxplain-align-") as folder:
        prefix = str(Path(folder) / "to_mni_")
        try:
            found = ants.registration(
                _mni_template(REGISTRATION_MM),
                coarse,
                type_of_transform=KINDS[kind],
                outprefix=prefix,
                aff_iterations=LINEAR_ITERATIONS,
            )
            moved = [ants.apply_transforms(_ants_image(target), image, found["fwdtransforms"]) for image in smooth]
            scale = math.nan if kind == "rigid" else _volume_ratio(found["fwdtransforms"])
        except (RuntimeError, ValueError) as error:
            raise InputError(f"ANTs could not align the volume ({kind}): {error}") from error
    # Back from the right-handed copy of the grid to its own axes.
    data, brain = (_to_axes_of(Volume(image.numpy(), target.affine), grid.affine) for image in moved)
    return np.ascontiguousarray(data, dtype=np.float32), np.ascontiguousarray(brain > 0.5), scale


def _volume_ratio(transforms: list[str]) -> float:
    """Return the determinant of the linear part of a registration, from the files that ANTs wrote.

    ANTs' forward transforms lead from a place of the template to where it lies in the moving volume: a brain that is
    twice as large as the template has 2.
    """
    import ants

    linear = next(path for path in transforms if path.endswith(".mat"))
    matrix = np.reshape(ants.read_transform(linear).parameters[:9], (3, 3))  # the other three are a shift
    return float(abs(np.linalg.det(matrix)))


@lru_cache(maxsize=1)
def _mni_template(edge_mm: int) -> "ants.ANTsImage":
    """Return nilearn's skull-stripped MNI152 template."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=edge_mm)
    return _ants_image(_to_ras(Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)))


def _to_ras(volume: Volume) -> Volume:
    """Return the volume with its axes permuted and flipped to run right, front, up as nearly as they can.

    ANTs is then never given a left-handed set of axes.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(volume.affine)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.data.shape)
    return Volume(apply_orientation(volume.data, orientation), affine)


def _to_axes_of(volume: Volume, affine: np.ndarray) -> np.ndarray:
    """Permute and flip the axes of a volume to run as those of `affine`."""
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

    return apply_orientation(volume.data, ornt_transform(io_orientation(volume.affine), io_orientation(affine)))


def _no_finer_than(volume: Volume, edge_mm: float) -> Volume:
    grid = Grid(volume.data.shape, volume.affine)
    shape = tuple(max(1, round(n * min(1.0, e / edge_mm))) for n, e in zip(grid.shape, grid.voxel_size(), strict=True))
    if shape == grid.shape:
        return volume
    return Volume(resize(volume.data, resize_matrices(grid.shape, shape)), grid.rescaled(shape).affine)


def _ants_image(volume: Volume) -> "ants.ANTsImage":
    """Hand a volume to ANTs, whose world (LPS) has x to the left and y to the back."""
    import ants

    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / spacing
    cosines = direction.T @ direction - np.eye(3)
    if np.abs(cosines).max() > MOST_SHEAR:
        raise InputError("the affine holds shear (axes that are not at right angles), which ANTs cannot take: resample")
    # The nearest rotation: removes what single precision in headers left over.
    left, _, right = np.linalg.svd(direction)
    return ants.from_numpy(
        np.ascontiguousarray(volume.data, dtype=np.float32),
        origin=[float(x) for x in affine[:3, 3]],
        spacing=[float(x) for x in spacing],
        direction=left @ right,
    )
