"""How the columns of result tables read on the page: a title, how to write a value, and whether it is a number."""

from collections.abc import Callable

from voxplain.evaluation.randomization_tables import SHUFFLED
from voxplain.reporting import style
from voxplain.reporting.first_layer import adjusted_title, statistic_title
from voxplain.reporting.importance import kind_title
from voxplain.reporting.reading import TRUE
from voxplain.reporting.reproducibility import CHANGES
from voxplain.reporting.verdicts import chance_of_error, number

LEVELS = {
    "population": "population map",
    "people": "single people, mean",
    SHUFFLED: "population map, shuffled labels",
}

ORIGINAL = {"original": "nothing (the networks of the maps)"}
MEASURES = {
    "spearman": "Spearman",
    "spearman_absolute": "Spearman, absolute values",
    "dice": "Dice of the strongest",
}
CONTRASTS = {
    "difference": "classes differ",
    "slope": "maps follow the number",
    "mean": "mean is not 0",
}


def _text(value: object) -> str:
    return str(value)


def _group(value: object) -> str:
    return style.group_title(str(value))


def _method(value: object) -> str:
    return style.method_title(str(value))


def _level(value: object) -> str:
    return LEVELS.get(str(value), str(value))


def _measure(value: object) -> str:
    return MEASURES.get(str(value), str(value).replace("_", ", "))


def _change(value: object) -> str:
    return (CHANGES | ORIGINAL).get(str(value), str(value)).replace("\n", " ")


def _contrast(value: object) -> str:
    return CONTRASTS.get(str(value), str(value))


def _short(value: object) -> str:
    return f"{float(value):g}"


def flag(value: object) -> str:
    """Return ``yes`` or ``no``."""
    return "yes" if str(value).lower() in TRUE else "no"


def whole(value: object) -> str:
    """Return a count for reading."""
    # No separator: digits of a voxel count stay one word for the eye and for copying.
    return f"{int(float(value))}"


def percent(value: object) -> str:
    """Return a share for reading: ``12.3 %``."""
    return f"{100 * float(value):.1f} %"


def score(value: object) -> str:
    """Return a score for reading: three decimals, one when it is large."""
    value = float(value)
    return f"{value:z.{3 if abs(value) < 10 else 1}f}".replace("-", "−")


def difference(value: object) -> str:
    """Return a number for reading with its sign; ``0.00`` has none."""
    text = number(float(value))
    return text if text.startswith("−") or not float(text) else f"+{text}"


def _metric(value: object) -> str:
    return style.metric_title(str(value))


def _model(value: object) -> str:
    return style.model_title(str(value))


def _kind(value: object) -> str:
    return kind_title(str(value))


def _statistic(value: object) -> str:
    return statistic_title(str(value))


def _adjusted(value: object) -> str:
    return adjusted_title(str(value))


