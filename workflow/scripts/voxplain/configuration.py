"""The configuration as a whole: made tidy, and checked for what a schema cannot see."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from voxplain.attribution import CONTRIBUTIONS, NON_NEGATIVE
from voxplain.attribution.choosing import default_target
from voxplain.base.errors import refuse
from voxplain.cohort.hcp import FILES
from voxplain.cohort.sheets import read_header
from voxplain.evaluation.checks import of_the_evaluation
from voxplain.imaging.grid import COMMON
from voxplain.population.groups import TERTILES

BLOCKS = 3  # of VoxelCNN, unless its arguments say otherwise
# A block takes two voxels off an axis and halves it; one must be left.
MOST_BLOCKS = int(math.log2((min(COMMON.shape) + 2) / 3))
MOST_CHANNELS = 1024
VOXEL_CNN = ("channels", "blocks", "dropout")
FOR_CLASSES, FOR_NUMBERS = {"logistic"}, {"ridge", "svr"}
ON_VOXELS = "svm"
SIGNED = {"mean_signed", "t"}


def tidy(value: object) -> object:
    """Return settings with the home folder in the place of ~, and whole numbers as such (a schema takes 2.0 for one).

    Arguments of the user's own classes stay as they are.
    """
    if isinstance(value, dict):
        return {key: part if key == "arguments" else tidy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [tidy(part) for part in value]
    if isinstance(value, str) and value.startswith("~"):
        return str(Path(value).expanduser())
    return int(value) if isinstance(value, float) and value.is_integer() else value


def ordered(settings: object, *without: str) -> object:
    """Return settings as a rule's parameter: without some keys, and in one order at all depths.

    A changed parameter re-runs its jobs, and to Snakemake another order of keys is a change: keys that the user writes
    stand before the defaults that the schema fills in.
    """
    if not isinstance(settings, dict):
        return settings
    return {key: ordered(settings[key]) for key in sorted(settings) if key not in without}


def cohort_of_folds(cohort: dict) -> dict:
    """Return what decides who takes part, what is predicted and who is related; head size and age do not.

    Nor does the least share of images that must exist, which is checked when the workflow is planned.
    """
    source = cohort["source"]
    section = ordered(cohort.get(source), "keep_volumes", "size_column", "age_column")
    if source == "hcp":  # whose table of morphometry matters here only where it holds the target
        main = [read_header(section[key], f"cohort.hcp.{key}") for key in FILES[:2] if section.get(key)]
        if any(cohort["target"] in columns for columns in main):
            section["freesurfer_csv"] = None
    return {**ordered(cohort, "min_found", "size"), source: section}


def cohort_of_features(cohort: dict) -> dict:
    """Return what tells morphometry from the other columns of people's tables."""
    section = cohort.get(cohort["source"]) or {}
    named = {key: value for key, value in section.items() if key.endswith("_column") and key != "size_column"}
    return {key: cohort[key] for key in ("source", "target", "task")} | {cohort["source"]: ordered(named)}


def kind_of_map(name: str, settings: dict) -> str:
    """Return what the maps of a method hold: ``sensitivity``, ``contribution`` or ``non_negative``."""
    own = settings.get("own", {})
    if name in NON_NEGATIVE or not own.get("signed", True):
        return "non_negative"
    return "contribution" if name in CONTRIBUTIONS or own.get("contribution") else "sensitivity"


def target_of(settings: dict, classes: Sequence[str]) -> str:
    """Return what a method explains, as the config says it or by default; see `voxplain.attribution.targets`."""
    return settings["target"] or default_target(classes)


def joining(config: dict, classes: Sequence[str], method: str, statistic: str) -> tuple[str, list[str]]:
    """Return how the joint map of a method comes about, and the groups that it is made of.

    Parameters
    ----------
    config : dict
        With its defaults filled in.
    classes : sequence of str
        Empty for a regression.
    method, statistic : str

    Returns
    -------
    how : {'mean', 'sum', 'difference', 'welch', 'everybody'}
        The first three of the maps of groups. ``welch``: the t-statistic of the difference, from the people of the two
        groups. ``everybody``: over all people at once.
    groups : list of str
        In the order of a difference, the explained class last; of a number the third of the people with the smallest
        ones and the third with the largest. Empty for ``everybody``.

    Notes
    -----
    What a place contributes to one and the same score has opposite signs in people of the two classes, and cancels in
    a mean; where the signs follow the explained class (``predicted``, ``true``) or are alike in everybody, it does not.
    """
    how, groups = config["population"]["joint"], list(classes) or [TERTILES[0], TERTILES[-1]]
    target = target_of(config["maps"]["methods"][method], classes)
    if how == "auto":
        opposed = len(classes) in (0, 2) and not (classes and target in ("predicted", "true"))
        contribution = kind_of_map(method, config["maps"]["methods"][method]) == "contribution"
        how = "difference" if contribution and statistic in SIGNED and opposed else "mean"
    if how != "difference":
        return (how, groups) if classes else ("everybody", [])
    if classes and target == classes[0]:
        groups = groups[::-1]
    return ("welch" if statistic == "t" else how), groups


