"""Cross-sections of a population map over the cohort's mean image."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib
import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from voxplain.base.errors import refuse
from voxplain.imaging.grid import Grid, resample_to
from voxplain.reporting import style

if TYPE_CHECKING:
    from nilearn.plotting.displays import BaseSlicer

# Rows of the figure: sections along x (sagittal), y (coronal), z (axial), the last being what readers look at first.
PLANES = {"z": 2, "y": 1, "x": 0}
CUTS = 7
FINER = 2  # voxels are drawn this many times finer, linearly interpolated
BACK = "black"
ON_BLACK = "#d5dbe1"


def draw_population_map(
    map_image: str | os.PathLike,
    mean_image: str | os.PathLike,
    mask_image: str | os.PathLike | None,
    out: str | os.PathLike,
    title: str,
    signed: bool | None = None,
    brain_image: str | os.PathLike | None = None,
) -> None:
    """Draw a map in three planes over the mean image; weak values fade into it.

    Every map of a run is cut at the same places, evenly over the brain, so that methods can be compared at a glance.
    Colours end at the 99.9th percentile of |map| in the brain. Left is left (neurological convention).

    Parameters
    ----------
    map_image, mean_image : path-like
        NIfTI volumes on one grid.
    mask_image : path-like, optional
        Thresholded map (0 or 1); its outline is drawn.
    out : path-like
        ``.png`` (advised: the page shrinks it) or ``.svg``.
    title : str
    signed : bool, optional
        True gives a diverging scale around 0, False a sequential one from 0; by default the first when the map has
        negative values in the brain.
    brain_image : path-like, optional
        Brain mask; without it the brain is where the mean image is not 0.

    Raises
    ------
    InputError
        When the volumes do not lie on one grid, or hold values that are not finite.
    """
    scene = _load(map_image, mean_image, mask_image, brain_image)
    inside = scene["map"][scene["brain"]]
    top = end_of_scale(inside)
    signed = bool((inside < 0).any()) if signed is None else signed
    cuts = _cut_places(scene["brain"], scene["affine"])
    cmap = style.DIVERGING if signed else style.SEQUENTIAL

    sections = _describe_sections(scene, cuts)
    with style.drawn(out, 9.6, 6.1, sections, layout="none", facecolor=BACK) as figure, _cheap_garbage_collection():
        for row, (plane, places) in enumerate(cuts.items()):
            bottom = 0.06 + (len(cuts) - 1 - row) * 0.285
            axes = figure.add_axes((0.005, bottom, 0.99, 0.275))
            display = _draw_row(figure, axes, scene, plane, places, top, cmap, signed)
            if mask_image is not None and scene["mask"].max() > 0.5:
                display.add_contours(_image(scene["mask"], scene), levels=[0.5], colors="white", linewidths=0.7)
        figure.text(0.012, 0.965, title, color="white", fontsize=11, fontweight="bold", va="center")
        if top > 0:
            _draw_scale(figure, top, cmap, signed)
        else:
            figure.text(0.988, 0.965, "the map is 0 everywhere in the brain", color=ON_BLACK, ha="right", va="center")
        legend = "L = left. " + ("Outline: the thresholded map." if mask_image is not None else "")
        figure.text(0.012, 0.025, legend, color=ON_BLACK, fontsize=7.5, va="center")


@contextmanager
def _cheap_garbage_collection() -> Iterator[None]:
    """nilearn collects garbage at every overlay, mostly looking at modules again: what exists already is left out."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _load(map_image, mean_image, mask_image, brain_image) -> dict:
    """Read the volumes, check that they share a grid, crop them to the brain and sample them finer."""
    names = {"map": map_image, "mean": mean_image, "mask": mask_image, "brain": brain_image}
    images = {name: nib.load(path) for name, path in names.items() if path is not None}
    mean = images["mean"]
    grid = Grid(mean.shape, mean.affine)
    off = [str(names[name]) for name, image in images.items() if not grid.matches(image.shape, image.affine)]
    if off:
        refuse(f"These volumes do not lie on the grid of {mean_image} {mean.shape}", off)
    volumes = {name: np.asarray(image.dataobj, dtype=np.float32) for name, image in images.items()}
    bad = [str(names[name]) for name, data in volumes.items() if not np.isfinite(data).all()]
    if bad:
        refuse("These volumes hold values that are not finite and cannot be drawn", bad)
    volumes.setdefault("brain", (volumes["mean"] != 0).astype(np.float32))
    volumes.setdefault("mask", np.zeros(grid.shape, np.float32))
    if not (volumes["brain"] > 0.5).any():
        refuse("There is no brain to draw on: the brain mask, or the mean image, is empty", [brain_image or mean_image])

    cropped, corner = crop_to_brain(volumes["brain"] > 0.5)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    volumes = {name: data[cropped] for name, data in volumes.items()}
    shape = volumes["mean"].shape
    fine = Grid(shape, affine).rescaled(tuple(FINER * n for n in shape))
    scene = {name: resample_to(data, affine, fine) for name, data in volumes.items()}
    scene["brain"] = scene["brain"] > 0.5
    scene["map"] = np.where(scene["brain"], scene["map"], 0)
    low, high = grey_window(scene["mean"][scene["brain"]])
    # Outside the brain a z-scored mean is 0, a middling grey: black there instead.
    scene["mean"] = np.where(scene["brain"], scene["mean"], low)
    return scene | {"affine": fine.affine, "window": (float(low), float(high))}


