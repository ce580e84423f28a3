"""Rule write_page: result files in, the page and the provenance of the run out."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from voxplain.base.files import write_text
from voxplain.base.jobs import job_log
from voxplain.reporting.page import write_page
from voxplain.reporting.page_contents import FIGURES_OF_ATLASES, TABLES_OF_ATLASES
from voxplain.reporting.privacy import public_settings

# Programs whose versions matter for the numbers.
PROGRAMS = (
    "snakemake",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "nibabel",
    "nilearn",
    "antspyx",
    "captum",
    "scikit-image",
)
# The distributions that XGBoost comes in; a run without it is as good.
XGBOOST = ("xgboost", "xgboost-cpu")


def run(config, results, tables, pictures, index, excluded, differences, methods, groups, atlases, page, provenance):
    by_atlas = tuple(f"{name}_" for name in (*TABLES_OF_ATLASES, *FIGURES_OF_ATLASES))
    named = {Path(path).stem: path for path in tables if not Path(path).stem.startswith(by_atlas)}
    named |= {"index": index, "excluded": excluded}
    for name in TABLES_OF_ATLASES:
        named[name] = _of_atlases(name, tables, atlases)
    # Pictures of single methods and atlases lie deeper or bear their names; every other goes by its own.
    figures = {
        Path(path).stem: path
        for path in pictures
        if Path(path).parent.name == "figures" and not Path(path).stem.startswith(by_atlas)
    }
    sheets = sorted(stem for stem in figures if stem.startswith("visualisation_"))
    if sheets:  # the page shows one network's; those of the others lie beside it
        first, *_ = [figures.pop(stem) for stem in sheets]
        figures["visualisation"] = first
    figures["maps"] = {
        method: {group: f"{results}/figures/maps/{method}_{group}.png" for group in groups} for method in methods
    }
    for name in FIGURES_OF_ATLASES:
        figures[name] = _of_atlases(name, pictures, atlases)
    versions = installed()
    contents = {"config": config, "tables": named, "figures": figures, "differences": differences, "versions": versions}
    write_page(page, contents)
    record = {"versions": versions, "config": dict(public_settings(config))}
    write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", provenance)


def _of_atlases(name, paths, atlases):
    """Return those of the files that are called by `name` and an atlas, by atlas."""
    stems = {Path(path).stem: path for path in paths}
    return {atlas: stems[f"{name}_{atlas}"] for atlas in atlases if f"{name}_{atlas}" in stems}


def installed():
    """Return the versions of Python and of the programs, by their names."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in PROGRAMS}
    for name in XGBOOST:
        try:
            return versions | {"xgboost": version(name)}
        except PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.config,
            f"results/{snakemake.params.config['name']}",
            snakemake.input.tables,
            snakemake.input.pictures,
            snakemake.input.index,
            snakemake.input.excluded,
            snakemake.params.differences,
            snakemake.params.methods,
            snakemake.params.groups,
            snakemake.params.atlases,
            snakemake.output.page,
            snakemake.output.provenance,
        )