def signed_like_t(config: dict, classes: Sequence[str], method: str, statistic: str) -> bool:
    """Tell whether a joint map's signs mean what those of a t-map of the images do: larger in the second class.

    Contributions are products with the image: where the second class is darker both factors turn, and their difference
    is positive all the same. Maps of other targets than the contrast or the second class have other signs.
    """
    settings = config["maps"]["methods"][method]
    turned = kind_of_map(method, settings) != "sensitivity" or config["population"]["joint"] == "difference"
    if turned or statistic not in SIGNED:
        return False
    target = target_of(settings, classes)
    return not classes or (len(classes) == 2 and target in ("contrast", classes[1]))


def check_config(config: dict, classes: Sequence[str]) -> None:
    """Refuse keys that contradict each other.

    Parameters
    ----------
    config : dict
        With its defaults filled in.
    classes : sequence of str
        Empty for a regression.

    Raises
    ------
    InputError
        Naming every contradiction.
    """
    problems = [
        *_of_the_cohort(config),
        *_of_the_network(config, classes),
        *_of_the_baselines(config, classes),
        *_of_the_maps(config, classes),
        *of_the_evaluation(config, classes),
    ]
    if problems:
        refuse("The configuration contradicts itself", problems, "config/README.md explains every key.")


def _of_the_cohort(config: dict) -> list[str]:
    cohort, problems = config["cohort"], []
    if cohort["task"] == "regression" and cohort["labels"]:
        problems.append("cohort.labels is for classification; cohort.task is regression")
    if cohort["source"] == "phantom":
        if "parcels" in config["atlases"]:
            problems.append("atlases.parcels: the phantom brings an atlas of that name; choose another one")
        if cohort["size"]["file"]:
            problems.append("cohort.size.file: take it out, the phantom measures its own heads")
    if config["statistics"]["age_gap"] and cohort["task"] != "regression":
        problems.append("statistics.age_gap: take it out, there is no gap between classes")
    if config["statistics"]["age_gap"] and config["interpret"]["weights"] is not None:
        problems.append("statistics.age_gap: take it out, a network from outside has no folds to correct the gap with")
    if config["folds"]["compare_ungrouped"] and not config["folds"]["grouped"]:
        problems.append("folds.compare_ungrouped: set folds.grouped to true, or there is nothing to compare")
    files = {f"atlases.{name}.{key}": path for name, own in config["atlases"].items() for key, path in own.items()}
    files = {key: path for key, path in files.items() if key.endswith((".image", ".labels"))}
    files["interpret.weights"] = config["interpret"]["weights"]
    problems += [f"{key}: {path} is not a file" for key, path in files.items() if path and not Path(path).is_file()]
    return problems


def _of_the_network(config: dict, classes: Sequence[str]) -> list[str]:
    arguments, layer, problems = config["model"]["arguments"], config["features"]["layer"], []
    if config["model"]["network"] != "VoxelCNN":
        return problems
    strangers = ", ".join(sorted(set(arguments) - set(VOXEL_CNN)))
    if strangers:
        problems.append(f"model.arguments: VoxelCNN has no {strangers}; it has {', '.join(sorted(VOXEL_CNN))}")
    impossible = _of_the_arguments(arguments)
    if impossible:
        return problems + impossible
    blocks = arguments.get("blocks", BLOCKS)
    asked = {"features.layer": [layer] if config["features"]["first_layer"] and len(classes) == 2 else []}
    visualisation = config["features"]["visualisation"]
    asked["features.visualisation.layers"] = visualisation["layers"] if visualisation["folds"] else []
    asked |= {
        f"maps.methods.{name}.layer": [s["layer"]]
        for name, s in config["maps"]["methods"].items()
        if "layer" in s and "own" not in s
    }
    for key, layers in asked.items():
        strangers = ", ".join(str(one) for one in layers if isinstance(one, int) and not 1 <= one <= blocks)
        if strangers:
            problems.append(f"{key}: {strangers} is none of the network's blocks, 1 to {blocks}")
    return problems


