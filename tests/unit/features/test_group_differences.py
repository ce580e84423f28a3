import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.features.group_differences import compare_groups, count_significant

LABELS = ["F", "M"]


def table_of(women, men, entropy=None):
    """Return the long table of features: `women` and `men` are [people, features]."""
    values = np.vstack([women, men]).astype(float)
    entropies = values if entropy is None else np.asarray(entropy, dtype=float)
    people, features = values.shape
    return pd.DataFrame(
        {
            "participant_id": np.repeat([f"p{i:02d}" for i in range(people)], features),
            "target": np.repeat(["F"] * len(women) + ["M"] * len(men), features),
            "feature": np.tile(np.arange(features), people),
            "mean": values.ravel(),
            "entropy": entropies.ravel(),
        }
    )


@pytest.fixture
def random():
    rng = np.random.default_rng(5)
    shift = np.array([0, 0, 4, -4, 0, 4])
    table = table_of(rng.normal(size=(14, 6)), rng.normal(size=(11, 6)) * 1.5 + shift, rng.normal(size=(25, 6)))
    return table, pd.Series(1.4e6 + 1e5 * rng.normal(size=25), index=[f"p{i:02d}" for i in range(25)])


def test_known_values():
    table = compare_groups(table_of([[1], [2], [3]], [[3], [4], [5]]), LABELS)
    assert list(table.columns) == [
        *("feature", "statistic", "adjusted"),
        *("mean_F", "sd_F", "n_F", "mean_M", "sd_M", "n_M"),
        *("difference", "t", "df", "p", "q", "hedges_g", "ci_low", "ci_high", "significant"),
    ]
    assert list(zip(table["statistic"], table["adjusted"], strict=True)) == [("mean", "none"), ("entropy", "none")]
    row = table.iloc[0]
    assert row[["mean_F", "sd_F", "n_F", "mean_M", "sd_M", "n_M", "difference"]].tolist() == [2, 1, 3, 4, 1, 3, 2]
    assert row["t"] == pytest.approx(2 / np.sqrt(2 / 3))
    assert row["df"] == pytest.approx(4)
    assert row["hedges_g"] == pytest.approx(2 * (1 - 3 / 15))
    reach = 1.959963984540054 * np.sqrt(6 / 9 + 1.6**2 / 12)
    assert row[["ci_low", "ci_high"]].tolist() == pytest.approx([1.6 - reach, 1.6 + reach])
    assert row["p"] == row["q"] == pytest.approx(0.0705, abs=1e-4)
    assert not row["significant"]


def test_a_feature_that_is_the_same_in_everybody_is_not_tested(random):
    table, tiv = random
    dead = table[table["feature"] == 0].assign(feature=9, mean=0.1, entropy=0.0)
    whole = compare_groups(pd.concat([table, dead]), LABELS, tiv)
    rows = whole[whole["feature"] == 9]
    assert len(rows) == 4
    assert rows[["t", "df", "p", "q", "hedges_g", "ci_low", "ci_high"]].isna().all(axis=None)
    assert not rows["significant"].any()
    assert rows["difference"].abs().max() < 1e-12
    # The others' q does not count it.
    others = whole[whole["feature"] != 9].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, compare_groups(table, LABELS, tiv))


def test_what_is_constant_within_each_class_has_no_effect_size():
    row = compare_groups(table_of([[1]] * 3, [[2]] * 3), LABELS).iloc[0]
    assert row["difference"] == 1
    assert np.isnan(row["t"])
    assert not row["significant"]


