"""Population maps of many people: means of the classes and of both, masks, Dice, tables of an atlas; and tests of them.

    python tests/benchmarks/population_maps.py

writes synthetic maps into a temporary folder (0.25 MB each). Seconds are the processor's, on one thread: the workflow
runs as many of these jobs side by side as there are cores. All files are in the system's cache.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
from measuring import LIMIT, OURS, PEER, Row, per_unit, print_table, take_turns
from population_study import CLASSES, folds_of, maps_of, paths_of, write_people

PEOPLE, FEWER = 1113, (100, 300)
FWHM_MM, PERCENT = 11.0, 5.0
JOINT = "joint"
STATISTIC = "mean_signed"


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    """Measure, on the processor whatever the device; `small` takes six people, for a test."""
    people, fewer = (6, ()) if small else (PEOPLE, FEWER)
    with tempfile.TemporaryDirectory(prefix="voxplain-population-") as folder:
        write_people(Path(folder), people)
        for count in fewer:
            table = pd.read_csv(Path(folder) / "folds.tsv", sep="\t", dtype=str)
            table.head(count).to_csv(folds_of(Path(folder), count), sep="\t", index=False)
        known = {"folder": folder, "people": people}
        seconds = take_turns({OURS: prepare, PEER: prepare_peer, LIMIT: prepare_limit}, 1 if small else 5, **known)
        peaks = {count: take_turns({OURS: prepare_peak}, 1, folder=folder, people=count) for count in (*fewer, people)}
        spelled = ", ".join(f"{peak[OURS][0]:.0f} MB for {count} people" for count, peak in peaks.items())
        main = Row(
            f"means of {' and '.join(CLASSES)} and their difference, masks, Dice, atlas table, {people} people",
            "map",
            per_unit(seconds, people),
            peer="nilearn.image.load_img file by file, numpy, nilearn.image.smooth_img",
            limit="isal decompresses every map once, into memory that is there already",
            wanted_share=0.5,
            note=f"peak memory: {spelled}",
        )
        return [main, *_tests(folder, (*fewer, people), small), _writing(folder, small)]


def _tests(folder: str, counts: tuple[int, ...], small: bool) -> list[Row]:
    """Time and memory of the tests and of the bootstrap, alone and together."""
    found, draws = [], 9 if small else 1000
    for work, tested, drawn in (("tests", draws, 0), ("bootstrap", 0, draws), ("both in one job", draws, draws)):
        for count in counts:
            known = {"folder": folder, "people": count, "permutations": tested, "replicates": drawn}
            (told,) = take_turns({OURS: prepare_tests}, 1, **known)[OURS]
            seconds, peak = told
            work_of = f"{work} of one method, {draws} draws, {count} people"
            found.append(Row(work_of, "method", {OURS: [seconds]}, note=f"peak memory: {peak:.0f} MB"))
    return found


def _writing(folder: str, small: bool) -> Row:
    contenders = {OURS: prepare_writing, PEER: prepare_saving, LIMIT: prepare_compressing}
    seconds = take_turns(contenders, 1 if small else 5, folder=folder, repeats=2 if small else 50)
    paths = [Path(folder) / f"{who}.nii.gz" for who in (OURS, PEER)]
    sizes = " and ".join(f"{path.stat().st_size / 1000:.0f} kB" for path in paths)
    return Row(
        "write a map",
        "map",
        per_unit(seconds, 2 if small else 50),
        peer="nibabel.save",
        limit="isal compresses bytes in memory, at the same level",
        note=f"{sizes} (ours, peer)",
    )


def timed(work: Callable[[], None]) -> Callable[[], float]:
    """Make a contender of some work: the processor's seconds on one thread."""
    from threadpoolctl import threadpool_limits

    def once() -> float:
        with threadpool_limits(1), contextlib.redirect_stderr(io.StringIO()):
            start = time.process_time()
            work()
            return time.process_time() - start

    return once


