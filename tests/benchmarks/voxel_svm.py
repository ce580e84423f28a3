"""Time and peak memory of the SVM on voxels beside scikit-learn's on the flattened array.

    python tests/benchmarks/voxel_svm.py --people 1113
    python tests/benchmarks/voxel_svm.py --people 10000 --most 5000 --coarser 4 --without-peer

Synthetic people on the common grid are written to a temporary folder (1 MB each). Every step runs in a process of its
own, so that their peaks are their own; plain SVC() needs about 2 MB a person for its copy in double precision. A grid
that is so many times coarser along each axis shows how the costs follow the number of people: the products' time is
that of the grid, a fold's is not.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import peak_mb
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from voxplain.base.files import read_array, write_array
from voxplain.base.threads import numeric_threads
from voxplain.baselines.kernel import dot_products, dot_products_with
from voxplain.baselines.sampling import sampled
from voxplain.baselines.voxel_svm import fit_voxel_svm
from voxplain.imaging.grid import COMMON

FOLDS = 10


@dataclass(frozen=True)
class Case:
    """How many people there are and the SVM learns from, on which grid, and where their files lie."""

    folder: Path
    people: int
    most: int
    coarser: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(-(-size // self.coarser) for size in COMMON.shape)

    @property
    def classes(self) -> np.ndarray:
        """In the HCP's proportions: 507 of 1113 in the second."""
        return np.diff(np.arange(self.people + 1) * 507 // 1113)

    @property
    def learners(self) -> np.ndarray:
        ids = [f"{number:06d}" for number in range(self.people)]
        return np.flatnonzero(sampled(pd.Series(self.classes.astype(str), ids), self.most, "classification", 42))

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that the first fold's machine learns from, and those that it is tested on."""
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=42)
        train, test = next(splitter.split(self.classes, self.classes))
        return np.intersect1d(train, self.learners), test


def write(case: Case) -> None:
    """Smooth differences between people, noise, and a weak effect of the class, inside an ellipsoid."""
    generator = np.random.default_rng(0)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in case.shape), indexing="ij")
    brain = sum(axis**2 for axis in grid) < 0.8
    coarse = generator.normal(size=(30, 8, 9, 8)).repeat(8, 1).repeat(8, 2).repeat(8, 3)
    patterns = coarse[:, : case.shape[0], : case.shape[1], : case.shape[2]].astype(np.float32) * brain
    description = {"descr": "<f4", "fortran_order": False, "shape": (case.people, *case.shape)}
    with open(case.folder / "stack.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        for label in case.classes:
            weights = generator.normal(size=30).astype(np.float32)
            weights[0] += 1.5 * label
            image = np.tensordot(weights, patterns, 1) * 0.3
            image += generator.standard_normal(case.shape, dtype=np.float32) * brain
            file.write(image.astype("<f4"))


def products(case: Case) -> None:
    stack = read_array(case.folder / "stack.npy")
    if case.most < case.people:
        pairs, squares, sums = dot_products_with(stack, case.learners)
    else:
        pairs, sums = dot_products(stack)
        squares = np.diag(pairs)
    write_array(pairs, case.folder / "products.npy")
    write_array(np.stack([squares, sums]), case.folder / "sums.npy")


def fold(case: Case, confounder: np.ndarray | None = None) -> None:
    train, test = case.split()
    squares, sums = read_array(case.folder / "sums.npy", memory_map=False)
    of_a_sample = {"squares": squares, "sample": case.learners} if case.most < case.people else {}
    frame, _ = fit_voxel_svm(
        read_array(case.folder / "products.npy"), sums, int(np.prod(case.shape)), train, test,
        case.classes.astype(str), "classification", ["0", "1"], {}, seed=1, confounder=confounder, **of_a_sample,
    )  # fmt: skip
    if confounder is None:
        np.save(case.folder / "ours.npy", frame["score"])


def residualised(case: Case) -> None:
    fold(case, np.random.default_rng(1).normal(1.5e6, 1.5e5, case.people))


def plain(case: Case) -> None:
    train, test = case.split()
    images = np.load(case.folder / "stack.npy").reshape(case.people, -1)
    machine = SVC().fit(images[train], case.classes[train])
    scores = machine.decision_function(images[test])
    print(
        f"    plain SVC(): {len(machine.support_)} support vectors of {len(train)}, accuracy "
        f"{np.mean((scores > 0) == case.classes[test]):.3f}; largest difference of decision values to ours: "
        f"{np.abs(scores - np.load(case.folder / 'ours.npy')).max():.1e}"
    )


STEPS = {
    "write": (write, "writing the images"),
    "products": (products, "dot products, once for all folds"),
    "fold": (fold, "fit_voxel_svm, one fold, with probabilities"),
    "residualised": (residualised, "fit_voxel_svm, one fold, residualised"),
    "plain": (plain, "SVC() on the flattened array, one fold, without probabilities"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--most", type=int, default=5000, help="people to learn from, over all folds")
    parser.add_argument("--coarser", type=int, default=1, help="times than the common grid, along each axis")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is None:
        with tempfile.TemporaryDirectory() as folder:
            for step in list(STEPS)[: -1 if given.without_peer else None]:
                command = [sys.executable, __file__, *sys.argv[1:], "--step", step, "--folder", folder]
                subprocess.run(command, check=True)
        return
    function, title = STEPS[given.step]
    case = Case(given.folder, given.people, given.most, given.coarser)
    before, start, worked = peak_mb(), time.perf_counter(), time.process_time()
    with numeric_threads(given.threads):
        function(case)
    print(
        f"{title}: {time.perf_counter() - start:.1f} s, {time.process_time() - worked:.1f} s of CPU time, "
        f"peak {peak_mb():.0f} MB, {before:.0f} MB of it before ({given.people} people)",
        flush=True,
    )


if __name__ == "__main__":
    main()
