"""From maps to the word: the truth itself, its opposite, and noise."""

import numpy as np
import pandas as pd
import pytest

from voxplain.evaluation.shuffled_truth import score_beside_chance, shuffle_truth
from voxplain.evaluation.verdicts import Thresholds, judge_methods

SHAPE = (16, 16, 16)
BRAIN, BLOCK = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
BRAIN[1:-1, 1:-1, 1:-1] = True
BLOCK[3:8, 4:9, 3:7] = True


def test_the_truth_passes_localisation_and_its_opposite_and_noise_do_not():
    """Twenty maps of noise: by chance one is better than 95 % of the misplaced truths, and hardly ever five are."""
    places = shuffle_truth(BLOCK, BRAIN, 199, seed=1)

    def judged(volume):
        row = score_beside_chance(volume, BLOCK, BRAIN, places)
        table = pd.DataFrame([row]).assign(method="lrp", group="joint", level="population")
        found = judge_methods({"localization": table}, ["lrp"], Thresholds()).set_index("criterion")
        return row["auc"], row["dice"], found.loc["localization", "verdict"]

    noise = np.random.default_rng(0).normal(size=(20, *SHAPE))
    assert judged(BLOCK.astype(float)) == (1, 1, "passes")
    assert judged(np.where(BLOCK, 0, np.abs(noise[0]))) == (0, 0, "fails")
    auc, _, words = zip(*(judged(volume) for volume in noise), strict=True)
    assert words.count("passes") < 5
    assert np.mean(auc) == pytest.approx(0.5, abs=0.023)  # 3.5 standard errors: 1 / √(12 · 100 · 20) each