def population(folder: Path, people: int) -> Callable[[], None]:
    """Return the rules' work, from the maps of people to the tables."""
    import compare_methods
    import summarise_maps
    import tabulate_regions
    import threshold_map

    maps, folds, brain = maps_of(folder), folds_of(folder, people), folder / "brain.nii.gz"
    known = {"statistic": STATISTIC, "people": None, "seed": 1, "task": "classification", "normalise": "none"}
    groups = (*CLASSES, JOINT)
    volumes = {group: folder / "ours" / f"{group}_{STATISTIC}.nii.gz" for group in groups}
    masks = {group: folder / "ours" / f"{group}_mask.nii.gz" for group in groups}

    def work() -> None:
        for group in groups:
            joined = list(CLASSES) if group == JOINT else []
            read = [volumes[one] for one in joined] or maps
            how = "difference" if joined else None
            summarise_maps.run(
                read, folds, brain, volumes[group],
                group=group, how=how, joined=joined, smoothing_fwhm_mm=FWHM_MM, **known,
            )  # fmt: skip
            threshold_map.run(volumes[group], brain, masks[group], "top_percent", PERCENT)
        # The maps of the classes take the places of two methods: there is only one here.
        two = [[found[label] for label in CLASSES] for found in (volumes, masks)]
        compare_methods.run(*two, brain, folder / "ours" / "dice.tsv", list(CLASSES), [JOINT])
        tabulate_regions.run(
            list(volumes.values()), list(masks.values()), folder / "atlas.nii.gz", folder / "atlas.tsv",
            ["lrp"], groups, 10, folder / "ours" / "regions.tsv", folder / "ours" / "top.tsv",
        )  # fmt: skip

    return work


def prepare(folder: str, people: int) -> Callable[[], float]:
    import nibabel  # noqa: F401 as every job does at its start
    import scipy.ndimage
    import scipy.stats  # noqa: F401
    from isal import igzip  # noqa: F401

    return timed(population(Path(folder), people))


def prepare_peak(folder: str, people: int) -> Callable[[], float]:
    """Of the same work the peak of memory in MB, in place of the time."""
    work = population(Path(folder), people)

    def once() -> float:
        work()
        return measuring.peak_mb()

    return once


def prepare_limit(folder: str, people: int) -> Callable[[], float]:
    from isal import igzip

    from voxplain.imaging.grid import COMMON

    paths = [path for own in paths_of(Path(folder), people).values() for path in own]
    memory = np.empty(352 + 4 * int(np.prod(COMMON.shape)), dtype=np.uint8)

    def work() -> None:
        for path in paths:
            with igzip.open(path, "rb") as file:
                assert file.readinto(memory) == memory.size

    return timed(work)


def prepare_peer(folder: str, people: int) -> Callable[[], float]:
    """The same numbers with nilearn and numpy; `mean_img` would resample every map, in 20 times the time."""
    import nibabel as nib
    from nilearn.image import load_img, new_img_like, smooth_img
    from scipy.stats import spearmanr

    here = Path(folder)
    out = here / "peer"
    out.mkdir(exist_ok=True)
    paths = paths_of(here, people)

    def work() -> None:
        brain = load_img(here / "brain.nii.gz")
        inside, atlas = brain.get_fdata() > 0, load_img(here / "atlas.nii.gz").get_fdata().astype(int)
        names = pd.read_csv(here / "atlas.tsv", sep="\t")
        weight = smooth_img(new_img_like(brain, inside.astype(np.float32)), FWHM_MM).get_fdata()
        maps, masks, parts = {}, {}, []
        for label, own in paths.items():
            total = np.zeros(inside.shape)
            for path in own:
                total += load_img(path).get_fdata(dtype=np.float32)
            mean = new_img_like(brain, np.where(inside, total / len(own), 0))
            maps[label] = np.divide(
                smooth_img(mean, FWHM_MM).get_fdata(), weight, out=np.zeros(inside.shape), where=inside
            )
        maps[JOINT] = maps[CLASSES[1]] - maps[CLASSES[0]]
        for group, volume in maps.items():
            strength = np.abs(volume)
            masks[group] = inside & (strength >= np.percentile(strength[inside], 100 - PERCENT))
            nib.save(nib.Nifti1Image(volume.astype(np.float32), brain.affine), out / f"{group}_{STATISTIC}.nii.gz")
            nib.save(nib.Nifti1Image(masks[group].astype(np.uint8), brain.affine), out / f"{group}_mask.nii.gz")
            voxels = np.bincount(atlas.ravel())[names["index"]]
            table = {"group": group, "index": names["index"], "name": names["name"], "voxels": voxels}
            for column, values in (("mean", volume), ("strength", strength), ("inside", masks[group])):
                table[column] = np.bincount(atlas.ravel(), values.ravel())[names["index"]] / voxels
            table["share"] = table["strength"] / table["strength"].sum()
            parts.append(pd.DataFrame(table).assign(rank=lambda own: own["share"].rank(ascending=False)))
        pd.concat(parts).to_csv(out / "regions.tsv", sep="\t", index=False)
        a, b = (masks[label][inside] for label in CLASSES)
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        rho = spearmanr(*(np.abs(maps[label][inside]) for label in CLASSES)).statistic
        pd.DataFrame({"dice": [dice], "spearman": [rho]}).to_csv(out / "dice.tsv", sep="\t", index=False)

    return timed(work)


