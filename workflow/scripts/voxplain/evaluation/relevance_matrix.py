"""The maps of people as one matrix, people by voxels of the brain, and its means over regions."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.population.atlas import Atlas
from voxplain.population.summary import prepared, smooth

PEOPLE_AT_ONCE = 64


def stack_maps(
    maps: Iterable[tuple[str, np.ndarray]],
    ids: Sequence[str],
    brain: np.ndarray,
    affine: np.ndarray,
    statistic: str,
    normalise: str = "none",
    fwhm_mm: float = 0.0,
) -> np.ndarray:
    """Return the maps of people, each as the population map counts it, at the voxels of the brain.

    Weighted sums of the rows are population maps: smoothing is linear, so that the mean of smoothed maps is the
    smoothed mean. With the statistic ``t`` rows hold the signed maps, whose mean that statistic tests.

    Parameters
    ----------
    maps : iterable of (str, ndarray [D, H, W])
        As `voxplain.population.maps.walk_maps` gives them, in any order.
    ids : sequence of str [n]
        Whose maps; the order of the rows.
    brain : ndarray of bool [D, H, W]
    affine : ndarray [4, 4]
    statistic, normalise : str
        See `voxplain.population.summary.summarise`.
    fwhm_mm : float
        See `voxplain.population.summary.smooth`.

    Returns
    -------
    float32 ndarray [n, V]
        Columns in the order of ``volume[brain]``. 436 MB for 1,113 people and 98,000 voxels.

    Raises
    ------
    InputError
        When the maps are not those of `ids`, each once.
    """
    brain = np.asarray(brain, dtype=bool)
    matrix = np.empty((len(ids), int(brain.sum())), dtype=np.float32)
    rows = {person: row for row, person in enumerate(ids)}
    progress, unknown = Progress("maps read and smoothed:", len(ids)), []
    for person, volume in maps:
        row = rows.pop(person, None)
        if row is None:
            unknown.append(f"participant {person}: not asked for, or twice")
            continue
        matrix[row] = smooth(prepared(volume, statistic, normalise), fwhm_mm, affine, brain)[brain]
        progress.step()
    if rows or unknown:
        refuse(
            f"One map of each of {len(ids)} people is needed.",
            [*unknown, *(f"participant {person}: no map" for person in sorted(rows))],
            "Delete the method's folders of maps and run the workflow again.",
        )
    return matrix


def region_membership(atlases: Mapping[str, Atlas], brain: np.ndarray):
    """Return the matrix that takes the mean over every region of every atlas.

    Parameters
    ----------
    atlases : mapping of str to Atlas
    brain : ndarray of bool [D, H, W]

    Returns
    -------
    scipy.sparse.csr_array [V, R], float32
        1 / (voxels of the region) at the region's voxels, its voxels outside the brain counting as 0, as they do in
        `voxplain.population.regions.region_scores`. Columns: the regions of the first atlas by index, then those of
        the next.

    Raises
    ------
    InputError
        When an atlas has another shape than the brain.
    """
    from scipy.sparse import csr_array, hstack

    brain = np.asarray(brain, dtype=bool)
    wrong = [f"{name}: {atlas.data.shape}" for name, atlas in atlases.items() if atlas.data.shape != brain.shape]
    if wrong:
        refuse(f"Atlases must have the shape {brain.shape} of the brain mask.", wrong)
    parts = [csr_array((int(brain.sum()), 0), dtype=np.float32)]
    for atlas in atlases.values():
        regions = atlas.regions["index"].to_numpy()
        sizes = np.bincount(np.searchsorted(regions, atlas.data[atlas.data > 0]), minlength=len(regions))
        labels = atlas.data[brain]
        voxels = np.flatnonzero(labels)
        columns = np.searchsorted(regions, labels[voxels])
        entries = (1 / sizes[columns]).astype(np.float32)
        parts.append(csr_array((entries, (voxels, columns)), shape=(labels.size, len(regions))))
    return hstack(parts, format="csr")


def region_means(matrix: np.ndarray, membership) -> np.ndarray:
    """Return the mean of each person's map over each region.

    Parameters
    ----------
    matrix : float32 ndarray [n, V]
        From `stack_maps`.
    membership : csr_array [V, R]
        From `region_membership`.

    Returns
    -------
    float64 ndarray [n, R]
    """
    means = np.empty((len(matrix), membership.shape[1]))
    for start in range(0, len(matrix), PEOPLE_AT_ONCE):  # the product copies what it is given
        here = slice(start, start + PEOPLE_AT_ONCE)
        means[here] = (membership.T @ matrix[here].T.astype(np.float64)).T
    return means
