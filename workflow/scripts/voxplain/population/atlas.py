"""Atlases in MNI space on the common grid; an atlas that does not match its names, or its sides, is refused."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from voxplain.base.errors import InputError, refuse
from voxplain.base.files import file_sha256, read_table
from voxplain.imaging.grid import COMMON, Grid, mni_brain, resample_to
from voxplain.population.atlas_labels import LARGEST_LABEL, LEFT, RIGHT, checked_labels, hemisphere, read_labels
from voxplain.population.maps import read_on_grid

LEAST_IN_BRAIN = 0.5


@dataclass(frozen=True)
class Atlas:
    """A label image on the common grid and the names of its regions.

    Attributes
    ----------
    name : str
    data : int32 ndarray [D, H, W]
        0 is background.
    regions : DataFrame
        ``index`` (int, the value in `data`), ``name``, ``hemisphere`` (``left``, ``right`` or ``both``), sorted by
        index; every region has a voxel in `data`.
    """

    name: str
    data: np.ndarray
    regions: pd.DataFrame


def load_atlas(
    image: str | os.PathLike,
    labels: str | os.PathLike,
    name: str | None = None,
    sha256: str | None = None,
    grid: Grid = COMMON,
) -> Atlas:
    """Read an atlas in MNI space and bring it onto the common grid, nearest label first.

    Parameters
    ----------
    image : path-like
        3D label image, ``.nii`` or ``.nii.gz``; whole numbers, 0 for background.
    labels : path-like
        Names of the labels; see `voxplain.population.atlas_labels.read_labels`.
    name : str, optional
        Of the atlas; by default the image's file name.
    sha256 : str, optional
        Expected checksum of the image's file, in hexadecimal.
    grid : Grid
        The common grid, or HCP's field of view cut into another number of voxels.

    Raises
    ------
    InputError
        When the image is missing, damaged or another file than expected, 4D, or not of whole numbers; when labels
        have no name or names no voxel; when regions named left or right have their centre on the other side (a volume
        stored with a mirrored header, as copies of Brainnetome are found); when the labels do not lie on the MNI
        brain; when a region is too small for the common grid. Each names every offender.
    """
    image = Path(image)
    if sha256 is not None:
        _check_sum(image, sha256)
    from voxplain.imaging.reading import read_volume

    volume = read_volume(image)
    return _atlas(
        name or image.name.removesuffix(".gz").removesuffix(".nii"),
        _whole_labels(volume.data, str(image)),
        volume.affine,
        read_labels(labels),
        f"{image} with the names of {labels}",
        grid,
    )


def read_prepared(image: str | os.PathLike, table: str | os.PathLike) -> Atlas:
    """Read back an atlas that the workflow has put on the common grid; it was checked when it was prepared.

    Parameters
    ----------
    image, table : path-like
        `Atlas.data` and `Atlas.regions` as written.
    """
    data = read_on_grid(image).astype(np.int32)
    return Atlas(Path(image).name.removesuffix(".nii.gz"), data, read_table(table).sort_values("index"))


def fetch(
    fetcher: str,
    name: str | None = None,
    folder: str | os.PathLike | None = None,
    grid: Grid = COMMON,
    **arguments,
) -> Atlas:
    """Download an atlas (or take it from nilearn's cache) with one of nilearn's fetchers.

    Parameters
    ----------
    fetcher : str
        ``aal``, ``harvard_oxford``, ``schaefer_2018``, ...: `nilearn.datasets.fetch_atlas_*` without its prefix.
    name : str, optional
        Of the atlas; by default `fetcher`.
    folder : path-like, optional
        nilearn's data folder; by default nilearn's own choice.
    grid : Grid
        See `load_atlas`.
    **arguments
        Handed to the fetcher, for example ``atlas_name="cort-maxprob-thr25-2mm"``.

    Raises
    ------
    InputError
        For an unknown fetcher or argument, an atlas that is not a labelled volume, without a network; and what
        `load_atlas` refuses, except that names without a voxel are left out: nilearn's tables come with the image,
        and some list labels that it lacks.
    """
    import nibabel as nib
    from nilearn import datasets

    known_fetcher(fetcher)
    options = arguments if folder is None else {**arguments, "data_dir": str(folder)}
    try:
        fetched = getattr(datasets, f"fetch_atlas_{fetcher}")(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"nilearn's fetch_atlas_{fetcher} does not take {arguments}: {error}") from error
    except OSError as error:
        raise InputError(
            f"The atlas {fetcher!r} could not be fetched ({error}).\n"
            "Fetching needs a network the first time. Without one, give the atlas as an image and a table of labels."
        ) from error
    table, image = fetched.get("lut"), fetched.get("maps")
    if isinstance(image, str | Path):
        image = nib.load(image)
    if not isinstance(table, pd.DataFrame) or not isinstance(image, nib.spatialimages.SpatialImage):
        refuse(f"nilearn's atlas {fetcher!r} is not one volume of labels with names; choose a deterministic atlas.")
    source = f"nilearn's atlas {fetcher}"
    data = _whole_labels(np.asarray(image.dataobj), source)
    names = checked_labels(list(zip(table["index"], table["name"], strict=True)), source)
    names = names[names["index"].isin(np.unique(data))].reset_index(drop=True)
    return _atlas(name or fetcher, data, image.affine, names, source, grid)


def known_fetcher(fetcher: str) -> None:
    """Refuse the name of an atlas for which nilearn has no fetcher; nothing is fetched.

    Raises
    ------
    InputError
        Naming those that it has.
    """
    from nilearn import datasets

    known = [word.removeprefix("fetch_atlas_") for word in dir(datasets) if word.startswith("fetch_atlas_")]
    if fetcher not in known:
        refuse(f"nilearn {_version()} has no fetcher for an atlas {fetcher!r}.", advice=f"It has: {', '.join(known)}.")


def _version() -> str:
    import nilearn

    return nilearn.__version__


def _check_sum(path: Path, expected: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if found != expected.strip().lower():
        refuse(
            f"{path} is another file than the config expects: its SHA-256 is {found}, expected {expected}.",
            advice="Fetch the atlas again, or correct the checksum in the config.",
        )


def _whole_labels(data: np.ndarray, source: str) -> np.ndarray:
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        refuse(f"{source}: a label image has three dimensions, this one has the shape {data.shape}.")
    bad = int((~np.isfinite(data) | (data != np.floor(data)) | (data < 0) | (data >= LARGEST_LABEL)).sum())
    if bad:
        refuse(
            f"{source}: {bad} voxels do not hold a label (a whole number from 0 to {LARGEST_LABEL - 1}).",
            advice="Give the label image (such as FSL's maxprob), not probabilities or an interpolated image.",
        )
    return data.astype(np.int32)


def _atlas(name: str, data: np.ndarray, affine: np.ndarray, names: pd.DataFrame, source: str, grid: Grid) -> Atlas:
    _check_names(data, names, source)
    regions = names.assign(hemisphere=[hemisphere(one) for one in names["name"]])
    _check_sides(data, affine, regions, source)
    on_grid = resample_to(data, affine, grid, order=0)
    _check_place(on_grid, grid, source)
    lost = regions[~regions["index"].isin(np.unique(on_grid))]
    if len(lost):
        refuse(
            f"{source}: {len(lost)} of {len(regions)} regions have no voxel on the common grid "
            f"({' × '.join(f'{edge:.2f}' for edge in grid.voxel_size())} mm).",
            _spelled(lost),
            "Merge them with their neighbours, or take them out of the image and the table.",
        )
    return Atlas(name, on_grid, regions)


def _check_names(data: np.ndarray, names: pd.DataFrame, source: str) -> None:
    present = np.unique(data)
    present = present[present > 0]
    nameless = sorted(set(present.tolist()) - set(names["index"]))
    empty = names[~names["index"].isin(present)]
    if nameless or len(empty):
        refuse(
            f"{source}: image and names do not match; the image has {len(present)} labels, the table {len(names)} "
            f"names, {len(nameless)} labels have no name and {len(empty)} names no voxel.",
            [
                *(f"label {index} has no name" for index in nameless),
                *(f"{one} has no voxel" for one in _spelled(empty)),
            ],
            "Names of another version of the atlas would be wrong ones: take the table that came with this image, or "
            "keep only the lines of labels that the image holds.",
        )
    if not len(present):
        refuse(f"{source}: the image holds no label above 0.")


def _check_sides(data: np.ndarray, affine: np.ndarray, regions: pd.DataFrame, source: str) -> None:
    """Refuse regions whose name and centre disagree about the side; x in mm grows to the right."""
    position = np.searchsorted(regions["index"], data)
    x = sum(
        affine[0, axis] * np.arange(size).reshape([-1 if axis == other else 1 for other in range(3)])
        for axis, size in enumerate(data.shape)
    )
    inside = data > 0
    where, x = position[inside], np.broadcast_to(x + affine[0, 3], data.shape)[inside]
    centre = np.bincount(where, x, len(regions)) / np.bincount(where, minlength=len(regions))
    sided = {LEFT: -1, RIGHT: 1}
    wrong = [side in sided and sided[side] * mm < 0 for side, mm in zip(regions["hemisphere"], centre, strict=True)]
    if any(wrong):
        refuse(
            f"{source}: {sum(wrong)} of {int(regions['hemisphere'].isin(list(sided)).sum())} regions named left or "
            "right have their centre on the other side of the head (right is x > 0 mm).",
            [
                f"{one}: centre at x = {mm:.1f} mm"
                for one, mm in zip(_spelled(regions[wrong]), centre[wrong], strict=True)
            ],
            "The header of the image is mirrored against its voxels, or the names are. Take the original file; do not "
            "mirror the names unless you know which of the two is wrong.",
        )


def _check_place(on_grid: np.ndarray, grid: Grid, source: str) -> None:
    labelled = on_grid > 0
    share = float(mni_brain(grid.shape)[labelled].mean()) if labelled.any() else 0.0
    if share < LEAST_IN_BRAIN:
        refuse(
            f"{source}: only {share:.0%} of the labelled voxels lie in the MNI brain, expected at least "
            f"{LEAST_IN_BRAIN:.0%}.",
            advice="Atlases must be in MNI space, with the affine that says so.",
        )


def _spelled(regions: pd.DataFrame) -> list[str]:
    return [f"{index} {name}" for index, name in zip(regions["index"], regions["name"], strict=True)]
