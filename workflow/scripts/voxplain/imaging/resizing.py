"""From a scanner's grid to the common grid: Gaussian anti-aliasing and linear interpolation as matrix products.

Along one axis, smoothing and interpolating is a matrix. On a grid whose axes run along those of the target, in any
order and direction, a whole volume is therefore resampled by three small matrices; other grids are smoothed and then
interpolated through their affine.
"""

import numpy as np

from voxplain.imaging.axis_products import one_blas_thread, resize, slowest_first
from voxplain.imaging.grid import COMMON, Grid, resample_to
from voxplain.imaging.reading import Volume

# Source voxels by which a grid may bend away from the target's axes and still be taken as parallel to them.
PARALLEL_WITHIN = 0.01
# Resampling leaves numbers such as 1e-40 where there was 0: what is smaller than this share of the maximum is 0.
ZERO_WITHIN = 1e-6
# scipy's and scikit-image's default: a Gaussian ends at four standard deviations.
TRUNCATE = 4.0
# Rounding of affines must not push the outermost centres over the edge of the samples: so many voxels are tolerated.
EDGE_WITHIN = 1e-4


def antialiasing_sigma(factor: float | np.ndarray) -> np.ndarray:
    """Return σ = (s − 1) / 2 source voxels for target voxels `factor` = s times as large; 0 when not larger.

    Source: scikit-image's ``resize(anti_aliasing=True)``, which Kan et al. 2020 used.
    """
    return np.maximum(0.0, (np.asarray(factor, dtype=float) - 1) / 2)


def resize_matrices(shape_in: tuple[int, int, int], shape_out: tuple[int, int, int]) -> list[np.ndarray]:
    """Return the matrices of ``skimage.transform.resize(order=1, mode='reflect', anti_aliasing=True)``.

    Both grids share their outer edges: output voxel i has its centre at (i + 1/2) s − 1/2, s = n_in / n_out.

    Parameters
    ----------
    shape_in, shape_out : tuple of int
        Voxels along the three axes.

    Returns
    -------
    list of three ndarray [n_out, n_in], float32
        For `resize`.
    """
    matrices = []
    for n_in, n_out in zip(shape_in, shape_out, strict=True):
        factor = n_in / n_out
        centres = (np.arange(n_out) + 0.5) * factor - 0.5
        matrices.append(_axis_matrix(n_in, centres, float(antialiasing_sigma(factor)), zero_outside=False))
    return matrices


def resample_smoothly(volume: Volume, grid: Grid) -> np.ndarray:
    """Bring a volume onto a grid through both affines: anti-aliasing, then linear interpolation; 0 outside.

    A volume with the same outer edges as `grid` (as HCP's and `COMMON`) gives what `resize` gives.

    Parameters
    ----------
    volume : Volume
    grid : Grid

    Returns
    -------
    ndarray of the grid's shape, float32
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    axes = parallel_axes(to_source, grid.shape)
    if axes is None:
        return resample_to(antialias(volume, grid).data, volume.affine, grid)
    matrices: list[np.ndarray] = [np.empty(0)] * 3
    for source_axis, target_axis in enumerate(axes):
        step = to_source[source_axis, target_axis]
        centres = to_source[source_axis, 3] + step * np.arange(grid.shape[target_axis])
        sigma = float(antialiasing_sigma(abs(step)))
        matrices[target_axis] = _axis_matrix(volume.data.shape[source_axis], centres, sigma, zero_outside=True)
    return resize(volume.data.transpose(np.argsort(axes)), matrices)


def parallel_axes(to_source: np.ndarray, shape: tuple[int, int, int]) -> list[int] | None:
    """Return for each source axis the target axis that runs along it; None when the grids are oblique.

    Parameters
    ----------
    to_source : ndarray [4, 4]
        From voxels of the target grid, which has this `shape`, to those of the source.
    """
    linear = np.abs(to_source[:3, :3])
    axes = [int(axis) for axis in linear.argmax(axis=1)]
    bend = linear * (np.array(shape) - 1)
    bend[range(3), axes] = 0
    if sorted(axes) != [0, 1, 2] or bend.sum(axis=1).max() > PARALLEL_WITHIN:
        return None
    return axes


def antialias(volume: Volume, grid: Grid) -> Volume:
    """Smooth a volume as much as the voxels of `grid` are larger than its own, along its own axes.

    Returns
    -------
    Volume
        New float32 data on the old grid.
    """
    from scipy.ndimage import gaussian_filter

    sigma = _antialiasing_sigmas(volume.affine, grid)
    smooth = volume.data.astype(np.float32)
    gaussian_filter(smooth, sigma, output=smooth, mode="mirror", truncate=TRUNCATE)
    return Volume(smooth, volume.affine)


def inside_brain(volume: Volume, mask: Volume | None) -> np.ndarray:
    """Return where the brain is on the volume's own grid: the mask, or the non-zero voxels; bool [D, H, W]."""
    if mask is not None:
        return mask.data > 0.5
    lowest, highest = volume.value_range()
    least = ZERO_WITHIN * max(highest, -lowest)
    inside = volume.data > least
    if lowest < -least:
        inside |= volume.data < -least
    return inside