def prepare_tests(folder: str, people: int, permutations: int, replicates: int) -> Callable[[], tuple[float, float]]:
    """Return a contender that tells the processor's seconds and the peak of memory in MB."""
    import nibabel  # noqa: F401
    import scipy.ndimage
    import scipy.sparse
    import scipy.stats  # noqa: F401

    import infer_population

    here = Path(folder)
    out = here / "tests"
    outputs = [out / name for name in ("voxels.tsv", "regions.tsv", "t.nii.gz", "p.nii.gz")]
    atlases = {"boxes": (here / "atlas.nii.gz", here / "atlas.tsv")}
    known = {
        "method": "lrp", "compared": list(CLASSES), "groups": [*CLASSES, JOINT], "statistic": STATISTIC,
        "normalise": "none", "people": None, "smoothing_fwhm_mm": FWHM_MM, "task": "classification", "alpha": 0.05,
        "how": "difference", "seed": 1, "top": 10,
    }  # fmt: skip

    def work() -> None:
        infer_population.run(
            maps_of(here), folds_of(here, people), here / "participants.tsv", here / "brain.nii.gz", atlases,
            *(outputs if permutations else [None] * len(outputs)), out / "intervals.tsv" if replicates else None,
            permutations=permutations, replicates=replicates, **known,
        )  # fmt: skip

    once = timed(work)
    return lambda: (once(), measuring.peak_mb())


def _a_map(folder: str) -> tuple[np.ndarray, np.ndarray]:
    import nibabel as nib

    image = nib.load(next((Path(folder) / "maps").glob("*/*.nii.gz")))
    return np.asarray(image.dataobj), image.affine


def prepare_writing(folder: str, repeats: int) -> Callable[[], float]:
    from voxplain.base.files import write_image

    volume, affine = _a_map(folder)
    return timed(lambda: [write_image(volume, affine, Path(folder) / f"{OURS}.nii.gz") for _ in range(repeats)])


def prepare_saving(folder: str, repeats: int) -> Callable[[], float]:
    import nibabel as nib

    volume, affine = _a_map(folder)
    path = Path(folder) / f"{PEER}.nii.gz"
    return timed(lambda: [nib.save(nib.Nifti1Image(volume, affine), path) for _ in range(repeats)])


def prepare_compressing(folder: str, repeats: int) -> Callable[[], float]:
    from isal import igzip_lib

    payload = _a_map(folder)[0].tobytes(order="F")
    return timed(lambda: [igzip_lib.compress(payload, 2, flag=igzip_lib.COMP_GZIP) for _ in range(repeats)])


if __name__ == "__main__":
    print_table(rows())
