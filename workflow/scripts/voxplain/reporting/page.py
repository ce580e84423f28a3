"""The report: one HTML file that holds everything and asks the network for nothing."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from voxplain.attribution import CONTRIBUTIONS
from voxplain.base.files import write_text
from voxplain.population.maps import JOINT
from voxplain.reporting import captions, comparison_tables, model_tables, style, tables, trust, truth, verdicts, wording
from voxplain.reporting.cohort import cohort_facts
from voxplain.reporting.embedding import data_uri, source_hash
from voxplain.reporting.method_sections import describe_methods, where_they_looked
from voxplain.reporting.packing import as_json, pack
from voxplain.reporting.page_contents import FIGURES_OF_ATLASES, Frames, checked, read_tables
from voxplain.reporting.people import describe_people
from voxplain.reporting.privacy import public_settings
from voxplain.reporting.provenance import page_facts
from voxplain.reporting.reading import has_intervals
from voxplain.reporting.region_tables import show_atlases
from voxplain.reporting.sections import show_sections
from voxplain.reporting.verdict_matrix import build_matrix, fails_randomisation
from voxplain.reporting.viewer import VERSION, describe_viewer, read_program

TEMPLATES = Path(__file__).resolve().parents[3] / "report"

SCRIPTS = ("page.js", "page.viewer.js", "page.people.js")

# What makes up a section, any of it: the section and its link are there when one of these tables is.
TRUST = ("randomization_verdicts", "faithfulness", "masked_accuracy", "retraining", "reproducibility")


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
            in the order to be shown, where there are any; optional ``index`` (``images/index.tsv``), ``excluded``
            (``images/excluded.tsv``), ``top_regions`` and ``anatomy_regions`` as {atlas: path}, and all others under
            their file names (see `voxplain.reporting.page_contents.OPTIONAL`). With ``localization`` but without
            ``planted_regions`` the truth is one that the user knows.
        ``figures``
            Paths of pictures, all optional (see `voxplain.reporting.page_contents.FIGURES`): ``maps`` as {method:
            {group: path}}, ``regions``, ``intervals`` and ``anatomy_regions`` as {atlas: path}, the others as paths.
        ``differences``
            Optional {method: two groups}: the joint map of the method is that of the second minus that of the first.
        ``viewer``
            Optional, for the interactive viewer: ``mean`` and ``brain``, ``maps`` as {method: {group: path}} and
            ``atlases`` as {atlas: {``image``: path, ``labels``: path}} (see `voxplain.reporting.viewer`).
        ``people``
            Optional path of the table of single people (see `voxplain.reporting.people.draw_people`); their pictures
            stay where they are, in the folder ``people`` beside the page.
        ``citation``
            Optional, from `voxplain.reporting.citation.read_citation`.
        ``provenance``
            Optional record of `voxplain.reporting.provenance.describe_run`.

        A path that is None counts as not given.

    Raises
    ------
    InputError
        For unknown or missing keys, missing files, files in a private folder, and tables with private fields.
    """
    contents = checked(contents)
    config, figures = contents["config"], contents["figures"]
    hide_target = bool(config["cohort"].get("restricted_target"))
    frames, of_atlases = read_tables(contents["tables"], hide_target, contents.get("people"))

    explained = frames["explained"].set_index("method") if "explained" in frames else pd.DataFrame()
    methods, groups = list(explained.index), _groups(config)
    performance = verdicts.judge(frames["accuracy"], frames["accuracy_summary"], frames.get("confounds"))
    external = bool(config.get("interpret", {}).get("weights"))
    top = config.get("report", {}).get("top_regions")
    maps = _map_facts(frames, methods, config)
    differences, warnings = contents.get("differences") or {}, maps["matrix"].warnings if maps["matrix"] else {}
    own = config.get("maps", {}).get("own", {})
    contributions = CONTRIBUTIONS | {method for method, settings in own.items() if settings.get("contribution")}
    sections = describe_methods(
        explained, figures.get("maps", {}), of_atlases["top_regions"], frames, differences, contributions, warnings
    )
    looked = where_they_looked(sections, maps["answer"])
    facts = {
        "name": config["name"],
        "cohort": cohort_facts(config, frames),
        "performance": performance,
        "external": external,
        "phantom": config["cohort"].get("source") == "phantom",
        "top": top,
        **maps,
        "sections": sections,
        "looked": looked,
        "glance": _glance(contents.get("viewer"), looked),
        "figures": {
            name: data_uri(path) for name, path in figures.items() if name not in ("maps", *FIGURES_OF_ATLASES)
        },
        "tables": _tables(frames, methods, groups),
        **_model_facts(frames, performance, external),
        "atlases": show_atlases(frames, of_atlases, figures, methods, groups, top),
        "settings": public_settings(config),
        "provenance": page_facts(contents["provenance"]) if "provenance" in contents else None,
        "viewer": _viewer(contents.get("viewer"), groups, warnings),
        "people": _people(frames, config),
        "citation": contents.get("citation"),
        "words": wording,
    }
    write_text(_render(facts), out)


