"""Contact sheet of inputs synthesised for a network's outputs and channels."""

import math
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from voxplain.base.errors import refuse
from voxplain.base.files import read_table
from voxplain.reporting import style

ACROSS, BESIDE = 4, 2  # channels in a row, and whole brains
GAP = 2  # voxels between sections
SMALLEST = 5  # voxels of a side of what is shown of a channel
NOTE = (
    "Axial (left is left, anterior up), coronal and sagittal sections through the strongest voxel. Orange: brighter, "
    "blue: darker; every picture has its own scale.\nBelow: what the picture reaches; what people reach, smallest to "
    "largest; percentile: the share of the people who are less extreme (100: nobody reaches as much),\nof what is "
    "reached, and of the response per unit norm, that is for the size of the input."
)


def draw_visualisation(
    folder: str | os.PathLike, out: str | os.PathLike, brain: str | os.PathLike | None = None
) -> None:
    """Draw every visualisation of one network with what it reaches, beside what real people reach.

    Classes and outputs are shown on the whole grid, channels on the smallest box around what was synthesised. Where
    the mean image was the start, what was added to it is shown.

    Parameters
    ----------
    folder : path-like
        With ``visualisations.tsv`` and ``{objective}_input.nii.gz`` (``{objective}_change.nii.gz``).
    out : path-like
        ``.png`` or ``.svg``.
    brain : path-like, optional
        Brain mask; its outline is drawn on whole-brain pictures.

    Raises
    ------
    InputError
        Naming every volume that the table lists and that is not there.
    """
    folder = Path(folder)
    # The number of a layer is a name too.
    table = read_table(folder / "visualisations.tsv", dtype=dict.fromkeys(("objective", "layer", "label"), str))
    files = [_file_of(folder, name) for name in table["objective"]]
    missing = [file for file in files if not file.is_file()]
    if missing:
        refuse("Visualisations that the table lists do not exist", missing, "Delete the folder and run again.")
    is_output = table["layer"].isna().to_numpy()
    outputs, channels = np.flatnonzero(is_output), np.flatnonzero(~is_output)
    if not len(table):
        with style.drawn(out, 6, 1.5, table) as figure:
            style.say(figure, "Nothing was visualised.")
        return
    mask = None if brain is None else _upright(nib.load(brain)) > 0.5
    across = max(1, min(ACROSS, len(channels)))
    beside = min(BESIDE, len(outputs))
    heights = [
        2.2 * style.rows_of(len(outputs), beside) if len(outputs) else 0,
        1.25 * style.rows_of(len(channels), across) if len(channels) else 0,
    ]
    with style.drawn(out, 9.6, sum(heights) + 0.75, table, facecolor="black") as figure:
        shown = [height for height in heights if height]
        parts = list(np.atleast_1d(figure.subfigures(len(shown), 1, height_ratios=shown)))
        for part in parts:
            part.set_facecolor("black")
        if len(outputs):
            _draw_part(parts.pop(0), table, files, outputs, beside, mask, cropped=False)
        if len(channels):
            _draw_part(parts.pop(0), table, files, channels, across, None, cropped=True)
        figure.supxlabel(NOTE, fontsize=7, color="#d5dbe1")


def _file_of(folder: Path, name: str) -> Path:
    change = folder / f"{name}_change.nii.gz"
    return change if change.is_file() else folder / f"{name}_input.nii.gz"


def _draw_part(
    part: SubFigure, table: pd.DataFrame, files: list[Path], places: np.ndarray, across: int, mask: np.ndarray | None,
    cropped: bool,
) -> None:  # fmt: skip
    axes = part.subplots(style.rows_of(len(places), across), across, squeeze=False).ravel()
    for panel in axes:
        panel.axis("off")
    for panel, place in zip(axes, places, strict=False):
        _draw_one(panel, _upright(nib.load(files[place])), mask, cropped)
        row = table.loc[place]
        panel.set_title(title_of(row), color="white", fontsize=8 if cropped else 9)
        text = verdict_of(row)
        panel.text(0, -0.03, text, transform=panel.transAxes, color="#d5dbe1", fontsize=6 if cropped else 8, va="top")


