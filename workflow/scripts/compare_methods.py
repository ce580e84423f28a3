"""Rule compare_methods: population maps and masks of all methods in, their overlap per group out."""

from itertools import product

import pandas as pd

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.population.maps import read_on_grid
from voxplain.population.overlap import compare


def run(maps, masks, brain, output, methods, groups):
    cells = list(product(methods, groups))  # the order of the rule's expand()
    volumes, chosen = dict(zip(cells, maps, strict=True)), dict(zip(cells, masks, strict=True))
    inside = read_on_grid(brain) > 0
    tables = [
        compare(
            {method: read_on_grid(volumes[method, group]) for method in methods},
            {method: read_on_grid(chosen[method, group]) > 0 for method in methods},
            inside,
            group,
        )
        for group in groups
    ]
    write_table(pd.concat(tables, ignore_index=True), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.maps,
            snakemake.input.masks,
            snakemake.input.brain,
            snakemake.output[0],
            snakemake.params.methods,
            snakemake.params.groups,
        )
