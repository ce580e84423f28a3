"""Where relevance differs between classes, follows a number, or is not 0: permutation tests over voxels or regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.progress import Progress
from voxplain.evaluation.relevance_matrix import RelevanceMatrix, column_blocks

CHUNK = 4096  # columns at a time, and fewer where that many correlations would not fit into 256 MB of float32
MOST_VALUES = 2**26
# Of correlations, which lie between −1 and 1: less than this between two of them is rounding of float32.
ROUNDING = 1e-6
# Relative to its size: a column that varies less does so by rounding only.
NOT_VARYING = 1e-6


@dataclass(frozen=True)
class Contrast:
    """One test and its permutations.

    Attributes
    ----------
    name : {'difference', 'slope', 'mean'}
    groups : tuple of str
        Difference: (B, A) for A minus B, or (A,) for A minus all others. Empty otherwise.
    designs : ndarray [1 + permutations, n]
        What the maps of people are correlated with: membership (int8), number (float64), or sign (int8); the first row
        is the observed one.
    """

    name: str
    groups: tuple[str, ...]
    designs: np.ndarray


@dataclass(frozen=True)
class Tested:
    """Results of K contrasts that share their permutations, at V columns.

    Attributes
    ----------
    t : float64 ndarray [K, V]
        0 where a column does not vary.
    p : float64 ndarray [K, V]
        Two-sided permutation p of the column alone.
    p_fwe : float64 ndarray [K, V]
        The same, corrected for all columns and all contrasts by the largest |t| (Westfall & Young 1993; Nichols &
        Holmes 2002, doi 10.1002/hbm.1058).
    largest : float64 ndarray [permutations]
        Largest |t| of every permutation, over columns and contrasts.
    """

    t: np.ndarray
    p: np.ndarray
    p_fwe: np.ndarray
    largest: np.ndarray

    def threshold(self, alpha: float) -> float:
        """Return the |t| above which p_fwe ≤ `alpha`; NaN when the permutations are too few for any."""
        allowed = int(np.floor(alpha * (1 + len(self.largest)) + 1e-9)) - 1
        return float(np.sort(self.largest)[::-1][allowed]) if 0 <= allowed < len(self.largest) else float("nan")

    def q(self) -> np.ndarray:
        """Return p adjusted for the false discovery rate over all columns and contrasts (Benjamini & Hochberg 1995).

        Returns
        -------
        float64 ndarray [K, V]
            At least K·V / (1 + permutations) over the number of columns that reach the smallest p: for 0.05 one
            region among 200 needs 3,999 permutations, where the family-wise error needs 19.
        """
        from scipy.stats import false_discovery_control

        return false_discovery_control(self.p.ravel()).reshape(self.p.shape)


def target_contrasts(
    people: pd.DataFrame, exchanges: np.ndarray, task: str, groups: Sequence[str] = ()
) -> list[Contrast]:
    """Return the tests of the target: of two classes, of each class against all others, or of a number.

    Parameters
    ----------
    people : DataFrame
        ``target``: class labels, or float.
    exchanges : int ndarray [permutations, n]
        From `voxplain.evaluation.permutations.draw_exchanges`.
    task : {'classification', 'regression'}
    groups : sequence of str
        The classes; of two the second minus the first is tested.

    Raises
    ------
    InputError
        For classes without people, or numbers that do not vary.
    """
    if task == "regression":
        observed = people["target"].to_numpy(dtype=np.float64)
        if np.ptp(observed) == 0:
            refuse(f"The target of all {len(people)} explained people is {observed[0]:g}: nothing can follow it.")
        names, columns = [("slope", ())], [observed]
    else:
        empty = sorted(set(groups) - set(people["target"]))
        if empty or len(groups) < 2:
            refuse(f"A difference needs people of two classes or more, got {list(groups)}; without people:", empty)
        names = [("difference", tuple(groups))] if len(groups) == 2 else [("difference", (one,)) for one in groups]
        columns = [(people["target"] == own[-1]).to_numpy(dtype=np.int8) for _, own in names]
    return [
        Contrast(*name, np.concatenate([column[None], column[exchanges]]))
        for name, column in zip(names, columns, strict=True)
    ]


def mean_contrast(signs: np.ndarray) -> Contrast:
    """Return the test of the mean over people against 0.

    Parameters
    ----------
    signs : int8 ndarray [permutations, n]
        From `voxplain.evaluation.permutations.draw_signs`.
    """
    return Contrast("mean", (), np.concatenate([np.ones((1, signs.shape[1]), dtype=np.int8), signs]))


def permutation_test(values: RelevanceMatrix | np.ndarray, contrasts: Sequence[Contrast]) -> Tested:
    """Test every column by permutations, with control of the family-wise error over columns and contrasts.

    Parameters
    ----------
    values : RelevanceMatrix or ndarray [n, V]
        Relevance of people at voxels or in regions; finite.
    contrasts : sequence of Contrast
        Of one kind and with the same permutations: those of `target_contrasts`, or the one of `mean_contrast`.

    Returns
    -------
    Tested

    Raises
    ------
    InputError
        For too few people, or values that are not finite.

    Notes
    -----
    t is that of ordinary least squares with an intercept (for two classes: Student's with pooled variance), of the
    mean: of one sample. With r the correlation of column and design (uncentred for a mean) and df degrees of freedom

        t = r · √df / √(1 − r²),    df = n − 2, of a mean n − 1.

    Neither permutations nor signs change the norm of a column, so that |t| and |r| have one order and all
    permutations are one matrix product. p counts the data as one of the permutations (Phipson & Smyth 2010).

    Relevance is conditional on the trained networks: people explained by one network share it, and the test says what
    holds for other people under the same networks, not what networks trained anew would show. Maps of the class that
    a person belongs to (targets ``true`` and ``predicted``) explain other outputs in people of other classes and
    differ between classes for that reason alone.

    Memory: up to 0.4 GB, and 4 bytes a contrast, permutation and person, beside `values`, which are not copied as a
    whole, and the contrasts.
    """
    centred = contrasts[0].name != "mean"
    people, columns = values.shape
    degrees = people - 1 - centred
    if degrees < 1:
        refuse(f"A test needs {2 + centred} people or more, got {people}.")
    count, rows = len(contrasts), len(contrasts[0].designs)
    observed, drawn = np.empty((count, people)), np.empty((count, rows - 1, people), dtype=np.float32)
    for number, contrast in enumerate(contrasts):
        observed[number] = _unit_row(contrast.designs[0], centred)
        for place, design in enumerate(contrast.designs[1:]):
            drawn[number, place] = _unit_row(design, centred)
    drawn = drawn.reshape(-1, people)
    found, as_large, largest = np.zeros((count, columns)), np.zeros((count, columns), dtype=int), np.zeros(rows - 1)
    progress = Progress("permutation test: columns", columns)
    for here, own in column_blocks(values, min(CHUNK, max(1, MOST_VALUES // max(1, len(drawn))))):
        block = _unit_columns(own, centred)
        found[:, here] = observed @ block
        size = drawn @ block.astype(np.float32)
        size = np.abs(size, out=size).reshape(count, rows - 1, -1)
        as_large[:, here] = (size >= np.abs(found[:, None, here]) - ROUNDING).sum(axis=1)
        largest = np.maximum(largest, size.max(axis=(0, 2)))
        progress.step(block.shape[1])
    beaten = len(largest) - np.searchsorted(np.sort(largest), np.abs(found) - ROUNDING, side="left")
    return Tested(
        _t_of(found, degrees), (1 + as_large) / rows, (1 + beaten) / rows, _t_of(np.minimum(largest, 1), degrees)
    )


def _unit_row(design: np.ndarray, centred: bool) -> np.ndarray:
    row = np.asarray(design, dtype=np.float64)
    row = row - row.mean() if centred else row
    return row / np.linalg.norm(row)


def _unit_columns(values: np.ndarray, centred: bool) -> np.ndarray:
    """Return columns of norm 1, centred or not; those that do not vary (or, not centred, are 0) as 0."""
    block = np.array(values, dtype=np.float64, order="C")
    mean = np.ones(len(block)) @ block / len(block) if centred else np.zeros(block.shape[1])
    if centred:
        block -= mean
    squares = np.einsum("ij,ij->j", block, block)
    if not np.isfinite(squares).all():
        refuse("Relevance to test must be finite; the maps hold NaN or infinite voxels.")
    norm, size = np.sqrt(squares), np.sqrt(squares + len(block) * np.square(mean))
    block *= np.divide(1, norm, out=np.zeros_like(norm), where=norm > NOT_VARYING * size)
    return block


def _t_of(r: np.ndarray, degrees: int) -> np.ndarray:
    """Return Student's t of a correlation; of a perfect one 1e6 · √df rather than infinity, which no image may hold."""
    return r * np.sqrt(degrees) / np.sqrt(np.maximum(1 - np.square(r), 1e-12))