def test_order_of_rows_and_of_labels(random):
    table, tiv = random
    result = compare_groups(table, LABELS, tiv)
    shuffled = compare_groups(table.sample(frac=1, random_state=0), LABELS, tiv.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(shuffled, result)
    swapped = compare_groups(table, LABELS[::-1], tiv)
    for column in ("difference", "t", "hedges_g"):
        np.testing.assert_allclose(swapped[column], -result[column])
    np.testing.assert_allclose(swapped["ci_low"], -result["ci_high"])
    np.testing.assert_allclose(swapped["q"], result["q"])
    np.testing.assert_allclose(swapped["mean_M"], result["mean_M"])


def test_scale_of_features_and_of_head_size_does_not_matter(random):
    table, tiv = random
    result = compare_groups(table, LABELS, tiv)
    scaled = compare_groups(table.assign(mean=5 + 1e-3 * table["mean"]), LABELS, 0.5 * tiv - 3e5)
    np.testing.assert_allclose(scaled[["t", "q", "hedges_g"]], result[["t", "q", "hedges_g"]], rtol=1e-6)


def test_a_difference_of_size_alone_goes_when_size_is_taken_away():
    rng = np.random.default_rng(0)
    tiv = np.concatenate([rng.normal(1.35e6, 1e5, 30), rng.normal(1.55e6, 1e5, 30)])
    size_only = 1e-6 * tiv + rng.normal(0, 0.02, 60)
    beside = 3 * (np.arange(60) >= 30) + rng.normal(0, 1, 60)
    linear = 2e-6 * tiv - 1
    values = np.column_stack([size_only, beside, linear])
    table = compare_groups(
        table_of(values[:30], values[30:]), LABELS, {f"p{i:02d}": size for i, size in enumerate(tiv)}
    )
    means = table[table["statistic"] == "mean"]
    none, adjusted = (means[means["adjusted"] == how].set_index("feature") for how in ("none", "tiv"))
    assert none["significant"].tolist() == [True, True, True]
    assert adjusted["significant"].tolist() == [False, True, False]
    assert np.isnan(adjusted.loc[2, "p"]), "what is exactly linear in size leaves rounding, not a result"
    total = 30 * adjusted["mean_F"] + 30 * adjusted["mean_M"]
    np.testing.assert_allclose(total / 60, values.mean(axis=0)), "the mean over everybody stays"


def test_people_of_unknown_size_are_left_out_of_the_adjusted_rows_only(random):
    table, tiv = random
    known = tiv.drop(["p00", "p20"])
    known["p03"] = np.nan
    result = compare_groups(table, LABELS, known)
    assert result.groupby("adjusted")[["n_F", "n_M"]].first().to_dict("index") == {
        "none": {"n_F": 14, "n_M": 11},
        "tiv": {"n_F": 12, "n_M": 10},
    }
    left = table[~table["participant_id"].isin(["p00", "p20", "p03"])]
    adjusted = result[result["adjusted"] == "tiv"]
    without = compare_groups(left, LABELS, tiv)
    pd.testing.assert_frame_equal(adjusted, without[without["adjusted"] == "tiv"])


@pytest.mark.parametrize("tiv", [None, {}, {"p00": np.nan}, {"stranger": 1.0}])
def test_without_any_head_size_nothing_is_adjusted(random, tiv):
    assert set(compare_groups(random[0], LABELS, tiv)["adjusted"]) == {"none"}


def test_a_class_of_one_person_is_not_tested():
    table = compare_groups(table_of([[1, 2]], [[3, 4], [5, 4]]), LABELS, {"p00": 1.0})
    assert table["t"].isna().all()
    assert table.loc[table["adjusted"] == "tiv", ["n_F", "n_M"]].drop_duplicates().to_numpy().tolist() == [[1, 0]]
    assert not table["significant"].any()


def test_count(random):
    table, tiv = random
    both = pd.concat([compare_groups(table, LABELS, tiv).assign(fold=fold) for fold in ("0", "1")])
    counts = count_significant(both, LABELS)
    assert list(counts.columns) == ["fold", "statistic", "adjusted", "features", "higher_F", "higher_M"]
    assert len(counts) == 8
    assert (counts["features"] == 6).all()
    first = counts[(counts["statistic"] == "mean") & (counts["adjusted"] == "none")]
    assert first[["higher_F", "higher_M"]].to_numpy().tolist() == [[1, 2], [1, 2]]
    found = both["significant"] & (both["difference"] < 0)
    assert counts["higher_F"].sum() == found.sum()
    assert "fold" not in count_significant(compare_groups(table, LABELS), LABELS)


def test_refusals(random):
    with pytest.raises(InputError, match=r"(?s)two classes.*  - a\n  - b\n  - c"):
        compare_groups(random[0], ["a", "b", "c"])
    with pytest.raises(InputError, match="regression"):
        compare_groups(random[0], [])
    with pytest.raises(InputError, match="'M'"):
        compare_groups(random[0], ["F", "X"])