def _groups(config: Mapping) -> list[str]:
    return ["joint", *(config["cohort"].get("labels") or [])]


def _map_facts(frames: Frames, methods: Sequence[str], config: Mapping) -> dict:
    """Return what the page says of maps and truth, and of the tests of the maps, beside tables and pictures."""
    alpha = config.get("evaluation", {}).get("verdicts", {}).get("alpha")
    regression = config["cohort"].get("task") == "regression"
    matrix = build_matrix(frames["verdicts"], methods, alpha, regression) if "verdicts" in frames else None
    planted, unsound = frames.get("planted_regions"), fails_randomisation(frames)
    return {
        "matrix": matrix,
        # Nothing planted: the table is there, but empty.
        "nothing_planted": planted is not None and planted.empty,
        "found": [] if planted is None else truth.find_planted(planted, methods),
        "planted": planted is not None,
        "answer": truth.best_localiser(frames, methods, unsound),
        "unsound": unsound,
        "survivors": trust.survivors(frames),
        "trusted": any(name in frames for name in TRUST),
        "too_few_masks": trust.undecidable_masks(frames, alpha),
    }


def _beside_chance(measure: str) -> list[str]:
    return [f"{measure}{what}" for what in ("", "_sd", "_chance", "_chance_95", "_p")]


def _tables(frames: Frames, methods: Sequence[str], groups: Sequence[str]) -> dict[str, tables.Table]:
    shown = {"cohort": tables.show_cohort(frames["cohort"])} | model_tables.show_models(frames)
    if "localization" in frames and not frames["localization"].empty:
        names = ["group", "method", "level", "n", *_beside_chance("auc"), *_beside_chance("dice"), "inside", "pointing"]
        rows = tables.arrange(frames["localization"], methods, ["group", "method", "level"], groups)
        joint = rows["group"] == JOINT
        for name, own in (("localization", rows[joint]), ("localization_of_groups", rows[~joint])):
            shown[name] = tables.show(own, names, {"inside": "In the truth", "n": "Maps"})
    if "planted_regions" in frames:
        shown["planted_regions"] = tables.pivot_planted(frames["planted_regions"], methods)
    if "first_layer_counts" in frames:
        shown["first_layer_counts"] = model_tables.show_first_layer(frames["first_layer_counts"])
    shown |= model_tables.show_morphometry(frames) | trust.show_trust(frames, methods, groups)
    return shown | comparison_tables.show_comparisons(frames, methods, groups)


def _model_facts(frames: Frames, performance: verdicts.Performance, external: bool) -> dict:
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


def _viewer(files: Mapping | None, groups: Sequence[str], warnings: Mapping[str, str]) -> dict | None:
    """Return the viewer's data, program and the program's checksum; None where there is nothing to view."""
    if not files or not files.get("maps"):
        return None
    data = describe_viewer(files["mean"], files["brain"], files["maps"], files.get("atlases", {}), groups, warnings)
    program = read_program()
    packed = pack(program.encode("utf-8"))
    return {"data": as_json(data), "program": packed, "hash": source_hash(program), "version": VERSION}


def _glance(files: Mapping | None, looked: Mapping | None) -> str | None:
    """Return the picture of the map that the top of the page names; None where there is no such volume."""
    if not files or looked is None or JOINT not in files["maps"].get(looked["method"], {}):
        return None
    return show_sections(files["maps"][looked["method"]][JOINT], files["mean"], files["brain"], looked["title"])


def _people(frames: Frames, config: Mapping) -> dict | None:
    """Return what the script shows of single people, packed, and how many they are; None where nobody is shown."""
    if "people" not in frames:
        return None
    labels = config["cohort"].get("labels") or []
    told = describe_people(frames["people"], config.get("maps", {}).get("methods", {}), labels)
    return {"count": len(told["people"]), "packed": pack(as_json(told).encode("ascii"))}


def _render(facts: Mapping) -> str:
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    allowed = [source_hash(script), *([facts["viewer"]["hash"]] if facts["viewer"] else [])]
    # The pictures of single people lie beside the page, wherever that is.
    pictures = " 'self' file:" if facts["people"] else ""
    # Styles stay open because some browsers hold SVG pictures, which have styles of their own, to the page's policy.
    policy = (
        f"default-src 'none'; img-src data:{pictures}; style-src 'unsafe-inline'; "
        f"script-src {' '.join(allowed)}; base-uri 'none'; form-action 'none'"
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
    return template.render(**facts, policy=policy, css=css, script=script)
