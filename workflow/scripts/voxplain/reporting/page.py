"""The report: one HTML file that holds everything and asks the network for nothing."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from voxplain.attribution import CONTRIBUTIONS
from voxplain.base.errors import refuse
from voxplain.base.files import read_table, write_text
from voxplain.reporting import captions, model_tables, style, tables, trust, verdicts, wording
from voxplain.reporting.cohort import cohort_facts
from voxplain.reporting.embedding import data_uri, source_hash
from voxplain.reporting.privacy import public_settings, refuse_private_fields, refuse_private_paths
from voxplain.reporting.reading import NAMES, has_intervals

TEMPLATES = Path(__file__).resolve().parents[3] / "report"

KEYS = {"config", "tables", "figures", "differences", "versions"}
TABLES = {
    "needed": {"cohort", "accuracy", "accuracy_summary"},
    "optional": {
        *("explained", "dice", "top_regions", "planted_regions", "localization", "index", "excluded"),
        *("roc", "calibration", "calibration_summary", "hyperparameters", "permutations", "grouping", "confounds"),
        *("features_dropped", "morphometry_importance", "morphometry_vs_maps", "morphometry_correlation"),
        *("first_layer", "first_layer_counts", "age_gap", "noise_utility"),
        *("randomization", "randomization_verdicts", "faithfulness", "faithfulness_curves"),
    },
}
NAMED = {"features_dropped", "morphometry_importance", "morphometry_vs_maps", "morphometry_correlation"}
FIGURES = {
    *("training", "accuracy", "dice", "montage", "maps", "regions"),
    *("roc", "calibration", "confounds", "importance", "morphometry", "first_layer", "visualisation"),
    *("noise_utility", "randomization", "faithfulness"),
}


def write_page(out: str | os.PathLike, contents: Mapping) -> None:
    """Write the report as one self-contained HTML file.

    Parameters
    ----------
    out : path-like
    contents : mapping
        ``config``
            The config with its defaults; `name` and `cohort` are needed. Shown without absolute paths.
        ``tables``
            Paths of result tables: ``cohort``, ``accuracy``, ``accuracy_summary``; ``explained`` with a row a method,
            in the order to be shown, where there are any; optional ``dice``, ``planted_regions``, ``localization``,
            ``index`` (``images/index.tsv``), ``excluded`` (``images/excluded.tsv``), ``top_regions`` as {atlas: path},
            and the tables of models, confounds, morphometry and the first layer under their file names (see
            `TABLES`).
        ``figures``
            Paths of pictures, all optional (see `FIGURES`): ``maps`` as {method: {group: path}}, ``regions`` as
            {atlas: path}, the others as paths.
        ``differences``
            Optional {method: two groups}: the joint map of the method is that of the second minus that of the first.
        ``versions``
            Optional {program: version}.

        A path that is None counts as not given.

    Raises
    ------
    InputError
        For unknown or missing keys, missing files, files in a private folder, and tables with private fields.
    """
    contents = _checked(contents)
    config, figures = contents["config"], contents["figures"]
    frames = {name: _read(name, path) for name, path in contents["tables"].items() if name != "top_regions"}
    top = {atlas: read_table(path) for atlas, path in contents["tables"].get("top_regions", {}).items()}
    named = frames | {f"top_regions of {atlas}": table for atlas, table in top.items()}
    refuse_private_fields(named, hide_target=bool(config["cohort"].get("restricted_target")))

    explained = frames["explained"].set_index("method") if "explained" in frames else pd.DataFrame()
    methods = list(explained.index)
    performance = verdicts.judge(frames["accuracy"], frames["accuracy_summary"], frames.get("confounds"))
    planted = frames.get("planted_regions")
    external = bool(config.get("interpret", {}).get("weights"))
    facts = {
        "name": config["name"],
        "cohort": cohort_facts(config, frames),
        "performance": performance,
        "external": external,
        "phantom": config["cohort"].get("source") == "phantom",
        "found": None if planted is None else verdicts.find_planted(planted, methods),
        "top": config.get("report", {}).get("top_regions"),
        "survivors": trust.survivors(frames),
        "sections": _method_sections(
            explained, figures, top, frames.get("localization"), contents.get("differences") or {}
        ),
        "figures": {name: data_uri(path) for name, path in figures.items() if name not in ("maps", "regions")},
        "tables": _tables(frames, methods, config),
        **_model_facts(frames, performance, external),
        "atlases": _atlases(top, figures.get("regions", {}), methods, config),
        "settings": public_settings(config),
        "versions": contents.get("versions") or {},
        "papers": wording.PAPERS,
        "words": wording,
    }
    write_text(_render(facts), out)


def _read(name: str, path: Path) -> pd.DataFrame:
    """Read one of the page's tables; settings stay as they were written, and names that look like numbers are names."""
    if name == "hyperparameters":
        return read_table(path, dtype=str)
    return read_table(path, dtype=NAMES) if name in NAMED else read_table(path)