def title_of(row: pd.Series) -> str:
    """Return ``Class M``, ``Highest output``, ``Lowest output`` or ``Layer 1, channel 3``."""
    if pd.isna(row["layer"]):
        extreme = {"output-high": "Highest output", "output-low": "Lowest output"}
        return extreme.get(row["objective"], f"Class {row['label']}")
    return f"Layer {row['layer']}, channel {int(row['channel'])}"


def verdict_of(row: pd.Series) -> str:
    """Return what was reached, what people reach unless that is hidden, and the percentiles that are known."""
    reached = f"{row['reached']:.3g}"
    if not pd.isna(row["cohort_min"]):
        reached += f"; people {row['cohort_min']:.3g} to {row['cohort_max']:.3g}"
    known = {"percentile": row["percentile"], "per norm": row["percentile_per_norm"]}
    return f"{reached}\n" + ", ".join(f"{name} {_spelt(value)}" for name, value in known.items() if not pd.isna(value))


def _spelt(percentile: float) -> str:
    """Return a percentile with one decimal, rounded down: 100 is everybody, and not 99.96."""
    return f"{math.floor(round(10 * percentile, 6)) / 10:g}"  # 28.999999999999996 is 29


def _upright(image: nib.Nifti1Image) -> np.ndarray:
    """Return the voxels with the axes to the right, anterior and superior."""
    return np.asarray(nib.as_closest_canonical(image).dataobj, dtype=np.float32)


def sections_of(data: np.ndarray, mask: np.ndarray | None = None, cropped: bool = False) -> tuple[np.ndarray, ...]:
    """Return three sections through the strongest voxel, side by side, and the same of the mask.

    Parameters
    ----------
    data : ndarray [right, anterior, superior]
    mask : ndarray of bool, same shape, optional
    cropped : bool
        Show only the box around voxels that are not 0.

    Returns
    -------
    ndarrays [rows, columns]
        The mask's is empty (False everywhere) without one.
    """
    mask = np.zeros(data.shape, dtype=bool) if mask is None else mask
    if cropped and data.any():
        # What is within a thousandth of 0 is what rounding and noise left of it.
        strong = np.argwhere(np.abs(data) > 1e-3 * np.abs(data).max())
        low, high = strong.min(axis=0), strong.max(axis=0) + 1
        spare = np.maximum(SMALLEST - (high - low), 0)
        low = np.maximum(low - spare // 2, 0)
        high = np.minimum(np.maximum(high, low + SMALLEST), data.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        data, mask = data[box], mask[box]
    x, y, z = np.unravel_index(np.abs(data).argmax(), data.shape) if data.any() else (n // 2 for n in data.shape)
    return tuple(
        _side_by_side([volume[:, :, z], volume[:, y, :], volume[x, :, :]]) for volume in (data, mask.astype(np.float32))
    )


def _side_by_side(sections: list[np.ndarray]) -> np.ndarray:
    pictures = [section.T[::-1] for section in sections]
    tall = max(picture.shape[0] for picture in pictures)
    padded = []
    for picture in pictures:
        above = (tall - picture.shape[0]) // 2
        padded.append(np.pad(picture, ((above, tall - picture.shape[0] - above), (0, GAP))))
    return np.hstack(padded)[:, :-GAP]


def _draw_one(axes: Axes, data: np.ndarray, mask: np.ndarray | None, cropped: bool) -> None:
    picture, outline = sections_of(data, mask, cropped)
    top = float(np.abs(picture).max()) or 1.0
    axes.imshow(picture, cmap=style.DIVERGING, vmin=-top, vmax=top, interpolation="nearest")
    if outline.any():
        axes.contour(outline, levels=[0.5], colors="#d5dbe1", linewidths=0.5)