def crop_to_brain(brain: np.ndarray, margin: int = 2) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box around a brain with a margin of voxels, as slices, and its lowest corner in voxels."""
    indices = np.nonzero(brain)
    low = np.maximum([i.min() - margin for i in indices], 0)
    high = np.minimum([i.max() + margin + 1 for i in indices], brain.shape)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), low


def end_of_scale(inside: np.ndarray) -> float:
    """Return where the colours of a map end, given its values in the brain: 99.9th percentile of |map|, or the top."""
    values = np.abs(inside)
    return float(np.quantile(values, 0.999)) or float(values.max())


def grey_window(inside: np.ndarray) -> tuple[np.floating, np.floating]:
    """Return the values of the mean image in the brain that are black and white: percentiles, never equal."""
    low, high = np.quantile(inside, [0.02, 0.995])
    return low, high if high > low else low + 1


def _cut_places(brain: np.ndarray, affine: np.ndarray) -> dict[str, list[float]]:
    """Return, per plane, `CUTS` places in whole mm, evenly over the brain and not at its very ends."""
    places = {}
    for plane, axis in PLANES.items():
        along = np.nonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))[0]
        ends = affine[axis, axis] * along[[0, -1]] + affine[axis, 3]
        low, high = sorted(ends)
        steps = np.linspace(0.12, 0.88, CUTS)
        places[plane] = list(dict.fromkeys(np.round(low + steps * (high - low)).tolist()))
    return places


def _image(data: np.ndarray, scene: dict) -> nib.Nifti1Image:
    return nib.Nifti1Image(data, scene["affine"])


def _describe_sections(scene: dict, cuts: dict[str, list[float]]) -> pd.DataFrame:
    """Return what each section shows, a row a section: where it lies, and the map's extremes in the brain there."""
    shown = np.where(scene["brain"], scene["map"], np.nan)
    rows = []
    for plane, places in cuts.items():
        axis = PLANES[plane]
        for place in places:
            voxel = round((place - scene["affine"][axis, 3]) / scene["affine"][axis, axis])
            section = shown.take(voxel, axis=axis)
            rows.append({"plane": plane, "mm": place, "lowest": np.nanmin(section), "highest": np.nanmax(section)})
    return pd.DataFrame(rows)


def _draw_row(figure, axes, scene, plane, places, top, cmap, signed) -> "BaseSlicer":
    matplotlib.use("Agg")  # nilearn imports pyplot, which would otherwise look for a screen
    from nilearn.plotting import plot_img

    display = plot_img(
        _image(scene["mean"], scene), display_mode=plane, cut_coords=places, figure=figure, axes=axes, black_bg=True,
        cmap="gray", vmin=scene["window"][0], vmax=scene["window"][1] * 1.15, colorbar=False, annotate=False,
    )  # fmt: skip
    if top > 0:
        display.add_overlay(
            _image(scene["map"], scene), cmap=cmap, vmin=-top if signed else 0, vmax=top,
            transparency=_image(np.clip(np.abs(scene["map"]) / (0.6 * top), 0, 1), scene),
        )  # fmt: skip
    display.annotate(size=7, left_right=plane != "x")
    return display


def _draw_scale(figure: Figure, top: float, cmap: str, signed: bool) -> None:
    axes = figure.add_axes((0.68, 0.958, 0.28, 0.014))
    scale = ScalarMappable(Normalize(-top if signed else 0, top), cmap)
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal", ticks=[-top, 0, top] if signed else [0, top])
    bar.outline.set_visible(False)
    bar.ax.set_xticklabels([f"{tick:.2g}".replace("-", "−") for tick in bar.get_ticks()])
    bar.ax.tick_params(colors=ON_BLACK, labelsize=7.5, length=0, pad=2)