def to_common_grid(
    volume: Volume, mask: Volume | None = None, grid: Grid = COMMON, inside: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a volume and its brain onto the common grid, through the affine; nothing is registered.

    Parameters
    ----------
    volume : Volume
        Skull-stripped, unless there is a mask.
    mask : Volume, optional
        Brain on the grid of `volume`; what lies outside is set to 0 first. Without it the brain is where the volume
        is not 0.
    grid : Grid
    inside : ndarray of bool [D, H, W], optional
        What `inside_brain` gives, where it is known already.

    Returns
    -------
    data : ndarray of the grid's shape, float32
    brain : ndarray of the grid's shape, bool
        At least half of the (smoothed) voxel is brain.
    """
    data, brain = crop_to_brain(volume, mask, grid, inside)
    with one_blas_thread():
        return resample_smoothly(data, grid), resample_smoothly(brain, grid) > 0.5


def crop_to_brain(
    volume: Volume, mask: Volume | None, grid: Grid, inside: np.ndarray | None = None
) -> tuple[Volume, Volume]:
    """Return the part of a volume that counts on a grid, and where in it the brain is.

    Half of a usual field of view is empty: what is known to be 0 need not be smoothed and sampled.

    Parameters
    ----------
    volume, mask, grid, inside
        As in `to_common_grid`.

    Returns
    -------
    data, inside : Volume
        On the old voxels; `inside` is bool.
    """
    inside = inside_brain(volume, mask) if inside is None else inside
    box = _box_around(inside, _reach(volume, grid))
    corner = np.eye(4)
    corner[:3, 3] = [extent.start for extent in box]
    affine = volume.affine @ corner
    inside, data = inside[box], volume.data[box]
    if mask is not None:
        data = np.where(inside, data, np.float32(0))
    return Volume(data, affine), Volume(inside, affine)


def _reach(volume: Volume, grid: Grid) -> np.ndarray:
    """Return how many voxels away along each axis a value still changes the result, generously; int [3]."""
    return np.ceil(TRUNCATE * _antialiasing_sigmas(volume.affine, grid)).astype(int) + 2


def _box_around(inside: np.ndarray, margin: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the smallest box around the true voxels, widened by a margin; the whole array when there are none."""
    order = slowest_first(inside)
    stored = inside.transpose(order)
    plane = stored.any(axis=0)
    box = [slice(0, n) for n in inside.shape]
    for axis, along in zip(order, (stored.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)), strict=True):
        used = np.flatnonzero(along)
        if used.size:
            box[axis] = slice(max(0, int(used[0] - margin[axis])), int(used[-1] + margin[axis] + 1))
    return tuple(box)


def _antialiasing_sigmas(affine: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the smoothing in voxels along each axis of a volume that is to be sampled on `grid`; float [3]."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / edges
    # The target voxel's extent along each source axis: its own edge when they are parallel, in between otherwise.
    extent = np.linalg.norm(grid.affine[:3, :3].T @ directions, axis=0)
    return antialiasing_sigma(extent / edges)


def _axis_matrix(n: int, centres: np.ndarray, sigma: float, zero_outside: bool) -> np.ndarray:
    """Return the matrix that smooths `n` samples with σ = `sigma` and interpolates them linearly at `centres`.

    Borders are scipy's ``mirror`` (the edge sample is not repeated). Centres outside of the samples are mirrored
    too, or give 0 with `zero_outside`.
    """
    inside = (centres >= -EDGE_WITHIN) & (centres <= n - 1 + EDGE_WITHIN)
    if zero_outside:
        centres = np.clip(centres, 0, n - 1)
    below = np.floor(centres).astype(int)
    share = centres - below
    rows = np.arange(len(centres))
    interpolation = np.zeros((len(centres), n))
    np.add.at(interpolation, (rows, _mirrored(below, n)), 1 - share)
    np.add.at(interpolation, (rows, _mirrored(below + 1, n)), share)
    if zero_outside:
        interpolation[~inside] = 0
    radius = int(TRUNCATE * sigma + 0.5)
    if radius == 0:
        return interpolation.astype(np.float32)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    smoothing = np.zeros((n, n))
    for offset, weight in zip(offsets, kernel, strict=True):
        np.add.at(smoothing, (np.arange(n), _mirrored(np.arange(n) + offset, n)), weight)
    return (interpolation @ smoothing).astype(np.float32)


def _mirrored(index: np.ndarray, n: int) -> np.ndarray:
    """Reflect indices about the centres of the edge samples: −1 → 1, n → n − 2."""
    if n == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * (n - 1))
    return np.minimum(index, 2 * (n - 1) - index)