def _checked(contents: Mapping) -> dict:
    """Return the contents without what is None, after checking keys and files."""
    wrong = [f"unknown: {key}" for key in set(contents) - KEYS]
    wrong += [f"missing: {key}" for key in KEYS - {"differences", "versions"} - set(contents)]
    if not wrong:
        known = TABLES["needed"] | TABLES["optional"]
        given = {name for name, path in contents["tables"].items() if path is not None}
        wrong += [f"unknown: tables.{name}" for name in given - known]
        wrong += [f"missing: tables.{name}" for name in TABLES["needed"] - given]
        wrong += [f"unknown: figures.{name}" for name in set(contents["figures"]) - FIGURES]
        wrong += [f"missing: config.{key}" for key in ("name", "cohort") if key not in contents["config"]]
    if wrong:
        refuse("The contents of the page are not what write_page expects", sorted(wrong))
    checked = dict(contents)
    checked["tables"] = _without_none(contents["tables"])
    checked["figures"] = _without_none(contents["figures"])
    paths = list(_all_paths([checked["tables"], checked["figures"]]))
    refuse_private_paths(paths)
    absent = [path for path in paths if not path.is_file()]
    if absent:
        refuse("These files of the page do not exist", absent)
    return checked


def _without_none(tree: Mapping) -> dict:
    kept = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def _all_paths(tree: object):
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for branch in tree:
            yield from _all_paths(branch)
    else:
        yield Path(tree)


def _method_sections(explained, figures, top, localization, differences) -> list[dict]:
    """Return what the page says about each method: pictures, people, first regions, and the score on the truth."""
    sections = []
    for method, said in explained.iterrows():
        pictures = figures.get("maps", {}).get(method, {})
        truth = None
        if localization is not None:
            of_population = (localization["group"] == "joint") & (localization["level"] == "population")
            rows = localization[of_population & (localization["method"] == method)]
            truth = verdicts.found_in_words(rows.iloc[0]) if len(rows) else None
        sections.append(
            {
                "method": method,
                "title": style.method_title(method),
                "note": wording.METHOD_NOTES.get(method, ""),
                "joined": _joined(method, differences.get(method)),
                "conservation": verdicts.conservation(said),
                "people": said["people"],
                "explained": verdicts.explained_in_words(said["explained"]),
                "pictures": [
                    (style.group_title(group), data_uri(pictures[group]))
                    for group in style.in_order(list(pictures), first=["joint"])
                ],
                "first": {atlas: _first_regions(table, method) for atlas, table in top.items()},
                "auc": truth,
            }
        )
    return sections


def _joined(method: str, groups: Sequence[str] | None) -> str:
    """Return the sentence on a joint map that is the difference of two groups, else an empty text."""
    if not groups:
        return ""
    reason = wording.CONTRIBUTIONS_CANCEL if method in CONTRIBUTIONS else "."
    return wording.JOINED.format(style.difference_title(groups)) + reason


