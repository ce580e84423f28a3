"""Rule write_page: result files in, the page out."""

import json
from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.reporting.page import write_page
from voxplain.reporting.page_contents import FIGURES_OF_ATLASES, TABLES_OF_ATLASES
from voxplain.reporting.people import TABLE


def run(
    config, results, tables, pictures, index, excluded, provenance, differences, methods, groups, atlases, page,
    statistic=None, people=None, citation=None,
):  # fmt: skip
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
    record = json.loads(Path(provenance).read_text(encoding="utf-8"))
    contents = {"config": config, "tables": named, "figures": figures, "differences": differences}
    if methods and statistic:
        contents["viewer"] = {
            "mean": f"{results}/images/mean.nii.gz",
            "brain": f"{results}/images/brain_mask.nii.gz",
            "maps": {
                method: {group: f"{results}/population/{method}/{group}_{statistic}.nii.gz" for group in groups}
                for method in methods
            },
            "atlases": {
                atlas: {"image": f"{results}/atlases/{atlas}.nii.gz", "labels": f"{results}/atlases/{atlas}.tsv"}
                for atlas in atlases
            },
        }
    if people:
        contents["people"] = f"{people}/{TABLE}"
    if citation:
        contents["citation"] = citation
    write_page(page, contents | {"provenance": record})


def _of_atlases(name, paths, atlases):
    """Return those of the files that are called by `name` and an atlas, by atlas."""
    stems = {Path(path).stem: path for path in paths}
    return {atlas: stems[f"{name}_{atlas}"] for atlas in atlases if f"{name}_{atlas}" in stems}


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.config,
            f"results/{snakemake.params.config['name']}",
            snakemake.input.tables,
            snakemake.input.pictures,
            snakemake.input.index,
            snakemake.input.excluded,
            snakemake.input.provenance,
            snakemake.params.differences,
            snakemake.params.methods,
            snakemake.params.groups,
            snakemake.params.atlases,
            snakemake.output.page,
            snakemake.params.statistic,
            snakemake.input.people,
            snakemake.params.citation,
        )
