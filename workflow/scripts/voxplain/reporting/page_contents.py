"""What the page is made of: which tables and pictures there may be, and whether they are fit to be passed on."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.files import read_table
from voxplain.reporting.privacy import refuse_private_fields, refuse_private_paths
from voxplain.reporting.reading import NAMES

KEYS = {"config", "tables", "figures", "differences", "provenance", "viewer", "people", "citation"}
NEEDED = {"cohort", "accuracy", "accuracy_summary"}
OPTIONAL = {
    *("explained", "dice", "planted_regions", "localization", "index", "excluded", "verdicts"),
    *("roc", "calibration", "calibration_summary", "hyperparameters", "permutations", "grouping", "confounds"),
    *("features_dropped", "morphometry_importance", "morphometry_vs_maps", "morphometry_correlation"),
    *("first_layer", "first_layer_counts", "age_gap", "noise_utility"),
    *("randomization", "randomization_verdicts", "faithfulness", "faithfulness_curves"),
    *("reproducibility", "reproducibility_networks", "masked_accuracy", "retraining", "agreement"),
    *("inference", "inference_regions", "region_intervals", "anatomy"),
}
TABLES_OF_ATLASES = ("top_regions", "regions", "anatomy_regions")
NAMED = {"features_dropped", "morphometry_importance", "morphometry_vs_maps", "morphometry_correlation"}
FIGURES_OF_ATLASES = ("regions", "intervals", "anatomy_regions")
FIGURES = {
    *("training", "accuracy", "dice", "montage", "maps", *FIGURES_OF_ATLASES),
    *("roc", "calibration", "confounds", "importance", "morphometry", "first_layer", "visualisation"),
    *("noise_utility", "randomization", "faithfulness", "reproducibility", "masked_accuracy", "retraining"),
    *("agreement", "anatomy"),
}

PEOPLE_AS_TEXT = ("participant_id", "target", "explained")

Frames = dict[str, pd.DataFrame]


def checked(contents: Mapping) -> dict:
    """Return the contents of `voxplain.reporting.page.write_page` without what is None.

    Raises
    ------
    InputError
        For unknown or missing keys, missing files, and files in a private folder.
    """
    wrong = [f"unknown: {key}" for key in set(contents) - KEYS]
    wrong += [f"missing: {key}" for key in {"config", "tables", "figures"} - set(contents)]
    if not wrong:
        given = {name for name, path in contents["tables"].items() if path is not None}
        wrong += [f"unknown: tables.{name}" for name in given - NEEDED - OPTIONAL - set(TABLES_OF_ATLASES)]
        wrong += [f"missing: tables.{name}" for name in NEEDED - given]
        wrong += [f"unknown: figures.{name}" for name in set(contents["figures"]) - FIGURES]
        wrong += [f"missing: config.{key}" for key in ("name", "cohort") if key not in contents["config"]]
    if wrong:
        refuse("The contents of the page are not what write_page expects", sorted(wrong))
    kept = dict(contents)
    kept["tables"], kept["figures"] = _without_none(contents["tables"]), _without_none(contents["figures"])
    other = [kept[name] for name in ("viewer", "people") if kept.get(name)]
    paths = list(_all_paths([kept["tables"], kept["figures"], *other]))
    refuse_private_paths(paths)
    absent = [path for path in paths if not path.is_file()]
    if absent:
        refuse("These files of the page do not exist", absent)
    return kept


def read_tables(tables: Mapping, hide_target: bool, people: Path | None = None) -> tuple[Frames, dict[str, Frames]]:
    """Read the page's tables, and that of single people where there is one (as ``people``).

    Returns
    -------
    frames : dict of name to DataFrame
    of_atlases : dict of name to {atlas: DataFrame}
        Those of `TABLES_OF_ATLASES`; empty where there are none.

    Raises
    ------
    InputError
        For tables with private fields; see `voxplain.reporting.privacy.refuse_private_fields`.
    """
    frames = {name: _read(name, path) for name, path in tables.items() if name not in TABLES_OF_ATLASES}
    if people is not None:
        frames["people"] = read_table(people, dtype=dict.fromkeys(PEOPLE_AS_TEXT, str))
    of_atlases = {
        name: {atlas: read_table(path) for atlas, path in tables.get(name, {}).items()} for name in TABLES_OF_ATLASES
    }
    named = {f"{name} of {atlas}": table for name, by in of_atlases.items() for atlas, table in by.items()}
    refuse_private_fields(frames | named, hide_target)
    return frames, of_atlases


def _read(name: str, path: Path) -> pd.DataFrame:
    """Read one of the page's tables; settings stay as they were written, and names that look like numbers are names."""
    if name == "hyperparameters":
        return read_table(path, dtype=str)
    return read_table(path, dtype=NAMES) if name in NAMED else read_table(path)


def _without_none(tree: Mapping) -> dict:
    kept = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def _all_paths(tree: object) -> Iterator[Path]:
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for branch in tree:
            yield from _all_paths(branch)
    else:
        yield Path(tree)
