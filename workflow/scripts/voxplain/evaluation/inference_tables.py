"""Tables and maps of tests of relevance: what is significant, where, and how strongly."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxplain.evaluation.inference import Contrast, Tested
from voxplain.population.atlas import Atlas

REGION_COLUMNS = [
    *("atlas", "index", "region", "hemisphere", "contrast", "groups", "t", "p", "p_fwe", "q", "people", "clusters"),
    *("permutations", "smallest_p"),
]


def summarise_test(tested: Tested, contrasts: Sequence[Contrast], alpha: float) -> pd.DataFrame:
    """Return how much is significant, one row a contrast.

    Returns
    -------
    DataFrame
        ``contrast, groups`` (``A-B`` for A minus B, ``A-others``, or ``n/a``), ``voxels_significant`` (p_FWE ≤
        `alpha`), ``share`` (of the brain), ``voxels_fdr`` (q ≤ `alpha`), ``max_t`` (signed, the largest by size),
        ``threshold_t`` (|t| beyond which p_FWE ≤ `alpha`) and ``min_p`` (smallest p_FWE).
    """
    q = tested.q()
    rows = []
    for number, contrast in enumerate(contrasts):
        t, p = tested.t[number], tested.p_fwe[number]
        rows.append(
            {
                "contrast": contrast.name,
                "groups": spelled_groups(contrast),
                "voxels_significant": int((p <= alpha).sum()),
                "share": float((p <= alpha).mean()),
                "voxels_fdr": int((q[number] <= alpha).sum()),
                "max_t": float(t[np.abs(t).argmax()]),
                "threshold_t": tested.threshold(alpha),
                "min_p": float(p.min()),
            }
        )
    return pd.DataFrame(rows)


def spelled_groups(contrast: Contrast) -> str | None:
    """Return ``A-B`` for class A minus class B, ``A-others``, or None for a slope and a mean."""
    if not contrast.groups:
        return None
    return "-".join(contrast.groups[::-1]) if len(contrast.groups) == 2 else f"{contrast.groups[0]}-others"


def strongest_contrast(tested: Tested) -> tuple[np.ndarray, np.ndarray]:
    """Return, of every column, t and signed −log10 p_FWE of the contrast with the largest |t|.

    Returns
    -------
    t, signed_log_p : float64 ndarray [V]
        The sign is that of t; 1.3 stands for p_FWE = 0.05.
    """
    place = np.abs(tested.t).argmax(axis=0)[None]
    t = np.take_along_axis(tested.t, place, axis=0)[0]
    p = np.take_along_axis(tested.p_fwe, place, axis=0)[0]
    return t, -np.log10(p) * np.sign(t)


def region_rows(tested: Tested, contrasts: Sequence[Contrast], name: str, atlas: Atlas) -> pd.DataFrame:
    """Return the test of every region of an atlas, one row a contrast and region.

    Parameters
    ----------
    tested : Tested
        Of the atlas's regions alone, which are the family that errors are controlled over.
    contrasts : sequence of Contrast
    name : str
        Of the atlas in the configuration.
    atlas : Atlas

    Returns
    -------
    DataFrame
        ``atlas, index, region, hemisphere, contrast, groups``; ``t`` of the mean relevance in the region; ``p``
        (two-sided, of the region alone), ``p_fwe`` and ``q`` (of `Tested`).
    """
    q = tested.q()
    parts = []
    for number, contrast in enumerate(contrasts):
        part = pd.DataFrame(
            {
                "index": atlas.regions["index"].to_numpy(),
                "region": atlas.regions["name"].to_numpy(),
                "hemisphere": atlas.regions["hemisphere"].to_numpy(),
                "contrast": contrast.name,
                "groups": spelled_groups(contrast),
                "t": tested.t[number],
                "p": tested.p[number],
                "p_fwe": tested.p_fwe[number],
                "q": q[number],
            }
        )
        part.insert(0, "atlas", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
