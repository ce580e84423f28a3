"""Time and peak memory of the SVM on voxels beside scikit-learn's on the flattened array.

    python tests/benchmarks/voxel_svm.py --people 1113

Synthetic people on the common grid are written to a temporary folder (1 MB each). Every step runs in a process of its
own, so that their peaks are their own; plain SVC() needs about 2 MB a person for its copy in double precision.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

LIBRARY = Path(__file__).parents[2] / "workflow" / "scripts"
sys.path.insert(0, str(LIBRARY))

from voxplain.base.threads import numeric_threads  # noqa: E402
from voxplain.baselines.kernel import dot_products  # noqa: E402
from voxplain.baselines.voxel_svm import fit_voxel_svm  # noqa: E402
from voxplain.imaging.grid import COMMON  # noqa: E402

FOLDS = 10


def people_of(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes in the HCP's proportions (507 of 1113 in the second), training rows and test rows."""
    classes = np.diff(np.arange(count + 1) * 507 // 1113)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=42)
    return classes, *next(splitter.split(classes, classes))


def write(folder: Path, count: int) -> None:
    """Smooth differences between people, noise, and a weak effect of the class, inside an ellipsoid."""
    generator = np.random.default_rng(0)
    classes, *_ = people_of(count)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in COMMON.shape), indexing="ij")
    brain = sum(axis**2 for axis in grid) < 0.8
    coarse = generator.normal(size=(30, 8, 9, 8)).repeat(8, 1).repeat(8, 2).repeat(8, 3)
    patterns = coarse[:, : COMMON.shape[0], : COMMON.shape[1], : COMMON.shape[2]].astype(np.float32) * brain
    description = {"descr": "<f4", "fortran_order": False, "shape": (count, *COMMON.shape)}
    with open(folder / "stack.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        for label in classes:
            weights = generator.normal(size=30).astype(np.float32)
            weights[0] += 1.5 * label
            image = np.tensordot(weights, patterns, 1) * 0.3
            image += generator.standard_normal(COMMON.shape, dtype=np.float32) * brain
            file.write(image.astype("<f4"))


def products(folder: Path, count: int) -> None:
    np.savez(folder / "products.npz", *dot_products(np.load(folder / "stack.npy", mmap_mode="r")))


def fold(folder: Path, count: int, confounder: np.ndarray | None = None) -> None:
    classes, train, test = people_of(count)
    pairs, sums = np.load(folder / "products.npz").values()
    voxels = int(np.prod(COMMON.shape))
    task = (classes.astype(str), "classification", ["0", "1"])
    frame, _ = fit_voxel_svm(pairs, sums, voxels, train, test, *task, {}, seed=1, confounder=confounder)
    if confounder is None:
        np.save(folder / "ours.npy", frame["score"])


def residualised(folder: Path, count: int) -> None:
    fold(folder, count, np.random.default_rng(1).normal(1.5e6, 1.5e5, count))


def plain(folder: Path, count: int) -> None:
    classes, train, test = people_of(count)
    images = np.load(folder / "stack.npy").reshape(count, -1)
    machine = SVC().fit(images[train], classes[train])
    scores = machine.decision_function(images[test])
    print(
        f"    plain SVC(): {len(machine.support_)} support vectors of {len(train)}, accuracy "
        f"{np.mean((scores > 0) == classes[test]):.3f}; largest difference of decision values to ours: "
        f"{np.abs(scores - np.load(folder / 'ours.npy')).max():.1e}"
    )


STEPS = {
    "write": (write, "writing the images"),
    "products": (products, "dot_products, once for all folds"),
    "fold": (fold, "fit_voxel_svm, one fold, with probabilities"),
    "residualised": (residualised, "fit_voxel_svm, one fold, residualised"),
    "plain": (plain, "SVC() on the flattened array, one fold, without probabilities"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is None:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                command = [sys.executable, __file__, "--step", step, "--folder", folder]
                subprocess.run([*command, f"--people={given.people}", f"--threads={given.threads}"], check=True)
        return
    function, title = STEPS[given.step]
    start = time.perf_counter()
    with numeric_threads(given.threads):
        function(given.folder, given.people)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(f"{title}: {seconds:.1f} s, peak {peak:.0f} MB ({given.people} people)", flush=True)


if __name__ == "__main__":
    main()
