"""What the interactive viewer of the page shows: population maps, the mean image and the atlases, packed small.

A map takes one byte a voxel, so that a page of ten methods stays small, whatever the number of people. The volumes are
drawn by NiiVue, which lies beside the templates.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import nibabel as nib
import numpy as np

from voxplain.base.errors import refuse
from voxplain.base.files import read_table
from voxplain.imaging.grid import Grid
from voxplain.reporting import style
from voxplain.reporting.maps import crop_to_brain, end_of_scale, grey_window
from voxplain.reporting.packing import pack

VERSION = "0.69.0"
PROGRAM = Path(__file__).resolve().parents[3] / "report" / "niivue" / f"niivue-{VERSION}.umd.js"
LEVELS = 127  # steps of a map from 0 to the end of its scale; twice as many in a map with signs
NODES = 17  # colours that a scale is given by


def read_program() -> str:
    """Return NiiVue's source, as it was published."""
    return PROGRAM.read_text(encoding="utf-8")


def describe_viewer(
    mean: str | os.PathLike,
    brain: str | os.PathLike,
    maps: Mapping[str, Mapping[str, str | os.PathLike]],
    atlases: Mapping[str, Mapping[str, str | os.PathLike]],
    groups: Sequence[str],
    warnings: Mapping[str, str] | None = None,
) -> dict:
    """Return the viewer's data, ready for JSON.

    Maps are cut at the 99.9th percentile of |map| in the brain, where the colours of the figures end too, and rounded
    to 1/127 of that.

    Parameters
    ----------
    mean, brain : path-like
        Mean image and brain mask; everything else lies on their grid.
    maps : mapping of method to {group: path}
        In the order to be shown.
    atlases : mapping of name to {``image``: path, ``labels``: path}
        Label volumes and their tables (``index, name``).
    groups : sequence of str
        In the order to be shown.
    warnings : mapping of method to str, optional
        Why a method's maps must not be interpreted.

    Returns
    -------
    dict
        ``affine`` (voxel to mm) and ``shape`` of the cropped grid; ``mean`` (gzipped NIfTI as base64); ``groups``,
        ``methods``; ``maps`` as {method: {group: {``volume``, ``top``, ``signed``, ``peak`` in mm}}}; ``atlases``,
        each with ``labels`` (gzipped uint16, first axis fastest, as base64) and ``names``; ``colours``.

    Raises
    ------
    InputError
        When the volumes do not lie on one grid, or hold values that are not finite.
    """
    inside, grid = _read(brain)
    inside = inside > 0.5
    if not inside.any():
        refuse("There is no brain to show: the brain mask is empty", [brain])
    cut, corner = crop_to_brain(inside)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    shown = {
        method: {group: _describe_map(path, grid, inside, cut, affine) for group, path in own.items()}
        for method, own in maps.items()
    }
    return {
        "affine": affine.round(6).tolist(),
        "shape": list(inside[cut].shape),
        "mean": _pack_mean(mean, grid, inside, cut, affine),
        "groups": [{"name": group, "title": style.group_title(group)} for group in groups],
        "methods": [
            {"name": method, "title": style.method_title(method), "warning": (warnings or {}).get(method, "")}
            for method in maps
        ],
        "maps": shown,
        "atlases": [_describe_atlas(name, files, grid, cut) for name, files in atlases.items()],
        "colours": _colours(),
    }


def _read(path: str | os.PathLike, grid: Grid | None = None) -> tuple[np.ndarray, Grid]:
    image = nib.load(path)
    if grid is not None and not grid.matches(image.shape, image.affine):
        refuse(f"These volumes do not lie on the grid of the brain mask {grid.shape}", [path])
    data = np.asarray(image.dataobj, dtype=np.float32)
    if not np.isfinite(data).all():
        refuse("These volumes hold values that are not finite and cannot be shown", [path])
    return data, grid or Grid(image.shape, image.affine)


def _describe_map(path, grid: Grid, inside: np.ndarray, cut: tuple[slice, ...], affine: np.ndarray) -> dict:
    data = np.where(inside, _read(path, grid)[0], 0)
    top = end_of_scale(data[inside])
    signed = bool((data < 0).any())
    peak = np.unravel_index(np.argmax(np.abs(data)), data.shape) if top else [n // 2 for n in data.shape]
    # A map of zeros keeps a scale, so that the file is a valid one.
    steps = np.clip(np.round(data[cut] / (top or 1) * LEVELS), -LEVELS, LEVELS)
    offset = LEVELS if signed else 0
    volume = nib.Nifti1Image((steps + offset).astype(np.uint8), affine)
    step = (top or 1) / LEVELS
    volume.header.set_slope_inter(step, -offset * step)
    return {
        "volume": pack(volume.to_bytes()),
        "top": top,
        "signed": signed,
        "peak": (grid.affine[:3, :3] @ peak + grid.affine[:3, 3]).round(1).tolist(),
    }


def _pack_mean(path, grid: Grid, inside: np.ndarray, cut: tuple[slice, ...], affine: np.ndarray) -> str:
    """Pack the mean image in grey values from 1 to 255, 0 outside of the brain, where a z-scored mean would be grey."""
    mean = _read(path, grid)[0]
    low, high = grey_window(mean[inside])
    grey = 1 + 254 * np.clip((mean - low) / (high - low), 0, 1)
    volume = nib.Nifti1Image(np.where(inside, grey, 0).round().astype(np.uint8)[cut], affine)
    return pack(volume.to_bytes())


def _describe_atlas(name: str, files: Mapping, grid: Grid, cut: tuple[slice, ...]) -> dict:
    labels, table = _read(files["image"], grid)[0], read_table(files["labels"])
    return {
        "name": name,
        "labels": pack(labels[cut].astype("<u2").tobytes(order="F")),
        "names": {int(index): str(region) for index, region in zip(table["index"], table["name"], strict=True)},
    }


def _colours() -> dict[str, list[list[int]]]:
    """Return the scales of the figures as RGB from 0 to the end of a map's scale."""

    def nodes(scale: str, end: float, start: float) -> list[list[int]]:
        places = np.linspace(start, end, NODES)
        return (matplotlib.colormaps[scale](places)[:, :3] * 255).round().astype(int).tolist()

    return {
        "sequential": nodes(style.SEQUENTIAL, 1, 0),
        "positive": nodes(style.DIVERGING, 1, 0.5),
        "negative": nodes(style.DIVERGING, 0, 0.5),
    }
