"""Population statistics, smoothing, overlap and region means against scipy, scikit-learn and nilearn."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.image import smooth_img
from nilearn.maskers import NiftiLabelsMasker
from scipy.spatial.distance import dice as dice_distance
from scipy.stats import rankdata, spearmanr, ttest_1samp
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from voxplain.evaluation.localization import score
from voxplain.imaging.grid import COMMON
from voxplain.population.atlas import Atlas
from voxplain.population.overlap import agreement, dice, spearman
from voxplain.population.regions import region_scores
from voxplain.population.summary import smooth, summarise


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_t_against_scipy(rng):
    maps = rng.normal(0.3, 1, (9, 5, 6, 7)).astype(np.float32)
    ours = summarise(zip("abcdefghi", maps, strict=True), "t")
    np.testing.assert_allclose(ours, ttest_1samp(maps.astype(np.float64), 0).statistic, rtol=1e-5, atol=1e-6)


def test_means_against_numpy(rng):
    maps = rng.normal(0, 1, (7, 5, 6, 7)).astype(np.float32)
    for statistic, expected in (
        ("mean_signed", maps.mean(0, dtype=float)),
        ("mean_absolute", np.abs(maps).mean(0, dtype=float)),
        ("mean_rectified", np.clip(maps, 0, None).mean(0, dtype=float)),
    ):
        np.testing.assert_allclose(summarise(zip("abcdefg", maps, strict=True), statistic), expected, atol=1e-6)


def test_smoothing_against_nilearn(rng):
    volume = rng.normal(size=(20, 22, 18)).astype(np.float32)
    theirs = smooth_img(nib.Nifti1Image(volume, COMMON.affine), 11.0).get_fdata()
    np.testing.assert_allclose(smooth(volume, 11.0, COMMON.affine), theirs, atol=1e-6)


def test_smoothing_in_a_brain_is_the_ratio_of_nilearns(rng):
    volume = rng.normal(size=(20, 22, 18)).astype(np.float32)
    brain = np.zeros(volume.shape, dtype=bool)
    brain[4:16, 3:17, 5:15] = True
    blurred, weight = (
        smooth_img(nib.Nifti1Image(data.astype(np.float64), COMMON.affine), 8.0).get_fdata()
        for data in (volume * brain, brain)
    )
    ours = smooth(volume, 8.0, COMMON.affine, brain)
    np.testing.assert_allclose(ours[brain], blurred[brain] / weight[brain], atol=1e-6)


def test_overlap_against_scipy_and_sklearn(rng):
    a, b = rng.random((8, 9, 7)) < 0.2, rng.random((8, 9, 7)) < 0.4
    assert dice(a, b) == pytest.approx(1 - dice_distance(a.ravel(), b.ravel()))
    assert dice(a, b) == pytest.approx(f1_score(a.ravel(), b.ravel()))
    assert agreement(a, b) == pytest.approx(accuracy_score(a.ravel(), b.ravel()))


def test_rank_correlation_against_scipy(rng):
    a = rng.normal(size=(8, 9, 7)).round(1)
    b = (a + rng.normal(size=a.shape)).round(1)
    within = rng.random(a.shape) < 0.5
    assert spearman(a, b, within) == pytest.approx(spearmanr(a[within], b[within]).statistic)


def test_auc_and_dice_of_equal_volume_against_sklearn(rng):
    brain = rng.random((9, 9, 9)) < 0.8
    truth = rng.random(brain.shape) < 0.1
    volume = (rng.normal(size=brain.shape) + truth).round(1)
    result = score(volume, truth, brain)
    assert result["auc"] == pytest.approx(roc_auc_score(truth[brain], np.abs(volume[brain])))
    distinct = np.abs(volume) + rng.random(brain.shape) * 1e-3
    top = rankdata(-distinct[brain], method="ordinal") <= truth[brain].sum()
    assert score(distinct, truth, brain)["dice"] == pytest.approx(f1_score(truth[brain], top))


def test_region_means_against_nilearn(rng):
    labels = rng.integers(0, 6, COMMON.shape).astype(np.int32)
    labels[labels == 3] = 11
    volume = rng.normal(size=COMMON.shape).astype(np.float32)
    index = [1, 2, 4, 5, 11]
    regions = pd.DataFrame({"index": index, "name": [f"r{i}" for i in index], "hemisphere": "both"})
    table = region_scores(volume, volume > 1, Atlas("random", labels, regions))
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels, COMMON.affine), standardize=None)
    both = np.stack([volume, volume > 1], axis=-1).astype(np.float32)
    theirs = masker.fit_transform(nib.Nifti1Image(both, COMMON.affine))
    np.testing.assert_allclose(table[["mean", "inside"]].T, theirs, atol=1e-5)
