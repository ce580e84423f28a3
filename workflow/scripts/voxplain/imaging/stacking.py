"""Batches of volumes on disk, and the cohort as one array: whatever the number of people, one volume in memory."""

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.files import read_array, read_table, write_image, write_table, written_whole
from voxplain.imaging.grid import COMMON
from voxplain.imaging.quality import COLUMNS

# A voxel belongs to the cohort's brain when more than this share of the people have brain there.
MAJORITY = 0.5
VOLUME_BYTES = 4 * math.prod(COMMON.shape)


class Batch(NamedTuple):
    """The files of one batch.

    Attributes
    ----------
    volumes : path
        ``.npy``, float32 [n, D, H, W]; zeros for a volume with a problem.
    table : path
        ``.tsv`` with `voxplain.imaging.quality.COLUMNS`; line i describes volume i.
    brains : path
        ``.npy``, int32 [D, H, W]: how many people without a problem have brain there.
    """

    volumes: str | os.PathLike
    table: str | os.PathLike
    brains: str | os.PathLike


def write_batch(people: Iterable[tuple[np.ndarray, np.ndarray, dict]], n: int, batch: Batch) -> None:
    """Write people as they come; see `voxplain.imaging.downsampling.downsample_each`.

    Parameters
    ----------
    people : iterable of (data, brain, row)
    n : int
        Their number.
    batch : Batch
        Files to write; they appear together at the end.
    """
    brains = np.zeros(COMMON.shape, dtype=np.int32)
    rows = []
    with ExitStack() as stack:
        volumes = stack.enter_context(open(stack.enter_context(written_whole(batch.volumes, n * VOLUME_BYTES)), "wb"))
        _write_header(volumes, n)
        for data, brain, row in people:
            volumes.write(np.ascontiguousarray(data, dtype=np.float32))
            brains += brain
            rows.append(row)
        if len(rows) != n:
            raise ValueError(f"{len(rows)} people came where {n} were announced")
        with open(stack.enter_context(written_whole(batch.brains)), "wb") as file:
            np.save(file, brains, allow_pickle=False)
        write_table(pd.DataFrame(rows, columns=list(COLUMNS)), batch.table)


def stack(
    batches: Sequence[Batch], folder: str | os.PathLike, on_bad_image: str = "fail", min_people: int = 2
) -> pd.DataFrame:
    """Join batches into the cohort's array, without the people whose image has a problem.

    Writes into `folder`: ``stack.npy`` (float32 [n, D, H, W], people sorted by id), ``index.tsv`` (row i describes
    volume i), ``excluded.tsv`` (``participant_id``, ``problem``), ``mean.nii.gz`` (mean over people) and
    ``brain_mask.nii.gz`` (where more than half of the people have brain), both on `COMMON`.

    Parameters
    ----------
    batches : sequence of Batch
        As `write_batch` wrote them.
    folder : path-like
    on_bad_image : {'fail', 'exclude'}
        Whether images with a problem stop the run or are left out.
    min_people : int
        Fewer people than this are an error.

    Returns
    -------
    DataFrame
        The index.

    Raises
    ------
    InputError
        Naming every bad image (with ``fail``), every person who occurs twice, every batch whose files do not belong
        together, or when too few people are left.
    """
    if on_bad_image not in ("fail", "exclude"):
        refuse(f"images.on_bad_image: {on_bad_image!r} is not one of fail, exclude")
    everybody = _join_tables(batches)
    bad = everybody[everybody["problem"] != ""]
    if len(bad) and on_bad_image == "fail":
        refuse(
            f"{len(bad)} of {len(everybody)} images cannot be used",
            _lines(bad),
            "Mend them, or set images.on_bad_image: exclude to go on without these people.",
        )
    kept = everybody[everybody["problem"] == ""].reset_index(drop=True)
    if len(kept) < min_people:
        refuse(f"only {len(kept)} usable images are left; at least {min_people} are needed", _lines(bad))
    folder = Path(folder)
    index = kept.drop(columns=["problem", "batch", "offset"])
    with written_whole(folder / "stack.npy", len(kept) * VOLUME_BYTES) as path:
        total = _copy_volumes(batches, kept, path)
    brains = sum((read_array(batch.brains).astype(np.int64) for batch in batches), np.zeros(COMMON.shape, np.int64))
    write_image((total / len(kept)).astype(np.float32), COMMON.affine, folder / "mean.nii.gz")
    write_image(brains > MAJORITY * len(kept), COMMON.affine, folder / "brain_mask.nii.gz")
    write_table(bad[["participant_id", "problem"]], folder / "excluded.tsv")
    write_table(index, folder / "index.tsv")
    return index


def _join_tables(batches: Sequence[Batch]) -> pd.DataFrame:
    """Return the tables of all batches, sorted by id, with every volume's place (``batch``, ``offset`` in bytes)."""
    tables, broken = [], []
    for number, batch in enumerate(batches):
        table = read_table(batch.table)
        volumes, brains = read_array(batch.volumes), read_array(batch.brains)
        expected = (len(table), *COMMON.shape)
        if (volumes.shape, volumes.dtype, brains.shape) != (expected, np.float32, COMMON.shape):
            broken.append(f"{batch.volumes}: {volumes.dtype} {volumes.shape}, expected float32 {expected}")
        offsets = volumes.offset + VOLUME_BYTES * np.arange(len(table))
        tables.append(table.assign(problem=table["problem"].fillna("").astype(str), batch=number, offset=offsets))
    if broken:
        refuse("batches whose array and table do not belong together", broken, "Delete them and run again.")
    if not tables:
        refuse("there are no batches to stack")
    everybody = pd.concat(tables, ignore_index=True).sort_values("participant_id", ignore_index=True)
    twice = everybody.loc[everybody["participant_id"].duplicated(), "participant_id"].unique()
    if len(twice):
        refuse(f"{len(twice)} participant ids occur more than once in the batches", twice, "Keep one row a person.")
    return everybody


def _copy_volumes(batches: Sequence[Batch], kept: pd.DataFrame, path: Path) -> np.ndarray:
    """Copy volumes to their sorted places, one by one, and return their sum (float64 [D, H, W]).

    Plain reads and writes and not memory maps, whose pages would count as the job's memory.
    """
    # Summed in the order of ids, so that the mean's last bits do not depend on how the batches were cut.
    total = np.zeros(COMMON.shape)
    volume = np.empty(COMMON.shape, dtype=np.float32)
    with open(path, "wb") as file:
        _write_header(file, len(kept))
        for number, offset in zip(kept["batch"], kept["offset"], strict=True):
            with open(batches[number].volumes, "rb") as source:
                source.seek(offset)
                source.readinto(volume)
            file.write(volume)
            total += volume
    return total


def _write_header(file: BinaryIO, n: int) -> None:
    description = {"descr": "<f4", "fortran_order": False, "shape": (n, *COMMON.shape)}
    np.lib.format.write_array_header_1_0(file, description)


def _lines(bad: pd.DataFrame) -> list[str]:
    return [f"{row.participant_id}: {row.problem}" for row in bad.itertuples()]
