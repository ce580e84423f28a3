"""Rule compute_voxel_kernel: the stack of images in, the dot products of all pairs of people out."""

import pandas as pd

from voxplain.base.files import read_array, read_table, write_array, write_table
from voxplain.base.jobs import job_log
from voxplain.base.threads import numeric_threads
from voxplain.baselines.kernel import dot_products


def run(stack, index, products, sums, *, threads):
    images, people = read_array(stack), read_table(index)["participant_id"]
    with numeric_threads(threads):
        pairs, totals = dot_products(images)
    write_array(pairs, products)
    write_table(pd.DataFrame({"participant_id": people, "sum": totals, "voxels": images[0].size}), sums)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(**dict(snakemake.input.items()), **dict(snakemake.output.items()), threads=snakemake.params.threads)
