"""Areas under curves, with ties and with weights, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from voxplain.evaluation.localization import rank_map, score


@pytest.fixture(params=[0, 1, 2], ids=["many ties", "some ties", "few ties"])
def case(request):
    rng = np.random.default_rng(request.param)
    brain = rng.random((9, 8, 7)) < 0.8
    truth = rng.random(brain.shape) < 0.1
    return (rng.normal(size=brain.shape) + truth).round(request.param), truth, brain


def test_auc_and_average_precision(case):
    volume, truth, brain = case
    ours, planted, strength = score(*case), truth[brain], np.abs(volume[brain])
    assert len(np.unique(strength)) < strength.size
    assert ours["auc"] == pytest.approx(roc_auc_score(planted, strength))
    assert ours["average_precision"] == pytest.approx(average_precision_score(planted, strength))


def test_a_moved_truth_that_lost_voxels(case):
    """Its planted voxels, and the others, then weigh as much as those of the real truth together."""
    volume, truth, brain = case
    rng, strength = np.random.default_rng(9), np.abs(volume[brain])
    size, voxels = int(truth[brain].sum()), int(brain.sum())
    moved = rng.choice(voxels, size - 5, replace=False)
    planted = np.isin(np.arange(voxels), moved)
    weights = np.where(planted, size / (size - 5), (voxels - size) / (voxels - size + 5))
    ours = rank_map(*case).measure(moved)
    assert ours["auc"] == pytest.approx(roc_auc_score(planted, strength, sample_weight=weights))
    assert ours["average_precision"] == pytest.approx(average_precision_score(planted, strength, sample_weight=weights))
    assert ours["inside"] == pytest.approx(np.average(planted, weights=weights * strength))
