"""The picture of the noise models' own test."""

import numpy as np
import pandas as pd
import pytest

from voxplain.reporting.noise_utility import ORDERS, draw_noise_utility


@pytest.fixture
def utility():
    shares = [0, 50, 100]
    rows = [("importance", share, "mae", 60 - share / 2, 2.0, 5) for share in shares]
    rows += [("random", share, "mae", 60 - share / 4, 3.0, 5) for share in shares[::-1]]
    return pd.DataFrame(rows, columns=["order", "share_clean", "metric", "mean", "sd", "folds"])


def test_both_orders_from_none_to_all_voxels_with_their_spread(utility, tmp_path, figures, texts_of):
    draw_noise_utility(utility, tmp_path / "noise.svg")
    (axes,) = figures[0].axes
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(drawn[ORDERS["importance"][0]], [[0, 60], [50, 35], [100, 10]])
    np.testing.assert_allclose(drawn[ORDERS["random"][0]], [[0, 60], [50, 47.5], [100, 35]])
    lowest = [band.get_paths()[0].vertices[:, 1].min() for band in axes.collections]
    assert lowest == [8, 32]
    assert "Mean absolute error" in texts_of(figures[0])


def test_one_fold_has_no_spread(utility, tmp_path):
    draw_noise_utility(utility.assign(sd=np.nan), tmp_path / "noise.svg")
    assert (tmp_path / "noise.svg").stat().st_size > 1000
