"""The reference brain: the MNI152 templates cut into demo parcels, and the asymmetry that every person shares."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from voxplain.cohort.phantom.fields import FINE, positions, sample
from voxplain.imaging.grid import Grid

GREY_PAIRS, WHITE_PAIRS = 50, 25
# Below this sum of the grey and white probabilities a voxel is fluid and belongs to no parcel.
_TISSUE = 0.4
_ROUNDS = 12  # of k-means
TORQUE_MM, BEND_MM = 4.0, 2.5


@dataclass(frozen=True)
class Anatomy:
    """The templates' brain, symmetric, at 1 mm.

    Attributes
    ----------
    grid : Grid
        Of the template.
    t1 : Tensor [1, z, y, x]
        Intensity in 0..1, at least 0.2 inside the brain and 0 outside.
    labels : Tensor [1, z, y, x]
        0 outside the brain, 1..n in the parcels, n + 1 in the rest of the brain; float32, for ``grid_sample``.
    regions : DataFrame
        ``index``, ``name``, ``hemisphere`` (left, right), ``tissue`` (grey, white), ``x``, ``y``, ``z`` (centre in mm).
    """

    grid: Grid
    t1: torch.Tensor
    labels: torch.Tensor
    regions: pd.DataFrame


def asymmetric(points: torch.Tensor) -> torch.Tensor:
    """Tell where in the symmetric template each position of the reference brain comes from.

    The template equals its mirror image, so that a flip anywhere would go unseen. The reference brain therefore has
    the human brain's torque: the right hemisphere lies further forward than the left, and the midline bends.

    Parameters
    ----------
    points : Tensor [3, ...]
        Positions in the reference brain, in mm.

    Returns
    -------
    Tensor [3, ...]
        Positions in the template, in mm.
    """
    x, y, z = points
    return torch.stack([x + BEND_MM * torch.tanh((y + 20) / 40), y - TORQUE_MM * torch.tanh(x / 20), z])


@lru_cache(maxsize=1)
def anatomy() -> Anatomy:
    """Load the templates and cut them into parcels; the same in every process."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template

    image = load_mni152_template(resolution=1)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    grey, white = (
        np.asarray(load(resolution=1).dataobj, dtype=np.float32)
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    labels, regions = _cut(t1, grey, white, image.affine)
    grid = Grid(t1.shape, np.asarray(image.affine, dtype=float))
    return Anatomy(grid, _tensor(t1), _tensor(labels), regions)


def _tensor(data: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(data.T, dtype=np.float32))[None]


def reference_labels(grid: Grid = FINE) -> torch.Tensor:
    """Return the labels of the reference brain (see `Anatomy.labels`) on a grid [z, y, x], uint8."""
    brain = anatomy()
    labels = sample(brain.labels, brain.grid, asymmetric(positions(grid)), nearest=True, outside="zeros")
    return labels[0].to(torch.uint8)


def _cut(t1: np.ndarray, grey: np.ndarray, white: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    """Cut the right half into compact clusters of grey and of white voxels and mirror them."""
    brain = t1 > 0
    tissue = brain & (grey + white >= _TISSUE)
    labels = np.zeros(t1.shape, dtype=np.uint8)
    middle = round(-affine[0, 3] / affine[0, 0])
    rows, first = [], 1
    for kind, mask, pairs in (
        ("grey", tissue & (grey >= white), GREY_PAIRS),
        ("white", tissue & (grey < white), WHITE_PAIRS),
    ):
        voxels = np.argwhere(mask[middle:])
        places = (voxels + [middle, 0, 0]) @ affine[:3, :3].T + affine[:3, 3]
        centres, cluster = _clusters(places, pairs)
        index = first + 2 * cluster
        right = tuple((voxels + [middle, 0, 0]).T)
        left = (2 * middle - right[0], right[1], right[2])
        # The midline itself goes to the right: the left is written first.
        labels[left] = index
        labels[right] = index + 1
        for number, (x, y, z) in enumerate(centres, start=1):
            short = {"grey": "GM", "white": "WM"}[kind]
            for offset, side, mirror in ((0, "left", -1), (1, "right", 1)):
                name = f"Demo {short} {number:02d} {side[0].upper()}"
                rows.append((first + 2 * (number - 1) + offset, name, side, kind, mirror * x, y, z))
        first += 2 * pairs
    labels[brain & (labels == 0)] = first
    return labels, pd.DataFrame(rows, columns=["index", "name", "hemisphere", "tissue", "x", "y", "z"])


def _clusters(places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's k-means from farthest-point seeds, without chance.

    Parameters
    ----------
    places : ndarray [n, 3]
        In mm.
    count : int

    Returns
    -------
    centres : ndarray [count, 3]
        Sorted from back to front.
    cluster : ndarray [n]
        Of each place, from 0.
    """
    from scipy.spatial import cKDTree

    sparse = places[(np.round(places).astype(int) % 2 == 0).all(axis=1)]
    chosen = [int(np.lexsort(sparse.T)[0])]
    distance = np.full(len(sparse), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((sparse - sparse[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(distance.argmax()))
    centres = sparse[chosen]
    for _ in range(_ROUNDS):
        nearest = cKDTree(centres).query(sparse)[1]
        sizes = np.bincount(nearest, minlength=count)[:, None]
        centres = np.stack([np.bincount(nearest, sparse[:, i], count) for i in range(3)], axis=1) / sizes
    centres = centres[np.lexsort((centres[:, 0], centres[:, 2], centres[:, 1]))]
    return centres, cKDTree(centres).query(places)[1]
