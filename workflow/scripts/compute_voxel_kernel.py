"""Rule compute_voxel_kernel: the stack of images in, the dot products of everybody with those learned from out."""

import numpy as np

from voxplain.base.files import read_array, read_table, write_array, write_table
from voxplain.base.jobs import job_log
from voxplain.base.threads import numeric_threads
from voxplain.baselines.kernel import dot_products, dot_products_with
from voxplain.baselines.sampling import sampled
from voxplain.cohort.participants import read_private


def run(stack, index, participants, products, sums, *, people, task, seed, threads):
    images, known = read_array(stack), read_private(participants, task)
    totals = read_table(index)[["participant_id"]].assign(voxels=images[0].size)
    targets = known.set_index("participant_id")["target"].reindex(totals["participant_id"])
    totals["sampled"] = sampled(targets, people, task, seed)
    with numeric_threads(threads):
        if totals["sampled"].all():
            pairs, totals["sum"] = dot_products(images)
            totals["square"] = np.diag(pairs)
        else:
            print(f"svm: {totals['sampled'].sum()} of {len(totals)} people are a sample to learn from (svm.people)")
            pairs, totals["square"], totals["sum"] = dot_products_with(images, np.flatnonzero(totals["sampled"]))
    write_array(pairs, products)
    write_table(totals[["participant_id", "sum", "square", "voxels", "sampled"]], sums)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            **dict(snakemake.input.items()),
            **dict(snakemake.output.items()),
            people=params.people,
            task=params.task,
            seed=params.seed,
            threads=params.threads,
        )
