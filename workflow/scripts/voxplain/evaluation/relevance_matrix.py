"""The maps of people as one matrix, people by voxels of the brain, and its means over regions."""

import errno
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from voxplain.base.errors import InputError, refuse
from voxplain.base.progress import Progress
from voxplain.population.atlas import Atlas
from voxplain.population.summary import BrainSmoother, counted

PEOPLE_AT_ONCE = 64
# A block of columns holds all people; so many, and fewer where it would have more than this many values.
MOST_COLUMNS, MOST_VALUES = 4096, 2**21


class RelevanceMatrix:
    """Float32 numbers of people at voxels, kept in a temporary file, so that memory does not grow with the people.

    Blocks of columns lie one after the other in the file: what is done voxel by voxel reads it from front to back.

    Parameters
    ----------
    people, voxels : int

    Attributes
    ----------
    shape : tuple of int
        (people, voxels).
    has_negative : bool
        Whether any number is below 0.
    """

    def __init__(self, people: int, voxels: int):
        self.shape = (people, voxels)
        self.has_negative = False
        self._width = max(1, min(MOST_COLUMNS, MOST_VALUES // max(people, 1)))
        self._file = tempfile.TemporaryFile(prefix="voxplain-maps-")  # noqa: SIM115 closed and gone with the matrix
        self._order = np.empty(0, dtype=np.int64)

    def add(self, rows: Sequence[int], values: np.ndarray) -> None:
        """Append people.

        Parameters
        ----------
        rows : sequence of int [m]
            Their places, each of which comes once.
        values : float32 ndarray [m, voxels]

        Raises
        ------
        InputError
            When the temporary folder is full.
        """
        people, voxels = self.shape
        self.has_negative = self.has_negative or bool(values.min(initial=0) < 0)
        try:
            for here in self._slices():
                width = here.stop - here.start
                self._file.seek(4 * (people * here.start + len(self._order) * width))
                self._file.write(np.ascontiguousarray(values[:, here], dtype=np.float32))
            self._file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise InputError(
                f"The temporary folder {tempfile.gettempdir()} is full: the maps of {people} people need "
                f"{4 * people * voxels / 1e9:.1f} GB there. Set TMPDIR to a folder with more space."
            ) from error
        self._order = np.append(self._order, np.asarray(rows, dtype=np.int64))

    def columns(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield blocks of columns, from the first to the last.

        Yields
        ------
        tuple of slice and float32 ndarray [people, columns of the slice]
        """
        people = self.shape[0]
        sorted_already = bool((np.diff(self._order) > 0).all())
        for here in self._slices():
            block = np.empty((people, here.stop - here.start), dtype=np.float32)
            self._file.seek(4 * people * here.start)
            self._file.readinto(block)
            yield here, block if sorted_already else block[np.argsort(self._order)]

    def _slices(self) -> Iterator[slice]:
        for start in range(0, self.shape[1], self._width):
            yield slice(start, min(start + self._width, self.shape[1]))


def column_blocks(values: RelevanceMatrix | np.ndarray, most: int = MOST_COLUMNS) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield an array or matrix of people by columns in blocks of columns.

    Parameters
    ----------
    values : RelevanceMatrix or ndarray [n, V]
    most : int
        Columns of a block.

    Yields
    ------
    tuple of slice and ndarray [n, columns of the slice]
    """
    blocks = values.columns() if isinstance(values, RelevanceMatrix) else [(slice(0, values.shape[1]), values)]
    for here, block in blocks:
        for start in range(0, block.shape[1], most):
            part = block[:, start : start + most]
            yield slice(here.start + start, here.start + start + part.shape[1]), part


def stack_maps(
    maps: Iterable[tuple[str, np.ndarray]],
    ids: Sequence[str],
    brain: np.ndarray,
    affine: np.ndarray,
    statistic: str,
    normalise: str = "none",
    fwhm_mm: float = 0.0,
) -> RelevanceMatrix:
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
    RelevanceMatrix [n, V]
        Columns in the order of ``volume[brain]``. The file takes 436 MB for 1,113 people and 98,000 voxels.

    Raises
    ------
    InputError
        When the maps are not those of `ids`, each once, or the temporary folder is full.
    """
    smoother = BrainSmoother(fwhm_mm, affine, brain)
    matrix = RelevanceMatrix(len(ids), int(smoother.brain.sum()))
    rows = {person: row for row, person in enumerate(ids)}
    progress, unknown = Progress("maps read and smoothed:", len(ids)), []
    waiting, values = [], np.empty((PEOPLE_AT_ONCE, matrix.shape[1]), dtype=np.float32)
    for person, volume in maps:
        row = rows.pop(person, None)
        if row is None:
            unknown.append(f"participant {person}: not asked for, or twice")
            continue
        values[len(waiting)] = smoother(counted(volume, statistic, normalise))
        waiting.append(row)
        if len(waiting) == PEOPLE_AT_ONCE:
            matrix.add(waiting, values)
            waiting = []
        progress.step()
    matrix.add(waiting, values[: len(waiting)])
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


def region_means(matrix: RelevanceMatrix | np.ndarray, membership) -> np.ndarray:
    """Return the mean of each person's map over each region.

    Parameters
    ----------
    matrix : RelevanceMatrix or ndarray [n, V]
        From `stack_maps`.
    membership : csr_array [V, R]
        From `region_membership`.

    Returns
    -------
    float64 ndarray [n, R]
    """
    means = np.zeros((membership.shape[1], matrix.shape[0]))
    for here, block in column_blocks(matrix):
        means += membership[here].T @ np.ascontiguousarray(block.T, dtype=np.float64)
    return means.T