def _first_regions(table: pd.DataFrame, method: str, count: int = 5) -> list[str]:
    rows = table[(table["method"] == method) & (table["group"] == "joint")]
    return rows.sort_values("rank", kind="stable")["region"].astype(str).head(count).tolist()


def _groups(config: Mapping) -> list[str]:
    return ["joint", *(config["cohort"].get("labels") or [])]


def _beside_chance(measure: str) -> list[str]:
    return [f"{measure}{what}" for what in ("", "_sd", "_chance", "_chance_95", "_p")]


def _tables(frames: Mapping[str, pd.DataFrame], methods: Sequence[str], config: Mapping) -> dict[str, tables.Table]:
    groups = _groups(config)
    columns = {
        "dice": (
            ["group", "method_a", "method_b"],
            ["group", "method_a", "method_b", "dice", "dice_chance", "spearman", "agreement", "voxels_a", "voxels_b"],
        ),
        "localization": (
            ["group", "method", "level"],
            ["group", "method", "level", "n", *_beside_chance("auc"), *_beside_chance("dice"), "inside", "pointing"],
        ),
    }
    shown = {"cohort": tables.show_cohort(frames["cohort"])} | model_tables.show_models(frames)
    for name, (by, names) in columns.items():
        if name in frames and not frames[name].empty:
            titles = {"inside": "In the truth", "n": "Maps"}
            shown[name] = tables.show(tables.arrange(frames[name], methods, by, groups), names, titles)
    if "planted_regions" in frames:
        shown["planted_regions"] = tables.pivot_planted(frames["planted_regions"], methods)
    if "first_layer_counts" in frames:
        shown["first_layer_counts"] = model_tables.show_first_layer(frames["first_layer_counts"])
    return shown | model_tables.show_morphometry(frames) | trust.show_trust(frames)


def _model_facts(frames: Mapping[str, pd.DataFrame], performance: verdicts.Performance, external: bool) -> dict:
    """Return what the page says about models, confounds and the first layer beside tables and pictures."""
    confounds, counts, permutations = (frames.get(name) for name in ("confounds", "first_layer_counts", "permutations"))
    blocks, notes = ({}, {}) if confounds is None else model_tables.show_confounds(confounds)
    return {
        "others": frames["accuracy_summary"]["model"].nunique() > 1,
        "permuted": None if permutations is None else model_tables.count_permutations(permutations, performance.metric),
        "confounds": None if confounds is None else {"blocks": blocks, "notes": notes},
        "pairs": "" if confounds is None else model_tables.pairs_of(confounds),
        "first_layer": [] if counts is None else model_tables.first_layer_in_words(counts),
        "captions": captions.captions(frames, performance.folds > 1, external, blocks),
        "notes": captions.notes(frames, performance.metric == "mae", blocks),
        "weak": wording.WEAK if performance.spread_known else wording.WEAK_IN_ONE_FOLD,
        "reading": wording.reading(
            performance.size_known, performance.folds > 1, has_intervals(frames["accuracy_summary"])
        ),
    }


def _atlases(top, pictures, methods, config) -> list[dict]:
    atlases = []
    for atlas in style.in_order([*top, *pictures]):
        table = None
        if atlas in top:
            frame = tables.arrange(top[atlas], methods, ["group", "method", "rank"], _groups(config))
            table = tables.show(frame, ["group", "method", "rank", "region", "hemisphere", "share", "inside", "voxels"])
        picture = data_uri(pictures[atlas]) if atlas in pictures else None
        atlases.append({"name": atlas, "table": table, "picture": picture})
    return atlases


def _render(facts: Mapping) -> str:
    files = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    # Styles stay open because some browsers hold SVG pictures, which have styles of their own, to the page's policy.
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {source_hash(files['page.js'])}; base-uri 'none'; form-action 'none'"
    )
    # Every value is escaped; only the page's own style sheet and script go in as they are.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["method_title"] = style.method_title
    environment.filters["p_value"] = verdicts.chance_of_error
    template = environment.get_template("page.html.j2")
    return template.render(**facts, policy=policy, css=files["page.css"], script=files["page.js"])