# column of a result file -> (title, how to write it, whether it is a number)
COLUMNS: dict[str, tuple[str, Callable[[object], str], bool]] = {
    "fold": ("Fold", _text, False),
    "n_train": ("Training people", whole, True),
    "n_test": ("Test people", whole, True),
    "accuracy": ("Accuracy", number, True),
    "balanced_accuracy": ("Balanced accuracy", number, True),
    "auc": ("AUC", number, True),
    "mae": ("Mean absolute error", number, True),
    "r": ("r", number, True),
    "metric": ("Metric", _metric, False),
    "mean": ("Mean", score, True),
    "sd": ("SD", score, True),
    "chance": ("Chance", number, True),
    "interval": ("95 % interval", _text, False),
    "difference_to_cnn": ("Difference to the CNN", difference, True),
    "p_corrected_t": ("p, corrected t-test", chance_of_error, True),
    "p_permutation": ("p, shuffled labels", chance_of_error, True),
    "model": ("Model", _model, False),
    "expected_calibration_error": ("Expected calibration error", number, True),
    "brier": ("Brier score", number, True),
    "slope": ("Slope", number, True),
    "intercept": ("Intercept", number, True),
    "setting": ("Setting", _text, False),
    "value": ("Value", _text, False),
    "reference": ("On everybody", score, True),
    "n": ("People", whole, True),
    "pairs": ("Pairs", whole, True),
    "p": ("p", chance_of_error, True),
    "share_clean": ("Voxels without noise, %", whole, True),
    "importance": ("Most important first", score, True),
    "random": ("At random", score, True),
    "gap": ("Prediction − truth", _text, False),
    "r_with_target": ("r with the truth", number, True),
    "whom": ("Within", _text, False),
    "feature": ("Column", _text, False),
    "reason": ("Why", _text, False),
    "features": ("Features", whole, True),
    "atlas": ("Atlas", _text, False),
    "importance_kind": ("Importance", _kind, False),
    "statistic": ("Statistic", _statistic, False),
    "adjusted": ("Head size", _adjusted, False),
    "grouped": ("Relatives kept together", score, True),
    "grouped_sd": ("SD", score, True),
    "ungrouped": ("Relatives split", score, True),
    "ungrouped_sd": ("SD", score, True),
    "difference": ("Difference", difference, True),
    "method": ("Method", _method, False),
    "method_a": ("Method", _method, False),
    "method_b": ("and method", _method, False),
    "group": ("Maps of", _group, False),
    "dice": ("Dice", number, True),
    "dice_chance": ("Dice by chance", number, True),
    "dice_sd": ("SD", number, True),
    "dice_chance_95": ("95th percentile", number, True),
    "dice_p": ("p", chance_of_error, True),
    "auc_sd": ("SD", number, True),
    "auc_chance": ("AUC by chance", number, True),
    "auc_chance_95": ("95th percentile", number, True),
    "auc_p": ("p", chance_of_error, True),
    "level": ("Of", _level, False),
    "measure": ("Measure", _measure, False),
    "layers": ("Random layers", whole, True),
    "similarity": ("Likeness", number, True),
    "threshold": ("Threshold", number, True),
    "survives": ("Survives", flag, False),
    "replacement": ("Replaced by", _text, False),
    "people": ("People", whole, True),
    "difference_to_random": ("Beyond random", difference, True),
    "p_random": ("p", chance_of_error, True),
    "difference_to_intensity": ("Beyond brightness", difference, True),
    "p_intensity": ("p", chance_of_error, True),
    "pointing": ("Peak in the truth", number, True),
    "agreement": ("Agreement with background", number, True),
    "spearman": ("Spearman", number, True),
    "voxels_a": ("Voxels", whole, True),
    "voxels_b": ("and voxels", whole, True),
    "rank": ("Rank", whole, True),
    "regions": ("of regions", whole, True),
    "region": ("Region", _text, False),
    "hemisphere": ("Side", _text, False),
    "kind": ("Planted", _text, False),
    "share": ("Share of the map", percent, True),
    "inside": ("Of the region in the mask", percent, True),
    "voxels": ("Voxels", whole, True),
    "in_top": ("Among the top", flag, False),
    "change": ("Changed", _change, False),
    "variant": ("Repeat", _text, False),
    "quartiles": ("Quartiles", _text, False),
    "variants": ("Repeats", whole, True),
    "original": ("Original networks", score, True),
    "folds": ("Folds", whole, True),
    "mask": ("Mask", _text, False),
    "mode": ("Voxels", _text, False),
    "percent_of_brain": ("Of the brain, %", _short, True),
    "volume": ("Volume", percent, True),
    "random_mean": ("Random, mean", score, True),
    "random_95": ("Random, best 5 %", score, True),
    "whole": ("Whole images", score, True),
    "first": ("Method", _method, False),
    "second": ("and method", _method, False),
    "corrected": ("Corrected for chance", number, True),
    "null_mean": ("Smooth random maps", number, True),
    "null_95": ("their 95th percentile", number, True),
    "contrast": ("Tested", _contrast, False),
    "compared": ("Contrast", _text, False),
    "significant": ("Of the brain significant", percent, True),
    "max_t": ("Largest t", number, True),
    "threshold_t": ("t needed", number, True),
    "min_p": ("Smallest p", chance_of_error, True),
    "smallest_p": ("Smallest p possible", chance_of_error, True),
    "clusters": ("Families", whole, True),
    "permutations": ("Permutations", whole, True),
    "share_interval": ("Share, 95 % interval", _text, False),
    "rank_interval": ("Rank, 95 % interval", _text, False),
    "p_fwe": ("p (FWE)", chance_of_error, True),
    "q": ("q (FDR)", chance_of_error, True),
    "rank_map": ("Rank by the map", whole, True),
    "rank_t": ("Rank by the t-test", whole, True),
    "t_mean": ("Mean t", number, True),
}
