"""Rule compare_anatomy: the methods' joint maps and the images' own statistic in, what they have in common out."""

import pandas as pd

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.base.progress import Progress
from voxplain.evaluation.anatomy import compare_anatomy, compare_regions, density
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid


def run(
    maps, brain, t, significant, atlases, anatomy, densities, regions, *, methods, signed, surrogates, seed
):  # fmt: skip
    inside, statistic, found = read_on_grid(brain) > 0, read_on_grid(t), read_on_grid(significant) > 0
    own = {method: read_on_grid(path) for method, path in zip(methods, maps, strict=True)}
    tables, progress = [], Progress("anatomy: methods", len(methods))
    for method, volume in own.items():
        same_sign = method in signed
        tables.append(compare_anatomy(method, volume, statistic, found, inside, same_sign, surrogates, seed))
        progress.step()
    write_table(pd.concat(tables, ignore_index=True), anatomy)
    counts = [density(method, volume, statistic, inside) for method, volume in own.items()]
    write_table(pd.concat(counts, ignore_index=True), densities)
    for (image, table), output in zip(atlases, regions, strict=True):
        atlas = read_prepared(image, table)
        ranked = [compare_regions(method, volume, statistic, atlas) for method, volume in own.items()]
        write_table(pd.concat(ranked, ignore_index=True), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.maps),
            snakemake.input.brain,
            snakemake.input.t,
            snakemake.input.significant,
            list(zip(snakemake.input.get("images", []), snakemake.input.get("tables", []), strict=True)),
            snakemake.output.anatomy,
            snakemake.output.density,
            list(snakemake.output.get("regions", [])),
            methods=snakemake.params.methods,
            signed=snakemake.params.signed,
            surrogates=snakemake.params.surrogates,
            seed=snakemake.params.seed,
        )
