"""What the page says about models, confounds, morphometry and the first layer: result tables in, readable ones out."""

from collections.abc import Mapping

import pandas as pd

from voxplain.base.files import MISSING
from voxplain.baselines.feature_columns import HIDDEN
from voxplain.cohort.restricted import is_restricted_field
from voxplain.models.metrics import LOWER_IS_BETTER
from voxplain.reporting import style
from voxplain.reporting.columns import whole
from voxplain.reporting.first_layer import adjusted_title, statistic_title
from voxplain.reporting.reading import models_of
from voxplain.reporting.tables import Table, show, with_interval
from voxplain.reporting.verdicts import number

# table of the page -> (analyses of confounds.tsv, columns)
BLOCKS = {
    "confounds_alone": (("tiv_only", "age_only"), ["model", "metric", "mean", "sd", "interval", "n"]),
    "confounds_matched": (("tiv_matched",), ["model", "metric", "mean", "interval", "reference", "pairs", "n"]),
    "confounds_residualised": (
        ("tiv_residualised",),
        ["model", "metric", "mean", "sd", "interval", "reference", "p", "n"],
    ),
    "confounds_correlation": (("score_tiv_correlation",), ["whom", "mean", "interval", "p", "n"]),
}

# What pairs of one person of each class make the same twice stands once: balanced accuracy is accuracy on pairs.
METRICS = {"confounds_matched": ("accuracy", "auc")}

TITLES = {
    "confounds_matched": {"reference": "On everybody of these folds"},
    "confounds_residualised": {"reference": "With head size", "p": "p of the difference"},
    "confounds_correlation": {"mean": "r"},
}


def show_models(frames: Mapping[str, pd.DataFrame]) -> dict[str, Table]:
    """Return the tables of accuracy: over folds, per fold, calibration, and what each model was given.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``accuracy`` and ``accuracy_summary``; optional ``calibration_summary``, ``hyperparameters``, ``age_gap``,
        ``noise_utility`` and ``grouping``.
    """
    summary = _by_metric(with_interval(frames["accuracy_summary"])).dropna(axis=1, how="all")
    columns = ["model", "metric", "mean", "sd", "interval", "chance", "difference_to_cnn", "p_corrected_t"]
    per_fold = ["model", "fold", "n_train", "n_test", *style.METRIC_TITLES]
    shown = {
        "accuracy_summary": show(summary, [*columns, "p_permutation"]),
        "accuracy": show(frames["accuracy"], per_fold),
    }
    if _filled(frames, "calibration_summary"):
        measures = frames["calibration_summary"]
        wide = measures.pivot(index="model", columns="metric", values="value").loc[models_of(measures)].reset_index()
        columns = ["model", "expected_calibration_error", "brier", "slope", "intercept"]
        shown["calibration_summary"] = show(wide, columns)
    if _filled(frames, "hyperparameters"):
        shown["hyperparameters"] = show(_settings(frames["hyperparameters"]), ["model", "setting", "value"])
    if _filled(frames, "age_gap"):
        columns = ["model", "gap", "mean", "sd", "r_with_target", "interval", "p", "n"]
        shown["age_gap"] = show(with_interval(frames["age_gap"]), columns)
    if _filled(frames, "noise_utility"):
        utility = frames["noise_utility"]
        wide = utility.pivot(index=["metric", "share_clean"], columns="order", values="mean").reset_index()
        shown["noise_utility"] = show(wide, ["metric", "share_clean", "importance", "random"])
    if _filled(frames, "grouping"):
        columns = ["model", "metric", "grouped", "grouped_sd", "ungrouped", "ungrouped_sd", "difference"]
        shown["grouping"] = show(_by_metric(frames["grouping"]), columns)
    return shown


def _filled(frames: Mapping[str, pd.DataFrame], name: str) -> bool:
    return name in frames and not frames[name].empty


