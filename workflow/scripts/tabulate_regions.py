"""Rule tabulate_regions: population maps, masks and an atlas in, what each method says about each region out."""

from itertools import product

import pandas as pd

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid
from voxplain.population.regions import region_scores, top_regions


def run(maps, masks, image, table, methods, groups, count, regions, top):
    atlas = read_prepared(image, table)
    parts = []
    for (method, group), volume, mask in zip(product(methods, groups), maps, masks, strict=True):
        scores = region_scores(read_on_grid(volume), read_on_grid(mask) > 0, atlas)
        scores.insert(0, "method", method)
        scores.insert(1, "group", group)
        parts.append(scores)
    scores = pd.concat(parts, ignore_index=True)
    write_table(scores, regions)
    write_table(top_regions(scores, count), top)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.maps,
            snakemake.input.masks,
            snakemake.input.image,
            snakemake.input.table,
            snakemake.params.methods,
            snakemake.params.groups,
            snakemake.params.top,
            snakemake.output.regions,
            snakemake.output.top,
        )
