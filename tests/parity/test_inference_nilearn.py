"""The permutation test against nilearn's `permuted_ols`."""

import numpy as np
import pandas as pd
import pytest
from nilearn.mass_univariate import permuted_ols

from voxplain.evaluation.inference import mean_contrast, permutation_test, target_contrasts
from voxplain.evaluation.permutations import draw_exchanges, draw_signs
from voxplain.models.exchange import exchangeable_blocks

PERMUTATIONS = 1000


@pytest.fixture(scope="module")
def values():
    relevance = np.random.default_rng(0).normal(size=(30, 40))
    relevance[:15, :6] += np.linspace(0.4, 1.6, 6)
    return relevance.astype(np.float32)


@pytest.mark.parametrize("kind", ["difference", "slope", "mean"])
def test_t_is_the_same_and_p_agrees_within_its_error(values, kind):
    people = pd.DataFrame({"participant_id": [f"{n:02d}" for n in range(30)], "fold": 0})
    if kind == "mean":
        contrasts, tested_variable = [mean_contrast(draw_signs(np.arange(30), PERMUTATIONS, 1))], np.ones((30, 1))
    else:
        first = np.arange(30) < 15
        number = first * 1.0 if kind == "difference" else 3 * first + np.random.default_rng(1).normal(size=30)
        people["target"] = np.where(first, "B", "A") if kind == "difference" else number
        exchanges = draw_exchanges(exchangeable_blocks(people), PERMUTATIONS, 1)
        task = "classification" if kind == "difference" else "regression"
        contrasts, tested_variable = target_contrasts(people, exchanges, task, ["A", "B"]), number[:, None]
    ours = permutation_test(values, contrasts)
    theirs = permuted_ols(
        tested_variable, values.astype(np.float64), model_intercept=kind != "mean", n_perm=PERMUTATIONS,
        two_sided_test=True, random_state=2, output_type="dict", verbose=0,
    )  # fmt: skip
    np.testing.assert_allclose(ours.t, theirs["t"], rtol=1e-5, atol=1e-6)
    p = 10 ** -theirs["logp_max_t"]
    # Both draw at random: four standard errors of the difference of two shares of 1,000.
    error = 4 * np.sqrt(2 * p * (1 - p) / PERMUTATIONS) + 2 / PERMUTATIONS
    assert (np.abs(ours.p_fwe - p) <= error).all()
    assert ours.p_fwe.min() < 0.05 < ours.p_fwe.max()