def _by_metric(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort by metric, then model, so that what is to be compared stands together."""
    metrics, models = list(style.METRIC_TITLES), models_of(frame)
    places = frame["metric"].map(lambda name: metrics.index(name) if name in metrics else len(metrics))
    order = pd.DataFrame({"metric": places, "model": frame["model"].astype(str).map(models.index)})
    return frame.loc[order.sort_values(["metric", "model"], kind="stable").index]


def _settings(settings: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model and setting; values that differ between folds stand with the number of folds."""
    rows = []
    # Neither was set or chosen: they follow from the people of the fold.
    settings = settings[~settings["setting"].isin(("n_train", "gamma_used"))]
    for (model, setting), same in settings.groupby(["model", "setting"], sort=False):
        counts = same["value"].astype(object).fillna(MISSING).astype(str).value_counts(sort=False)
        each = [f"{value} ({n} {'fold' if n == 1 else 'folds'})" for value, n in counts.items()]
        value = ", ".join(each) if len(each) > 1 else counts.index[0]
        rows.append({"model": model, "setting": setting, "value": value})
    return pd.DataFrame(rows, columns=["model", "setting", "value"])


def count_permutations(permutations: pd.DataFrame, metric: str) -> dict | None:
    """Return how the networks did on shuffled labels: ``times``, ``mean`` and ``best``; None without any."""
    values = permutations.loc[permutations["metric"] == metric, "value"].dropna()
    if values.empty:
        return None
    best = values.min() if metric in LOWER_IS_BETTER else values.max()
    return {"times": len(values), "mean": number(values.mean()), "best": number(best)}


def show_confounds(confounds: pd.DataFrame) -> tuple[dict[str, Table], dict[str, list[str]]]:
    """Return the blocks of confounds.tsv as tables, and their notes, by the names of `BLOCKS`.

    Rows without a value are left out of the tables, but their notes are kept: they say why (other than that head size
    is not known, which the page says by itself). A note stands once, below the first block that it belongs to.
    """
    frame = with_interval(confounds)
    frame["whom"] = [
        _whom(str(group), str(metric)) for group, metric in zip(frame["group"], frame["metric"], strict=True)
    ]
    shown, notes, said = {}, {}, []
    for name, (analyses, columns) in BLOCKS.items():
        rows = frame[frame["analysis"].isin(analyses)]
        unknown = (rows["analysis"] == "tiv_only") & rows["mean"].isna()
        texts = rows.loc[~unknown, "note"].dropna().astype(str)
        notes[name] = [note for note in dict.fromkeys(texts) if note and note not in said]
        said += notes[name]
        rows = rows[rows["mean"].notna() & rows["metric"].isin(METRICS.get(name, rows["metric"]))]
        if len(rows):
            order = rows if name == "confounds_correlation" else _by_metric(rows)
            shown[name] = show(order.dropna(axis=1, how="all"), columns, TITLES.get(name))
    return shown, notes


def _whom(group: str, metric: str) -> str:
    if group == "everyone":
        return "everybody: error" if metric == "r_error" else "everybody: prediction"
    return style.group_title(group)


def pairs_of(confounds: pd.DataFrame) -> str:
    """Return the number of matched pairs as text, ``206`` or ``198 to 206`` when models differ; empty without any."""
    rows = confounds[(confounds["analysis"] == "tiv_matched") & (confounds["model"] != "tiv")]
    pairs = sorted({int(n) for n in rows["pairs"].dropna()})
    return " to ".join(dict.fromkeys(str(n) for n in (pairs[:1] + pairs[-1:])))


def show_morphometry(frames: Mapping[str, pd.DataFrame]) -> dict[str, Table]:
    """Return the tables of morphometry: which columns were left out and why, and the correlations with the maps."""
    shown = {}
    if _filled(frames, "features_dropped"):
        # The table names restricted fields so already; the page, which is passed on, does not rely on that.
        dropped = frames["features_dropped"].astype({"feature": object})
        private = dropped["feature"].astype(str).map(is_restricted_field)
        shown["features_dropped"] = show(
            dropped.assign(feature=dropped["feature"].mask(private, HIDDEN)), ["feature", "reason"]
        )
    if _filled(frames, "morphometry_correlation"):
        shown["morphometry_correlation"] = _show_correlations(frames["morphometry_correlation"])
    return shown


def _show_correlations(correlations: pd.DataFrame) -> Table:
    """Return one row an atlas, model and kind of importance, with a column a method."""
    keys = ["atlas", "model", "importance_kind"]
    rows = correlations.rename(columns={"kind": "importance_kind"})
    methods = style.in_order(rows["method"].astype(str))
    wide = rows.pivot(index=keys, columns="method", values="spearman").reindex(columns=methods)
    # A map that is 0 everywhere has no correlation over any region.
    counts = rows.groupby(keys, sort=False)["regions"].max().to_frame()
    wide = counts.join(wide).reset_index()
    titles = {"regions": "Regions"} | {method: style.method_title(method) for method in methods}
    return show(wide, [*keys, "regions", *methods], titles, others=number)


def show_first_layer(counts: pd.DataFrame) -> Table:
    """Return the counts of significant features, with a column a class for those that are larger in it."""
    higher = [column for column in counts.columns if column.startswith("higher_")]
    titles = {column: f"Larger in {column.removeprefix('higher_')}" for column in higher}
    return show(counts, ["fold", "statistic", "adjusted", "features", *higher], titles, others=whole)


def first_layer_in_words(counts: pd.DataFrame) -> list[str]:
    """Say per statistic and adjustment how many features differ significantly, as a range over folds."""
    higher = [column for column in counts.columns if column.startswith("higher_")]
    sentences = []
    for (statistic, adjusted), rows in counts.groupby(["statistic", "adjusted"], sort=False):
        sides = [f"{_span(rows[column])} larger in {column.removeprefix('higher_')}" for column in higher]
        what = f"{statistic_title(statistic)}, {adjusted_title(adjusted)}"
        total = _span(rows[higher].sum(axis=1))
        sentences.append(f"{what}: {total} of {_span(rows['features'])} features differ ({', '.join(sides)}).")
    return sentences


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"
