"""First layer and regions against numpy, scipy and statsmodels used as anybody would."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from scipy.stats import entropy, spearmanr
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttest_ind

from voxplain.evaluation.morphometry import compare
from voxplain.features.first_layer import describe
from voxplain.features.group_differences import compare_groups
from voxplain.models.voxel_cnn import VoxelCNN


@pytest.mark.parametrize("bins", [256, 10])
def test_mean_and_entropy(bins):
    torch.manual_seed(3)
    model = VoxelCNN(shape=(16, 14, 12), channels=5, blocks=1).eval()
    model.features[0].norm.running_mean.normal_(0, 0.3)
    stack = np.random.default_rng(0).normal(size=(6, 16, 14, 12)).astype(np.float32)
    rows = [4, 1, 3]
    table = describe(model, stack, rows, "cpu", bins=bins, batch_size=2)
    with torch.no_grad():
        block = model.features[0]
        activations = torch.relu(block.norm(block.conv(torch.from_numpy(stack[rows])[:, None]))).numpy()
    for feature in range(5):
        of_feature = activations[:, feature].astype(np.float64)
        edges = np.linspace(of_feature.min(), of_feature.max(), bins + 1)
        expected = [entropy(np.histogram(person, edges)[0]) for person in of_feature]
        ours = table[table["feature"] == feature]
        assert ours["row"].tolist() == rows
        # A value within rounding of a bin's edge may fall on either side.
        np.testing.assert_allclose(ours["entropy"], expected, atol=2e-3)
        np.testing.assert_allclose(ours["mean"], of_feature.mean(axis=(1, 2, 3)), rtol=1e-6)


@pytest.fixture
def cohort():
    rng = np.random.default_rng(8)
    people, features = 40, 12
    target = np.where(rng.random(people) < 0.4, "F", "M")
    tiv = rng.normal(1.4e6, 1e5, people) + 1.2e5 * (target == "M")
    values = rng.normal(size=(people, features)) + 5e-6 * tiv[:, None] * rng.random(features)
    values += (target == "M")[:, None] * rng.normal(size=features)
    ids = [f"p{i}" for i in range(people)]
    long = pd.DataFrame(values, index=ids).rename_axis("participant_id").stack().rename("mean").reset_index()
    long = long.rename(columns={"level_1": "feature"}).assign(entropy=0.0)
    return long.assign(target=np.repeat(target, features)), values, target == "M", pd.Series(tiv, index=ids)


@pytest.mark.parametrize("adjusted", ["none", "tiv"])
def test_group_differences(cohort, adjusted):
    long, values, men, tiv = cohort
    table = compare_groups(long, ["F", "M"], tiv)
    table = table[(table["statistic"] == "mean") & (table["adjusted"] == adjusted)].reset_index(drop=True)
    if adjusted == "tiv":
        design = sm.add_constant((tiv.to_numpy() - tiv.mean()) / 1e5)
        values = np.column_stack([sm.OLS(column, design).fit().resid + column.mean() for column in values.T])
    p = []
    for column, row in zip(values.T, table.itertuples(), strict=True):
        a, b = column[~men], column[men]
        t, p_value, df = ttest_ind(b, a, usevar="unequal")
        assert (row.t, row.p, row.df) == pytest.approx((t, p_value, df), rel=1e-8)
        g, variance = effectsize_smd(b.mean(), b.std(ddof=1), len(b), a.mean(), a.std(ddof=1), len(a))
        assert row.hedges_g == pytest.approx(g, rel=1e-8)
        # statsmodels divides g² by 2(n - 3.94), not by 2n.
        assert row.ci_high - row.ci_low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.03)
        p.append(p_value)
    reject, q, *_ = multipletests(p, alpha=0.05, method="fdr_bh")
    np.testing.assert_allclose(table["q"], q, rtol=1e-8)
    assert table["significant"].tolist() == reject.tolist()
    assert 0 < reject.sum() < len(reject)


def test_spearman_over_regions():
    rng = np.random.default_rng(4)
    names = [f"Region {i} {side}" for i in range(20) for side in "LR"]
    shares, weights = rng.random(40), rng.normal(size=40).round(1)
    regions = pd.DataFrame({"method": "m", "group": "joint", "region": names, "hemisphere": "", "share": shares})
    features = [f"FS_{name.replace(' ', '_')}_Vol" for name in names]
    importance = pd.DataFrame({"model": "logistic", "kind": "coefficient", "feature": features, "mean": weights})
    _, correlation = compare(importance.sample(frac=1, random_state=0), regions)
    assert correlation["spearman"][0] == pytest.approx(spearmanr(np.abs(weights), shares).statistic)
