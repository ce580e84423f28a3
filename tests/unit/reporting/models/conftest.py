"""Tables of models, confounds, morphometry and the first layer, small and made up."""

import numpy as np
import pandas as pd
import pytest

METHODS = ("guided_backprop", "gradcam")


def _confounds() -> pd.DataFrame:
    """What helps to see through a network's score: head size alone, matched, taken out, correlated."""
    known = {"sd": 0.04, "n": 40, "note": "head size: FS_IntraCranial_Vol"}
    rows = [
        {"analysis": "tiv_only", "model": "tiv", "metric": "accuracy", "mean": 0.8, "ci_low": 0.7, "ci_high": 0.9},
        {"analysis": "age_only", "model": "age", "metric": "accuracy", "mean": 0.5, "ci_low": 0.4, "ci_high": 0.6},
    ]
    for model, raw, matched, residualised in (("cnn", 0.9, 0.75, None), ("svm", 0.85, 0.7, 0.65)):
        rows.append({"analysis": "raw", "model": model, "metric": "accuracy", "mean": raw})
        rows.append({"analysis": "tiv_matched", "model": model, "metric": "accuracy", "mean": matched, "pairs": 11})
        rows[-1] |= {"reference": raw, "n": 22, "ci_low": matched - 0.15, "ci_high": matched + 0.15}
        if residualised:
            rows.append({"analysis": "tiv_residualised", "model": model, "metric": "accuracy", "mean": residualised})
            rows[-1] |= {"reference": raw}
    rows.append({"analysis": "tiv_matched", "model": "tiv", "metric": "accuracy", "mean": 0.52, "pairs": 11, "n": 22})
    for label, r in (("F", 0.1), ("M", -0.2)):
        rows.append({"analysis": "score_tiv_correlation", "model": "cnn", "group": label, "metric": "r", "mean": r})
        rows[-1] |= {"ci_low": r - 0.3, "ci_high": r + 0.3, "p": 0.4, "n": 20}
    columns = ["analysis", "model", "group", "metric", "mean", "sd", "ci_low", "ci_high"]
    return pd.DataFrame([known | row for row in rows]).reindex(
        columns=[*columns, "reference", "n", "pairs", "p", "note"]
    )


def _first_layer() -> pd.DataFrame:
    """Three features in two folds; the last one is constant."""
    rows = []
    for fold in (0, 1):
        for statistic in ("mean", "entropy"):
            for adjusted in ("none", "tiv"):
                for feature, effect, significant in ((0, 0.9, True), (1, -0.1, False), (2, np.nan, False)):
                    row = {"fold": fold, "feature": feature, "statistic": statistic, "adjusted": adjusted}
                    row |= {"mean_F": 1.0, "mean_M": 1.1, "hedges_g": effect}
                    rows.append(row | {"ci_low": effect - 0.4, "ci_high": effect + 0.4, "significant": significant})
    return pd.DataFrame(rows)


def _importance() -> pd.DataFrame:
    """Twenty-five features of a model with coefficients and of one without, the second half of them negative."""
    rows = []
    for model, kind, sign in (("logistic", "coefficient", -1), ("knn", "permutation", 1)):
        for rank in range(1, 26):
            mean = 0.5 / rank * (sign if rank % 2 == 0 else 1)
            row = {"model": model, "kind": kind, "feature": f"FS_{rank}_Vol", "mean": mean, "sd": 0.05}
            rows.append(row | {"folds": 2, "rank": rank})
    return pd.DataFrame(rows)


def _roc() -> pd.DataFrame:
    fpr = np.linspace(0, 1, 5)
    parts = [
        pd.DataFrame({"model": model, "label": "M", "fpr": fpr, "tpr": fpr**power, "sd": 0.1})
        for model, power in (("cnn", 0.2), ("svm", 0.5))
    ]
    return pd.concat(parts, ignore_index=True)


def _morphometry() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, correlations = [], []
    for method in METHODS:
        for model, kind in (("logistic", "coefficient"), ("logistic", "permutation"), ("knn", "permutation")):
            here = {"atlas": "parcels", "method": method, "model": model, "kind": kind}
            correlations.append(here | {"regions": 6, "spearman": -0.25})
            for place in range(1, 7):
                region = {"region": f"Region {place}", "hemisphere": ("left", "right", "both")[place % 3]}
                rows.append(here | region | {"features": 1, "importance": place / 21, "map_share": (7 - place) / 21})
    return pd.DataFrame(rows), pd.DataFrame(correlations)


@pytest.fixture
def model_tables():
    """Every table of models, confounds, morphometry and the first layer, by its name on the page."""
    regions, correlation = _morphometry()
    bins = {"bin": [0, 1], "n": [18, 22], "predicted": [0.1, 0.9], "observed": [0.2, 0.8]}
    calibration = [pd.DataFrame({"model": model} | bins).assign(ci_low=0.1, ci_high=0.9) for model in ("cnn", "svm")]
    metrics = ["brier", "expected_calibration_error", "slope", "intercept"]
    measures = [
        pd.DataFrame({"model": model, "metric": metrics, "value": [0.12, 0.1, 0.8, 0.0]}) for model in ("cnn", "svm")
    ]
    return {
        "roc": _roc(),
        "calibration": pd.concat(calibration, ignore_index=True),
        "calibration_summary": pd.concat(measures, ignore_index=True),
        "confounds": _confounds(),
        "morphometry_importance": _importance(),
        "features_dropped": pd.DataFrame(
            {"feature": ["Subject", "FS_a", "FS_b"], "reason": ["the id", "constant", "constant"]}
        ),
        "hyperparameters": pd.DataFrame(
            {
                "model": "knn",
                "fold": [0, 0, 1, 1],
                "setting": ["n_train", "n_neighbors", "n_train", "n_neighbors"],
                "value": ["20", "5", "20", "11"],
            }
        ),
        "morphometry_vs_maps": regions,
        "morphometry_correlation": correlation,
        "first_layer": _first_layer(),
        "first_layer_counts": pd.DataFrame(
            {"fold": [0, 1], "statistic": "mean", "adjusted": "none", "features": 3, "higher_F": 0, "higher_M": 1}
        ),
        "grouping": pd.DataFrame(
            {
                "model": ["cnn"],
                "metric": "accuracy",
                "grouped": 0.9,
                "grouped_sd": 0.05,
                "ungrouped": 0.94,
                "ungrouped_sd": 0.04,
                "difference": 0.04,
            }
        ),
        "permutations": pd.DataFrame({"permutation": range(4), "metric": "accuracy", "value": [0.4, 0.5, 0.55, 0.6]}),
    }
