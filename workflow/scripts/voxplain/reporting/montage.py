"""Everybody's brain at a glance, the doubtful ones first."""

import os

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.imaging.grid import COMMON
from voxplain.reporting import style

ACROSS = 4
GAP = 6  # voxels between people


def draw_montage(stack: np.ndarray, index: pd.DataFrame, out: str | os.PathLike, people: int = 24) -> None:
    """Draw an axial, a coronal and a sagittal middle section of up to `people` people.

    Those whose brain overlaps the MNI brain least come first; without that column people are taken evenly from the
    index. Left is left; each brain has its own grey scale (1st to 99.5th percentile).

    Parameters
    ----------
    stack : ndarray [n, D, H, W]
        ``images/stack.npy``, memory-mapped or not, on the common grid's axes; only the shown people are read.
    index : DataFrame
        ``images/index.tsv``: ``participant_id`` and, if measured, ``dice``.
    out : path-like
    people : int
        At most this many.

    Raises
    ------
    InputError
        When the stack and its index differ in length, or nobody is in them.
    """
    if len(stack) != len(index) or not len(stack):
        refuse(f"The stack holds {len(stack)} people and its index {len(index)}; expected the same, at least 1")
    rows = choose_rows(index, people)
    tiles = [compose_tile(np.asarray(stack[row], dtype=np.float32)) for row in rows]
    height, width = tiles[0].shape
    across = min(ACROSS, len(rows))
    down = -(-len(rows) // across)
    step_down, step_across = height + 3 * GAP, width + GAP
    canvas = np.zeros((down * step_down, across * step_across), dtype=np.float32)
    for place, tile in enumerate(tiles):
        top, left = (place // across) * step_down + 2 * GAP, (place % across) * step_across + GAP // 2
        canvas[top : top + height, left : left + width] = tile

    inches = 2.5 * across
    with style.drawn(
        out, inches, inches * canvas.shape[0] / canvas.shape[1], index.iloc[rows], layout="none", facecolor="black"
    ) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="bilinear", aspect="auto")
        axes.axis("off")
        for place, row in enumerate(rows):
            x, y = (place % across) * step_across + GAP, (place // across) * step_down + 1.6 * GAP
            axes.text(x, y, _caption(index.iloc[row]), color="#d5dbe1", fontsize=7.5, va="center")
        axes.text(GAP // 2, 2 * GAP + height / 2, "L", color="white", fontsize=7.5, va="center")


def choose_rows(index: pd.DataFrame, people: int) -> list[int]:
    """Return the row numbers to show: worst overlap first (unmeasured before all), or evenly over the index."""
    if "dice" in index and index["dice"].notna().any():
        order = np.argsort(index["dice"].astype(float).fillna(-1).to_numpy(), kind="stable")
        return order[:people].tolist()
    return np.unique(np.linspace(0, len(index) - 1, min(people, len(index))).round().astype(int)).tolist()


def compose_tile(data: np.ndarray) -> np.ndarray:
    """Return the three middle sections of one brain side by side, grey values in [0, 1], black outside the brain.

    Parameters
    ----------
    data : ndarray [D, H, W]
        On the common grid's axes; they are turned to right, anterior and superior by its affine.

    Returns
    -------
    ndarray [rows, columns]
        Axial (left is left, anterior up), coronal, sagittal (anterior to the right).
    """
    upright = data[tuple(slice(None, None, int(sign)) for sign in np.sign(np.diag(COMMON.affine)[:3]))]
    inside = upright != 0
    low, high = np.quantile(upright[inside], [0.01, 0.995]) if inside.any() else (0, 1)
    grey = np.where(inside, np.clip((upright - low) / max(high - low, 1e-6), 0, 1), 0)
    x, y, z = (n // 2 for n in grey.shape)
    sections = [grey[:, :, z], grey[:, y, :], grey[x, :, :]]
    pictures = [section.T[::-1] for section in sections]
    tall = max(picture.shape[0] for picture in pictures)
    return np.hstack([_pad(picture, tall) for picture in pictures])


def _pad(picture: np.ndarray, tall: int) -> np.ndarray:
    above = (tall - picture.shape[0]) // 2
    return np.pad(picture, ((above, tall - picture.shape[0] - above), (0, 0)))


def _caption(row: pd.Series) -> str:
    dice = row.get("dice")
    return str(row["participant_id"]) + ("" if dice is None or pd.isna(dice) else f"  ·  overlap {float(dice):.2f}")
