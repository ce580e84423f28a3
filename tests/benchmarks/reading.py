"""Reading and downsampling of volumes, and joining them to the cohort's array.

    python tests/benchmarks/reading.py

writes one synthetic T1 volume on the HCP's grid and 2 GB of volumes on the common grid into a temporary folder. Seconds
are the processor's: the workflow runs as many of these jobs side by side as there are cores, on one core each.
"""

import contextlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import measuring
import numpy as np
from measuring import LIMIT, OURS, PEER, Row, per_unit, print_table, take_turns

VOLUME, HEADER_BYTES = "volume.nii.gz", 352
ALONE = "reading and downsampling alone"


def rows(small: bool = False, device: str = "cpu") -> list[Row]:
    """Measure, on the processor whatever the device; `small` takes tiny volumes and few people, for a test."""
    with tempfile.TemporaryDirectory(prefix="voxplain-reading-") as folder:
        return [*_reading(Path(folder), small), *_jobs(Path(folder), small), *_stacks(Path(folder), small)]


def _reading(folder: Path, small: bool) -> list[Row]:
    shape = write_volume(folder, (52, 62, 52) if small else None)
    contenders = {ALONE: prepare_reading, OURS: prepare_job, PEER: prepare_peer, LIMIT: prepare_limit}
    seconds = take_turns(contenders, 1 if small else 9, folder=str(folder), shape=shape)
    work = f"read and downsample a {'x'.join(map(str, shape))} float32 .nii.gz"
    common = {
        "unit": "volume",
        "peer": "nibabel.load to float32, skimage.transform.resize (order 1, reflect, anti-aliasing)",
        "limit": "isal decompresses the file once, into memory that is there already",
        "wanted_ratio": 3.0,
        "wanted_share": 0.5,
    }
    others = {who: seconds[who] for who in (PEER, LIMIT)}
    megabytes = (folder / VOLUME).stat().st_size / 1e6
    alone = f"{megabytes:.0f} MB on disk; checked for what is not finite; the image and where its brain is"
    whole = "with quality control and z-scores, which the peer has not"
    return [
        Row(work, seconds={OURS: seconds[ALONE], **others}, note=alone, **common),
        Row(f"{work}, as the job does", seconds={OURS: seconds[OURS], **others}, note=whole, **common),
    ]


def _jobs(folder: Path, small: bool) -> Iterator[Row]:
    for people in (2,) if small else (4, 16, 64):
        seconds = take_turns({OURS: prepare_batch}, 1, folder=str(folder), people=people)
        yield Row(f"downsample, {people} people", "volume", per_unit(seconds, people), note=_peak(folder))


def _stacks(folder: Path, small: bool) -> Iterator[Row]:
    for people in (5,) if small else (100, 1113):
        write_batches(folder, people, 2 if small else 64)
        stacking = take_turns({OURS: prepare_stack}, 1 if small else 3, folder=str(folder))
        peak = _peak(folder)
        copying = take_turns({LIMIT: prepare_copy}, 1 if small else 3, folder=str(folder))
        seconds, limit = per_unit(stacking | copying, people), "reading the same volumes and writing them to one file"
        yield Row(f"stack_images, {people} people", "volume", seconds, limit=limit, note=peak)
        shutil.rmtree(folder / "batches")


def write_volume(folder: Path, shape: tuple[int, int, int] | None = None) -> tuple[int, int, int]:
    """Write nilearn's MNI template on the HCP's grid with noise in the brain, which hardly compresses, and 0 around."""
    from nilearn.datasets import load_mni152_template

    from voxplain.base.files import write_image
    from voxplain.imaging.grid import HCP, resample_to

    grid = HCP if shape is None else HCP.rescaled(shape)
    template = load_mni152_template(resolution=1)
    data = resample_to(np.asarray(template.dataobj, dtype=np.float32), template.affine, grid)
    data /= data.max()
    noise = np.random.default_rng(0).standard_normal(grid.shape, dtype=np.float32)
    write_image(np.where(data > 0.02, np.maximum(data + 0.05 * noise, 0), 0), grid.affine, folder / VOLUME)
    return grid.shape


