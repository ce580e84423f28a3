"""Rule score_localization: population maps and the planted truth in, what each method found out."""

from itertools import product

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.localization import planted_ranks, score
from voxplain.population.maps import read_on_grid


def run(maps, brain, truth, truth_regions, regions, methods, groups, top, localization, planted):
    inside, planted_voxels = read_on_grid(brain) > 0, read_on_grid(truth) > 0
    rows = [
        {"method": method, "group": group, **score(read_on_grid(volume), planted_voxels, inside)}
        for (method, group), volume in zip(product(methods, groups), maps, strict=True)
    ]
    write_table(pd.DataFrame(rows), localization)
    write_table(planted_ranks(read_table(regions), read_table(truth_regions), top), planted)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.maps,
            snakemake.input.brain,
            snakemake.input.truth,
            snakemake.input.truth_regions,
            snakemake.input.regions,
            snakemake.params.methods,
            snakemake.params.groups,
            snakemake.params.top,
            snakemake.output.localization,
            snakemake.output.planted,
        )
