"""Rule measure_agreement: the population maps of all methods in, how alike they are beside random maps out."""

from itertools import product

import pandas as pd

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.agreement import compare_methods
from voxplain.population.maps import read_on_grid


def run(maps, brain, output, *, methods, groups, volumes, surrogates, seed):
    inside, paths = read_on_grid(brain) > 0, dict(zip(product(methods, groups), maps, strict=True))
    tables = []
    for group in groups:
        own = {method: read_on_grid(paths[method, group]) for method in methods}
        tables.append(compare_methods(own, inside, group, volumes, surrogates, seed))
    write_table(pd.concat(tables, ignore_index=True), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.maps),
            snakemake.input.brain,
            snakemake.output[0],
            methods=snakemake.params.methods,
            groups=snakemake.params.groups,
            volumes=snakemake.params.volumes,
            surrogates=snakemake.params.surrogates,
            seed=snakemake.params.seed,
        )
