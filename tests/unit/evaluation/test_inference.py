"""Permutation tests of relevance over voxels and regions."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from voxplain.base.errors import InputError
from voxplain.evaluation import inference
from voxplain.evaluation.inference import mean_contrast, permutation_test, target_contrasts
from voxplain.evaluation.inference_tables import region_rows, strongest_contrast, summarise_test
from voxplain.evaluation.permutations import draw_exchanges, draw_signs
from voxplain.models.exchange import exchangeable_blocks
from voxplain.population.atlas import Atlas

PERMUTATIONS = 99


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    ids = [f"p{number:02d}" for number in range(24)]
    return pd.DataFrame({"participant_id": ids, "fold": np.arange(24) % 2, "target": rng.permutation(list("ABC" * 8))})


@pytest.fixture
def values(people):
    relevance = np.random.default_rng(1).normal(0.2, 1, (24, 30))
    relevance[people["target"] == "B", :2] += 3
    return relevance.astype(np.float32)


def drawn(people, seed=5):
    return draw_exchanges(exchangeable_blocks(people), PERMUTATIONS, seed)


def two(people):
    return people.assign(target=np.where(people["target"] == "B", "B", "A"))


def test_t_of_two_classes_of_a_number_and_of_a_mean(people, values):
    of_classes = permutation_test(values, target_contrasts(two(people), drawn(people), "classification", ["A", "B"]))
    second = (people["target"] == "B").to_numpy()
    np.testing.assert_allclose(of_classes.t[0], stats.ttest_ind(values[second], values[~second]).statistic, rtol=1e-4)
    ages = np.random.default_rng(2).normal(30, 5, 24)
    of_number = permutation_test(values, target_contrasts(people.assign(target=ages), drawn(people), "regression"))
    slopes = [stats.linregress(ages, column) for column in values.T.astype(float)]
    np.testing.assert_allclose(of_number.t[0], [one.slope / one.stderr for one in slopes], rtol=1e-4)
    of_mean = permutation_test(values, [mean_contrast(draw_signs(np.arange(24), PERMUTATIONS, 0))])
    np.testing.assert_allclose(of_mean.t[0], stats.ttest_1samp(values, 0).statistic, rtol=1e-4)


def test_p_against_a_plain_loop(people, values):
    """Counts of |t| over the same permutations, class against the others for each of three classes."""
    exchanges, targets = drawn(people), people["target"].to_numpy()
    tested = permutation_test(values, target_contrasts(people, exchanges, "classification", list("ABC")))

    def all_t(labels):
        return np.array([stats.ttest_ind(values[labels == one], values[labels != one]).statistic for one in "ABC"])

    observed, null = np.abs(all_t(targets)), np.abs([all_t(targets[rows]) for rows in exchanges])
    np.testing.assert_allclose(tested.p, (1 + (null >= observed - 1e-6).sum(axis=0)) / (1 + PERMUTATIONS))
    largest = null.max(axis=(1, 2))
    np.testing.assert_allclose(tested.largest, largest, rtol=1e-4)
    corrected = (1 + (largest[:, None, None] >= observed - 1e-6).sum(axis=0)) / (1 + PERMUTATIONS)
    np.testing.assert_allclose(tested.p_fwe, corrected)
    assert (tested.p_fwe >= tested.p).all()
    np.testing.assert_allclose(tested.q().ravel(), stats.false_discovery_control(tested.p.ravel()))
    t, log_p = strongest_contrast(tested)
    np.testing.assert_allclose(np.abs(t), observed.max(axis=0), rtol=1e-4)
    np.testing.assert_allclose(np.abs(log_p), -np.log10(corrected.min(axis=0)))
    assert (np.sign(log_p[:2]) == 1).all()
    assert np.abs(log_p[:2]).min() == 2  # 1 of 100


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3, 1.0])
def test_the_threshold_parts_what_is_significant(people, values, alpha):
    tested = permutation_test(values, target_contrasts(two(people), drawn(people), "classification", ["A", "B"]))
    size = np.abs(tested.t)
    beyond = size > tested.threshold(alpha) * (1 + 1e-5) if alpha < 1 else size >= 0
    np.testing.assert_array_equal(beyond, tested.p_fwe <= alpha)


def test_too_few_permutations_have_no_threshold(people, values):
    contrasts = target_contrasts(two(people), drawn(people)[:9], "classification", ["A", "B"])
    tested = permutation_test(values, contrasts)
    assert np.isnan(tested.threshold(0.05))
    assert summarise_test(tested, contrasts, 0.05)["voxels_significant"].item() == 0


def test_neither_the_order_of_people_nor_the_chunks_matter(people, values, monkeypatch):
    def test(people, values):
        return permutation_test(values, target_contrasts(two(people), drawn(people), "classification", ["A", "B"]))

    expected = test(people, values)
    order = np.random.default_rng(3).permutation(24)
    monkeypatch.setattr(inference, "CHUNK", 7)
    turned = test(people.iloc[order], values[order])
    np.testing.assert_allclose(turned.t, expected.t, rtol=1e-6)
    np.testing.assert_array_equal(turned.p_fwe, expected.p_fwe)
    np.testing.assert_array_equal(turned.p, expected.p)


def test_what_does_not_vary_is_not_significant_and_a_perfect_split_stays_finite(people, values):
    values[:, 5], values[:, 6] = 0, 0.1
    values[:, 7] = people["target"] == "B"
    tested = permutation_test(values, target_contrasts(two(people), drawn(people), "classification", ["A", "B"]))
    assert (tested.t[0, 5:7] == 0).all()
    assert (tested.p[0, 5:7] == 1).all()
    assert (tested.p_fwe[0, 5:7] == 1).all()
    assert 1e5 < tested.t[0, 7] < np.inf


def test_tables_of_voxels_and_regions(people, values):
    contrasts = target_contrasts(two(people), drawn(people), "classification", ["A", "B"])
    tested = permutation_test(values, contrasts)
    row = summarise_test(tested, contrasts, 0.2).iloc[0]
    assert (row["contrast"], row["groups"]) == ("difference", "B-A")
    assert row["voxels_significant"] == (tested.p_fwe <= 0.2).sum() >= 2
    assert row["share"] == row["voxels_significant"] / 30
    assert row["voxels_fdr"] == (tested.q() <= 0.2).sum() >= 2
    assert row["max_t"] == tested.t.max()
    assert row["min_p"] == 0.01
    reversed_ = target_contrasts(two(people), drawn(people), "classification", ["B", "A"])
    assert summarise_test(permutation_test(values, reversed_), reversed_, 0.05)["max_t"].item() < 0
    names = pd.DataFrame({"index": [4, 9], "name": ["X L", "Y R"], "hemisphere": ["left", "right"]})
    atlas = Atlas("toy", np.array([[[4, 9]]]), names)
    three = target_contrasts(people, drawn(people), "classification", list("ABC"))
    own = permutation_test(values[:, [0, 10]], three)
    table = region_rows(own, three, "boxes", atlas)
    assert table["groups"].tolist() == [f"{one}-others" for one in "AABBCC"]
    assert table["region"].tolist() == ["X L", "Y R"] * 3
    np.testing.assert_array_equal(table["t"].to_numpy().reshape(3, 2), own.t)
    assert table.loc[2, "p_fwe"] == 0.01


def test_what_cannot_be_tested_is_refused(people, values):
    with pytest.raises(InputError, match="D"):
        target_contrasts(people, drawn(people), "classification", ["A", "D"])
    with pytest.raises(InputError, match="nothing can follow"):
        target_contrasts(people.assign(target=3.0), drawn(people), "regression")
    contrasts = target_contrasts(people, drawn(people), "classification", list("ABC"))
    values[3, 3] = np.nan
    with pytest.raises(InputError, match="finite"):
        permutation_test(values, contrasts)
    with pytest.raises(InputError, match="3 people"):
        permutation_test(values[:2], [inference.Contrast("slope", (), np.array([[0.0, 1.0]] * 3))])