def write_batches(folder: Path, people: int, in_batch: int) -> None:
    """Write batches as the jobs do, whose order is not that of the ids."""
    from voxplain.imaging.grid import COMMON
    from voxplain.imaging.quality import COLUMNS
    from voxplain.imaging.stacking import write_batch

    generator = np.random.default_rng(0)
    ids = generator.permutation(people)
    known = dict.fromkeys(COLUMNS, 0.5) | {"shape": "260x311x260", "problem": ""}
    for start in range(0, people, in_batch):
        here = ids[start : start + in_batch]
        volumes = (generator.standard_normal(COMMON.shape, dtype=np.float32) for _ in here)
        rows = (known | {"participant_id": f"{100000 + number}"} for number in here)
        made = ((data, data > 0, row) for data, row in zip(volumes, rows, strict=True))
        write_batch(made, len(here), _batch(folder / "batches", start // in_batch))


def prepare_job(folder: str, shape: tuple[int, int, int]) -> Callable[[], float]:
    """What the job goes through, one volume after the other."""
    from voxplain.imaging.downsampling import downsample_each

    images = [Path(folder, VOLUME)] * 1000
    people = downsample_each(images, [None] * len(images), [f"{number}" for number in range(len(images))])

    def once() -> None:
        _, _, row = next(people)
        assert row["problem"] == "", row["problem"]

    return _timed(once)


def prepare_reading(folder: str, shape: tuple[int, int, int]) -> Callable[[], float]:
    """Only reading, with its checks, and the image and its brain on the common grid."""
    from voxplain.imaging.reading import Memory, read_volume
    from voxplain.imaging.resizing import to_common_grid

    memory = Memory()
    return _timed(lambda: to_common_grid(read_volume(Path(folder, VOLUME), memory)))


def prepare_peer(folder: str, shape: tuple[int, int, int]) -> Callable[[], float]:
    import nibabel as nib
    from skimage.transform import resize

    def once() -> None:
        data = np.asarray(nib.load(Path(folder, VOLUME)).dataobj, dtype=np.float32)
        resize(data, (58, 70, 58), order=1, mode="reflect", anti_aliasing=True, preserve_range=True)

    return _timed(once)


def prepare_limit(folder: str, shape: tuple[int, int, int]) -> Callable[[], float]:
    from isal import igzip

    room = memoryview(np.ones(4 * int(np.prod(shape)) + HEADER_BYTES, dtype=np.uint8))

    def once() -> None:
        filled = 0
        with open(Path(folder, VOLUME), "rb") as file:
            # The reader behind igzip.open, which would copy every byte once more; in pieces that fit into the cache.
            reader = igzip._GzipReader(file, 2**19)
            while count := reader.readinto(room[filled : filled + 2**20]):
                filled += count
        assert filled == len(room)

    return _timed(once)


def prepare_batch(folder: str, people: int) -> Callable[[], float]:
    """A job of a few people, the first volume and the files it writes included."""
    from voxplain.imaging.downsampling import downsample_each
    from voxplain.imaging.stacking import write_batch

    def once() -> None:
        made = downsample_each([Path(folder, VOLUME)] * people, [None] * people, [f"{i}" for i in range(people)])
        write_batch(made, people, _batch(Path(folder, "job"), 0))
        _keep_peak(folder)

    return _timed(once, warm_up=False)


def prepare_stack(folder: str) -> Callable[[], float]:
    from voxplain.imaging.stacking import stack

    batches = [_batch(Path(folder, "batches"), number) for number in range(_count(folder))]

    def once() -> None:
        stack(batches, Path(folder, "images"))
        _keep_peak(folder)

    return _timed(once, warm_up=False)


def prepare_copy(folder: str) -> Callable[[], float]:
    paths = [_batch(Path(folder, "batches"), number).volumes for number in range(_count(folder))]

    def once() -> None:
        with open(Path(folder, "copy"), "wb") as copy:
            for path in paths:
                with open(path, "rb") as volumes:
                    shutil.copyfileobj(volumes, copy, 2**20)
        Path(folder, "copy").unlink()

    return _timed(once, warm_up=False)


def _timed(work: Callable[[], object], warm_up: bool = True) -> Callable[[], float]:
    """Return a function that does the work once and tells the processor's seconds."""

    def once() -> float:
        start = time.process_time()
        # The lines of progress are not part of the table.
        with contextlib.redirect_stderr(io.StringIO()):
            work()
        return time.process_time() - start

    if warm_up:
        once()
    return once


def _batch(folder: Path, number: int):
    from voxplain.imaging.stacking import Batch

    return Batch(*(folder / f"{number}{end}" for end in (".npy", ".tsv", "_brains.npy")))


def _count(folder: str) -> int:
    return len(list(Path(folder, "batches").glob("*.tsv")))


def _keep_peak(folder: str) -> None:
    """Write down the largest resident size of this process, in MB."""
    try:
        # What getrusage says begins with the peak of the process that started this one.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except OSError:
        peak = measuring.peak_mb()
    Path(folder, "peak").write_text(f"{peak:.0f}", encoding="utf-8")


def _peak(folder: Path) -> str:
    return f"peak memory {(folder / 'peak').read_text(encoding='utf-8')} MB"


if __name__ == "__main__":
    print_table(rows(small="--small" in sys.argv))