def _of_the_arguments(arguments: dict) -> list[str]:
    """Return what VoxelCNN would refuse after the images have been read."""
    channels, blocks, dropout = arguments.get("channels", 1), arguments.get("blocks", 1), arguments.get("dropout", 0)
    checks = [
        (_is_whole(channels, MOST_CHANNELS), f"channels: {channels!r} is not a whole number from 1 to {MOST_CHANNELS}"),
        (_is_whole(blocks, MOST_BLOCKS), f"blocks: {blocks!r} is not a whole number from 1 to {MOST_BLOCKS}"),
        (
            isinstance(dropout, int | float) and not isinstance(dropout, bool) and 0 <= dropout < 1,
            f"dropout: {dropout!r} is not a number from 0 to below 1",
        ),
    ]
    return [f"model.arguments.{problem}" for fine, problem in checks if not fine]


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _of_the_baselines(config: dict, classes: Sequence[str]) -> list[str]:
    models, features, task = config["baselines"]["models"], config["baselines"]["features"], config["cohort"]["task"]
    problems = []
    for model in sorted(set(models) & (FOR_NUMBERS if classes else FOR_CLASSES)):
        others = "logistic" if classes else "ridge and svr"
        problems.append(f"baselines.models.{model}: it does not do {task}; take {others}")
    reruns = config["statistics"]["permutations"] or config["folds"]["compare_ungrouped"]
    if config["interpret"]["weights"] is not None and (models or reruns):
        problems.append(
            "interpret.weights: a network from outside has no folds; take out baselines.models, "
            "statistics.permutations and folds.compare_ungrouped"
        )
    for key in ("include", "exclude"):
        try:
            re.compile(features[key] or "")
        except re.error as error:
            problems.append(f"baselines.features.{key}: {features[key]!r} is no regular expression: {error}")
    on_features = [model for model in models if model != ON_VOXELS]
    if on_features and config["cohort"]["source"] in ("table", "bids") and not features["tables"]:
        problems.append(f"baselines.features.tables: name a table of features for {', '.join(on_features)}")
    if on_features:
        missing = [path for path in features["tables"] if not Path(path).is_file()]
        problems += [f"baselines.features.tables: {path} does not exist" for path in missing]
    restricted = (config["cohort"].get("hcp") or {}).get("restricted_csv")
    if restricted and Path(restricted).resolve() in [Path(path).resolve() for path in features["tables"]]:
        problems.append("baselines.features.tables: take out the restricted table of the HCP; it holds no morphometry")
    return problems


def _of_the_maps(config: dict, classes: Sequence[str]) -> list[str]:
    population, problems = config["population"], []
    threshold, statistics = population["threshold"], set(population["statistics"])
    if threshold["kind"] == "top_percent" and max([threshold["value"], *threshold["by_method"].values()]) > 100:
        problems.append("population.threshold: top_percent is at most 100")
    if population["joint"] == "difference" and len(classes) not in (0, 2):
        problems.append("population.joint: difference needs two classes or a number")
    groups = len(classes) or len(TERTILES)
    least = groups * (2 if "t" in statistics else 1)
    for name, settings in config["maps"]["methods"].items():
        target, kind = target_of(settings, classes), kind_of_map(name, settings)
        where = f"maps.{'own' if 'own' in settings else 'methods'}.{name}"
        if target == "contrast" and len(classes) not in (0, 2):
            problems.append(f"{where}.target: contrast needs two classes, not {len(classes)}")
        elif target not in ("predicted", "true", "contrast", *classes):
            problems.append(f"{where}.target: {target!r} is none of predicted, true, contrast, {', '.join(classes)}")
        elif target in ("predicted", "true") and classes and statistics & SIGNED and kind == "sensitivity":
            problems.append(
                f"{where}.target: signs of maps of the {target} class differ between classes and would cancel; use "
                "target: contrast (two classes), or population.statistics: [mean_rectified] or [mean_absolute]"
            )
        problems += [f"{where}.{text}" for text in _of_a_method(name, settings, classes)]
        if settings["people"] is not None and settings["people"] < least:
            problems.append(f"{where}.people: {settings['people']} leaves a group without maps; at least {least}")
    return problems


def _of_a_method(name: str, settings: dict, classes: Sequence[str]) -> list[str]:
    """Return what a method would refuse after hours of training; other settings the schema has checked."""
    if name == "lrp":
        bounds = settings["low"], settings["high"]
        problems = ["low, high: low must be less than high"] if None not in bounds and not bounds[0] < bounds[1] else []
        if settings["start"] == "probability" and not classes:
            problems.append("start: a number has no probability; take output")
        return problems
    if name == "occlusion" and settings["stride"] > settings["window"]:
        return [f"stride: {settings['stride']} voxels leave gaps between windows of {settings['window']}"]
    if name == "noise" and not settings["noise_min"] < settings["noise_max"]:
        return ["noise_min, noise_max: noise_min must be less than noise_max"]
    return []
