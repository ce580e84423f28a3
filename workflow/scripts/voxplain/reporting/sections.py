"""A map in three sections through its strongest place: small pictures, of one person or of the population."""

import io
import os

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import uniform_filter

from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_on_grid
from voxplain.reporting import style
from voxplain.reporting.embedding import bytes_uri
from voxplain.reporting.maps import crop_to_brain, end_of_scale, grey_window

FINER = 2  # pixels a voxel
GAP, TITLE = 6, 22  # pixels
QUALITY = 90


def show_sections(map_image: str | os.PathLike, mean: str | os.PathLike, brain: str | os.PathLike, title: str) -> str:
    """Return the three sections of a map on the common grid as a data URI.

    Parameters
    ----------
    map_image, mean, brain : path-like
        NIfTI volumes on the common grid.
    title : str

    Raises
    ------
    InputError
        For a volume on another grid, or not finite.
    """
    inside = read_on_grid(brain) > 0.5
    cut, _ = crop_to_brain(inside)
    data, inside = np.where(inside, read_on_grid(map_image), 0)[cut], inside[cut]
    picture = draw_sections(data, as_grey(read_on_grid(mean)[cut], inside), inside, strongest(data), title)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=QUALITY, method=6)
    return bytes_uri(buffer.getvalue(), "image/webp")


def as_grey(mean: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the mean image in [0, 1], black outside of the brain."""
    low, high = grey_window(mean[inside])
    return np.where(inside, 0.08 + 0.92 * np.clip((mean - low) / (high - low), 0, 1), 0)


def strongest(data: np.ndarray) -> np.ndarray:
    """Return the voxel [3] where |map|, after a mean over 3 voxels each way, is largest; the middle of a map of 0."""
    smooth = np.abs(uniform_filter(data, 3))
    return np.array(np.unravel_index(smooth.argmax(), data.shape) if smooth.any() else [n // 2 for n in data.shape])


def draw_sections(data: np.ndarray, grey: np.ndarray, inside: np.ndarray, peak: np.ndarray, title: str) -> Image.Image:
    """Return the axial, coronal and sagittal section of a map through a voxel, left being left, under a title.

    Parameters
    ----------
    data, grey, inside : ndarray [d, h, w]
        The map, the mean image in [0, 1] and the brain, on the common grid's axes, cropped alike.
    peak : ndarray [3]
    title : str
    """
    top = end_of_scale(data[inside])
    signed = bool((data < 0).any())
    share = data / top if top else data
    scale = matplotlib.colormaps[style.DIVERGING if signed else style.SEQUENTIAL]
    sections = []
    for axis in (2, 1, 0):
        back, front = (np.take(volume, peak[axis], axis) for volume in (grey, share))
        alpha = np.clip(np.abs(front) / 0.6, 0, 1)[..., None]  # weak values fade, as in the figures
        colours = scale((front + 1) / 2 if signed else front)[..., :3]
        mixed = back[..., None] * (1 - alpha) + colours * alpha
        kept = [other for other in range(3) if other != axis]
        # Columns run from left to right or from back to front, rows from the top down.
        flips = tuple(slice(None, None, int(np.sign(COMMON.affine[other, other]))) for other in kept)
        pixels = (mixed[flips].transpose(1, 0, 2)[::-1] * 255).round().astype(np.uint8)
        size = (FINER * pixels.shape[1], FINER * pixels.shape[0])
        sections.append(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    width, height = sum(s.width + GAP for s in sections), TITLE + max(s.height for s in sections)
    panel = Image.new("RGB", (width, height + GAP))
    at = 0
    for section in sections:
        panel.paste(section, (at, TITLE + (height - TITLE - section.height) // 2))
        at += section.width + GAP
    text = title if top else f"{title}: 0 everywhere"
    ImageDraw.Draw(panel).text((GAP, 3), text, fill="#d5dbe1", font=ImageFont.load_default(14))
    return panel
