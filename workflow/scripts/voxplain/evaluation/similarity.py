"""How alike two maps are inside the brain: by the order of their values and by their structure."""

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse

MEASURES = ("spearman", "spearman_absolute", "ssim")
# What a table of comparisons holds of each measure: its mean and its standard deviation.
COLUMNS = tuple(column for measure in MEASURES for column in (measure, f"{measure}_sd"))
WINDOW = 7  # voxels, of the SSIM: scikit-image's own default


def similarity(first: np.ndarray, second: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """Compare two maps inside the brain, in the three ways of Adebayo et al. 2018 (arXiv 1810.03292, section 3).

    Parameters
    ----------
    first, second : ndarray [D, H, W]
        Finite; of any scale, since only ranks and shares of the largest value count.
    brain : ndarray of bool [D, H, W]
        Only these voxels count.

    Returns
    -------
    dict
        ``spearman``: Spearman's rho of the maps as they are; ``spearman_absolute``: of their absolute values; ``ssim``:
        structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861) of the absolute values. A rank
        correlation with a map that is constant in the brain (of a dead network, say) has no value, and neither has the
        SSIM of a map that is 0 there: NaN.

    Raises
    ------
    InputError
        For unequal shapes, maps that are not finite, an empty brain, and volumes smaller than the window of the SSIM.

    Notes
    -----
    For the SSIM each absolute map is divided by its own largest value in the brain and set to 0 outside, so that no
    window at the rim sees what lies there; the index of scikit-image (windows of 7×7×7 voxels, data range 1) is
    averaged over the brain's voxels.

    Similarity by chance is 0 for the signed ranks only. Absolute maps share whatever multiplies both: for two maps of
    the form weights × image, with independent normal weights and a normal image, ``spearman_absolute`` is 0.47 and
    ``ssim`` about 0.4. And maps near 0 almost everywhere are alike by the SSIM whatever their few large values show,
    because its constants outweigh variances below 0.0009: it is about 0.7 for independent draws of Student's t
    with 2 degrees of freedom.
    """
    first, second, brain = _checked(first, second, brain)
    absolute = np.abs(first), np.abs(second)
    return {
        "spearman": _spearman(first[brain], second[brain]),
        "spearman_absolute": _spearman(absolute[0][brain], absolute[1][brain]),
        "ssim": _ssim(*absolute, brain),
    }


def compare_maps(maps: np.ndarray, others: np.ndarray, brain: np.ndarray) -> pd.DataFrame:
    """Compare the maps of people in one setting with those of the same people in another.

    Parameters
    ----------
    maps, others : array [n, D, H, W]
        Map i of both belongs to the same person.
    brain : ndarray of bool [D, H, W]

    Returns
    -------
    DataFrame
        Two rows: of the ``level`` ``people`` each measure of `similarity` as mean over people and ``{measure}_sd``
        (ddof 1; NaN for one person), and of the level ``population`` the similarity of the two means over people of
        the signed maps, neither normalised nor smoothed. ``people`` is n, ``undefined`` the number of people for whom
        the rank correlation of the absolute maps is not defined; means leave out what is not defined.

    Raises
    ------
    InputError
        As `similarity`, and for unequal numbers of maps or none.
    """
    maps, others = np.asarray(maps), np.asarray(others)
    if len(maps) != len(others) or not len(maps):
        refuse(f"{len(maps)} maps and {len(others)} to compare them with: one of each per person is needed.")
    single = pd.DataFrame([similarity(a, b, brain) for a, b in zip(maps, others, strict=True)])
    joint = similarity(maps.mean(axis=0, dtype=np.float64), others.mean(axis=0, dtype=np.float64), brain)
    spread = single.std().add_suffix("_sd")
    rows = [{"level": "people", **single.mean(), **spread}, {"level": "population", **joint}]
    people = {"people": len(maps), "undefined": int(single["spearman_absolute"].isna().sum())}
    return pd.DataFrame([row | people for row in rows], columns=["level", *COLUMNS, *people])


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:  # ranks that are all equal correlate with nothing
        return float("nan")
    return float(spearmanr(first, second).statistic)


def _ssim(first: np.ndarray, second: np.ndarray, brain: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    largest = first[brain].max(), second[brain].max()
    if not all(largest):
        return float("nan")
    scaled = [np.where(brain, one / top, 0) for one, top in zip((first, second), largest, strict=True)]
    _, of_voxels = structural_similarity(*scaled, win_size=WINDOW, data_range=1, full=True)
    return float(of_voxels[brain].mean())


def _checked(first, second, brain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    brain = np.asarray(brain, dtype=bool)
    if not first.shape == second.shape == brain.shape:
        refuse(f"Maps {first.shape} and {second.shape} and brain mask {brain.shape} must have one shape.")
    if min(brain.shape, default=0) < WINDOW:
        refuse(f"Maps of {brain.shape} voxels are smaller than the {WINDOW} voxels of a window of the SSIM.")
    if not brain.any():
        refuse("The brain mask is empty, so there is nothing to compare.")
    if not (np.isfinite(first[brain]).all() and np.isfinite(second[brain]).all()):
        refuse("Maps to compare must be finite inside the brain.")
    return first, second, brain
