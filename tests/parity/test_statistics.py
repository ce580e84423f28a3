"""The statistics against scipy, scikit-learn, statsmodels, and plain scripts."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, roc_auc_score, roc_curve
from statsmodels.stats.proportion import proportion_confint

from voxplain.evaluation.comparison import model_metrics, summarise_models, training_sizes
from voxplain.evaluation.confounds import correlation_rows, tabulate_confounds
from voxplain.evaluation.curves import calibration_bins, calibration_summary, mean_roc
from voxplain.evaluation.intervals import corrected_t, correlation_test, wilson
from voxplain.evaluation.matching import pooled_sd

LABELS = ["F", "M"]


def classified(people, score):
    chances = 1 / (1 + np.exp(-score))
    frame = people.assign(prediction=np.where(score > 0, "M", "F"), score=score, p_F=1 - chances, p_M=chances)
    return [own.reset_index(drop=True) for _, own in frame.groupby("fold")]


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(200)]
    frame = pd.DataFrame({"participant_id": ids, "fold": rng.integers(0, 5, 200)})
    return frame.assign(target=rng.choice(LABELS, 200))


@pytest.fixture(scope="module")
def tiv(people):
    rng = np.random.default_rng(1)
    return 1_400_000 + 120_000 * (people["target"] == "M").to_numpy() + rng.normal(0, 110_000, 200)


@pytest.fixture(scope="module")
def models(people):
    rng = np.random.default_rng(2)
    truth = np.where(people["target"] == "M", 1.0, -1.0)
    return {
        "cnn": classified(people, 2 * truth + rng.normal(0, 2, 200)),
        "svm": classified(people, truth + rng.normal(0, 2, 200)),
    }


def test_without_a_correction_it_is_the_ordinary_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    result, expected = corrected_t(values, 0), stats.ttest_1samp(values, 0)
    assert (result.t, result.df, result.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert (result.low, result.high) == pytest.approx(expected.confidence_interval(0.95))


def test_wilson():
    for successes, count in [(0, 7), (3, 7), (7, 7), (60, 113)]:
        assert wilson(successes, count) == pytest.approx(proportion_confint(successes, count, method="wilson"))


def test_one_correlation():
    rng = np.random.default_rng(0)
    one = rng.normal(size=25)
    other = one + rng.normal(size=25)
    expected = stats.pearsonr(one, other)
    found = correlation_test(expected.statistic, 25)
    assert found == pytest.approx((*expected.confidence_interval(0.95), expected.pvalue))


def test_correlation_within_one_fold_is_the_ordinary_one(people, tiv, models):
    frame = pd.concat(models["cnn"])
    sizes = pd.Series(tiv, people["participant_id"])
    for row in correlation_rows("cnn", [frame], sizes, "classification", LABELS, ""):
        own = frame[frame["target"] == row["group"]]
        expected = stats.pearsonr(own["score"], sizes[own["participant_id"]])
        bounds = expected.confidence_interval(0.95)
        assert (row["mean"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((bounds.low, bounds.high))


def test_pooled_sd_is_the_residual_of_an_analysis_of_variance(people, tiv):
    design = sm.add_constant((people["target"] == "M").astype(float))
    assert pooled_sd(tiv, people["target"]) == pytest.approx(math.sqrt(sm.OLS(tiv, design).fit().mse_resid))


def test_summary_by_a_plain_script(models):
    sizes = {model: training_sizes(frames) for model, frames in models.items()}
    accuracy = model_metrics(models, sizes, "classification", LABELS)
    summary = summarise_models(accuracy, models, "classification", LABELS).set_index(["model", "metric"])
    measures = {
        "accuracy": lambda frame: accuracy_score(frame["target"], frame["prediction"]),
        "balanced_accuracy": lambda frame: balanced_accuracy_score(frame["target"], frame["prediction"]),
        "auc": lambda frame: roc_auc_score(frame["target"] == "M", frame["score"]),
    }
    rho = np.mean([len(frame) / (200 - len(frame)) for frame in models["cnn"]])
    factor = 1 / 5 + rho
    for metric, measure in measures.items():
        cnn, svm = (np.array([measure(frame) for frame in models[model]]) for model in ("cnn", "svm"))
        row, difference = summary.loc[("svm", metric)], svm - cnn
        assert row["mean"] == pytest.approx(svm.mean())
        assert row["sd"] == pytest.approx(np.std(svm, ddof=1))
        interval = stats.t.interval(0.95, 4, loc=svm.mean(), scale=np.sqrt(factor * svm.var(ddof=1)))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(interval)
        assert row["difference_to_cnn"] == pytest.approx(difference.mean())
        t = difference.mean() / np.sqrt(factor * difference.var(ddof=1))
        assert row["p_corrected_t"] == pytest.approx(2 * stats.t.sf(abs(t), 4))


def test_roc_of_every_fold(models):
    rates = np.linspace(0, 1, 101)
    for model, frames in models.items():
        curve = mean_roc({model: frames}, LABELS)
        folds = []
        for frame in frames:
            false, true, _ = roc_curve(frame["target"] == "M", frame["score"])
            folds.append(np.interp(rates, false, true))
        assert curve["tpr"].to_numpy()[1:] == pytest.approx(np.mean(folds, axis=0)[1:])
        assert curve["sd"].to_numpy()[1:] == pytest.approx(np.std(folds, axis=0, ddof=1)[1:])
        # The first point is (0, 0), so that the area is short of the mean AUC by at most half a step.
        areas = [roc_auc_score(frame["target"] == "M", frame["score"]) for frame in frames]
        assert np.trapezoid(curve["tpr"], rates) == pytest.approx(np.mean(areas), abs=0.005)


def test_calibration(models):
    everybody = pd.concat(models["svm"])
    truth, chances = (everybody["target"] == "M").to_numpy(), everybody["p_M"].to_numpy()
    bins = calibration_bins({"svm": models["svm"]}, "classification", LABELS)
    observed, predicted = calibration_curve(truth, chances, n_bins=10)
    assert bins["n"].min() >= 5
    assert len(bins) == len(observed)  # no bin had to be merged
    assert bins["observed"].to_numpy() == pytest.approx(observed)
    assert bins["predicted"].to_numpy() == pytest.approx(predicted)
    values = calibration_summary({"svm": models["svm"]}, "classification", LABELS).set_index("metric")["value"]
    assert values["brier"] == pytest.approx(brier_score_loss(truth, chances))
    gap = np.average(np.abs(bins["observed"] - bins["predicted"]), weights=bins["n"])
    assert values["expected_calibration_error"] == pytest.approx(gap)
    fit = sm.Logit(truth, sm.add_constant(np.log(chances / (1 - chances)))).fit(disp=0)
    assert [values["intercept"], values["slope"]] == pytest.approx(fit.params, rel=1e-6)


def test_brier_of_three_classes():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3), 50)
    frame = pd.DataFrame(chances, columns=["p_a", "p_b", "p_c"]).assign(target=rng.choice(list("abc"), 50))
    values = calibration_summary({"knn": [frame]}, "classification", list("abc")).set_index("metric")["value"]
    assert values["brier"] == pytest.approx(brier_score_loss(frame["target"], chances, labels=list("abc")))


def test_calibration_of_a_regression():
    rng = np.random.default_rng(0)
    guess = rng.normal(50, 10, 100)
    truth = guess * 1.2 - 3 + rng.normal(0, 5, 100)
    frame = pd.DataFrame({"target": truth.astype(str), "score": guess})
    values = calibration_summary({"ridge": [frame]}, "regression").set_index("metric")["value"]
    expected = stats.linregress(guess, truth)
    assert (values["slope"], values["intercept"]) == pytest.approx((expected.slope, expected.intercept))
    bins = calibration_bins({"ridge": [frame]}, "regression")
    deciles = pd.DataFrame({"truth": truth, "guess": guess}).groupby(pd.qcut(guess, 10), observed=True)
    assert bins["observed"].to_numpy() == pytest.approx(deciles["truth"].mean().to_numpy())
    assert bins["predicted"].to_numpy() == pytest.approx(deciles["guess"].mean().to_numpy())


def test_head_size_alone_by_a_plain_script(people, tiv, models):
    facts = people[["participant_id"]].assign(tiv_mm3=tiv, age_years=np.nan, tiv_source="FS_IntraCranial_Vol")
    table = tabulate_confounds({"cnn": models["cnn"]}, {}, people, facts, "classification", LABELS)
    rows = table[table["analysis"] == "tiv_only"].set_index("metric")
    male, litres, fold = (people["target"] == "M").to_numpy(), tiv / 1e6, people["fold"].to_numpy()
    accuracy, auc = [], []
    for number in range(5):
        train, test = fold != number, fold == number
        fit = sm.Logit(male[train], sm.add_constant(litres[train])).fit(disp=0)
        chances = fit.predict(sm.add_constant(litres[test]))
        plain = LogisticRegression(C=np.inf).fit(litres[train, np.newaxis], male[train])
        assert plain.predict(litres[test, np.newaxis]).tolist() == (chances > 0.5).tolist()
        accuracy.append(np.mean((chances > 0.5) == male[test]))
        auc.append(roc_auc_score(male[test], chances))
    assert rows.loc["accuracy", "mean"] == pytest.approx(np.mean(accuracy))
    assert rows.loc["auc", ["mean", "sd"]].tolist() == pytest.approx([np.mean(auc), np.std(auc, ddof=1)])
    matched = table[(table["analysis"] == "tiv_matched") & (table["metric"] == "accuracy")].set_index("model")
    right = round(matched.loc["cnn", "mean"] * matched.loc["cnn", "n"])
    bounds = proportion_confint(right, matched.loc["cnn", "n"], method="wilson")
    assert (matched.loc["cnn", "ci_low"], matched.loc["cnn", "ci_high"]) == pytest.approx(bounds)


def test_shuffled_labels_leave_head_size_at_chance(people, tiv):
    """The share of right answers of 200 people lies within the binomial interval of chance (99.9 %)."""
    shuffled = people.assign(target=np.random.default_rng(5).permutation(people["target"]))
    facts = people[["participant_id"]].assign(tiv_mm3=tiv, age_years=np.nan, tiv_source="x")
    table = tabulate_confounds({}, {}, shuffled, facts, "classification", LABELS)
    share = table.set_index(["analysis", "metric"]).loc[("tiv_only", "accuracy"), "mean"]
    largest = shuffled["target"].value_counts(normalize=True).max()
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, [1 - largest, largest]) / 200
    assert low <= share <= high
