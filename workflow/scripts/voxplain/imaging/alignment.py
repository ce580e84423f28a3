"""Registration to the MNI152 template with ANTs, applied in one interpolation straight to the common grid."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON, Grid
from voxplain.imaging.reading import Volume
from voxplain.imaging.resizing import antialias, inside_brain, resize, resize_matrices

if TYPE_CHECKING:
    import ants

KINDS = {"rigid": "Rigid", "affine": "Affine", "syn": "SyN"}
# Registration compares the brains at 2 mm; finer volumes are brought down first, and sampled in full afterwards.
REGISTRATION_MM = 2
# Of the linear stages, from coarse to fine. ANTs does 10 at the finest; 4 took 40 % less time and moved the Dice with
# the MNI brain by less than 0.002 (4 people); without that level, or with fewer samples, up to 0.01 and 0.05 were lost.
LINEAR_ITERATIONS = (2100, 1200, 1200, 4)
# Axes that are not at right angles cannot be told to ANTs; this is the largest cosine between two of them.
MOST_SHEAR = 0.01
# NIfTI's world grows to the right and to the front (RAS), ANTs' to the left and to the back (LPS).
TO_LPS = np.array([-1.0, -1.0, 1.0])


def check_kind(kind: str) -> None:
    """Refuse what is neither ``none`` nor a kind of registration.

    Raises
    ------
    InputError
    """
    if kind != "none" and kind not in KINDS:
        raise InputError(f"images.align: {kind!r} is not one of none, {', '.join(KINDS)}")


def space_after(align: str, space: str) -> str:
    """Return where images lie after their alignment: ``mni``, or ``acpc`` where brains keep their size.

    Parameters
    ----------
    align : {'none', 'rigid', 'affine', 'syn'}
    space : {'mni', 'acpc'}
        Where unaligned images lie.
    """
    return {"none": space, "rigid": "acpc"}.get(align, "mni")


def align_to_mni(
    volume: Volume, mask: Volume | None, kind: str, seed: int = 0, grid: Grid = COMMON
) -> tuple[np.ndarray, np.ndarray, float]:
    """Register a brain to the MNI152 template and sample it on the common grid.

    Parameters
    ----------
    volume, mask, kind, seed, grid
        See `register`.

    Returns
    -------
    data : ndarray of the grid's shape, float32
    brain : ndarray of the grid's shape, bool
    scale : float
        See `Registration`.

    Raises
    ------
    InputError
        For an affine with shear, or when ANTs gives up.
    """
    with tempfile.TemporaryDirectory(prefix="voxplain-align-") as folder:
        found = register(volume, mask, kind, seed, Path(folder), grid)
        return *found.sample(), found.scale


@dataclass(frozen=True)
class Registration:
    """A brain and the way from the MNI152 template to it, to be sampled on a grid any number of times.

    Attributes
    ----------
    kind : {'rigid', 'affine', 'syn'}
    grid : Grid
        On which it is sampled.
    smooth : list of two ants.ANTsImage
        The brain and where it is, anti-aliased for `grid`.
    transforms : list of str
        ANTs' files; they lead a place of the template to the same place in the brain.
    scale : float
        How many times larger the brain is than the template, by the linear part of the registration; NaN for
        ``rigid``, which has no size.
    folder : Path
        With these files; nothing can be sampled after it is gone.
    """

    kind: str
    grid: Grid
    smooth: list["ants.ANTsImage"]
    transforms: list[str]
    scale: float
    folder: Path

    def sample(self, displacement: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sample the brain in one interpolation.

        Parameters
        ----------
        displacement : ndarray [3, D, H, W], optional
            x, y, z in mm in the template's space: where, relative to the centre of each voxel, its value is taken
            from. It is known at the places asked for: nothing is interpolated between them.

        Returns
        -------
        data : ndarray of the grid's shape, float32
        brain : ndarray of the grid's shape, bool

        Raises
        ------
        InputError
            When ANTs gives up.
        """
        import ants

        # ANTs gets a right-handed copy of the grid; its list of transforms begins at the template.
        target = _to_ras(Volume(np.zeros(self.grid.shape, dtype=np.float32), self.grid.affine))
        fixed = _ants_image(target)
        first = [] if displacement is None else [self._write_displacement(displacement, fixed)]
        with _refusing_for_ants(self.kind):
            moved = [ants.apply_transforms(fixed, image, [*first, *self.transforms]) for image in self.smooth]
        data, share = (_to_axes_of(Volume(image.numpy(), target.affine), self.grid.affine) for image in moved)
        return np.ascontiguousarray(data, dtype=np.float32), np.ascontiguousarray(share > 0.5)

    def _write_displacement(self, displacement: np.ndarray, fixed: "ants.ANTsImage") -> str:
        import ants

        # The axes of the grid are turned; the vectors at its voxels stay vectors in the same space.
        turned = [_to_ras(Volume(part, self.grid.affine)).data for part in displacement]
        field = ants.from_numpy(
            np.ascontiguousarray(np.stack(turned, axis=-1) * TO_LPS, dtype=np.float32),
            origin=fixed.origin,
            spacing=fixed.spacing,
            direction=fixed.direction,
            has_components=True,
        )
        path = str(self.folder / "displacement.nii.gz")
        ants.image_write(field, path)
        return path


def register(
    volume: Volume, mask: Volume | None, kind: str, seed: int, folder: Path, grid: Grid = COMMON
) -> Registration:
    """Register a brain to the MNI152 template.

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
    folder : Path
        An empty one, for the files of ANTs.
    grid : Grid
        On which the brain will be sampled.

    Returns
    -------
    Registration

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
    coarse = _ants_image(_no_finer_than(whole, REGISTRATION_MM))
    smooth = [_ants_image(antialias(moving, grid)) for moving in (whole, inside)]
    with _refusing_for_ants(kind):
        transforms = ants.registration(
            _mni_template(REGISTRATION_MM),
            coarse,
            type_of_transform=KINDS[kind],
            outprefix=str(folder / "to_mni_"),
            aff_iterations=LINEAR_ITERATIONS,
        )["fwdtransforms"]
        scale = math.nan if kind == "rigid" else _volume_ratio(transforms)
    return Registration(kind, grid, smooth, transforms, scale, folder)


@contextmanager
def _refusing_for_ants(kind: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise InputError(f"ANTs could not align the volume ({kind}): {error}") from error


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
    """Hand a volume to ANTs."""
    import ants

    affine = np.diag([*TO_LPS, 1.0]) @ volume.affine
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
