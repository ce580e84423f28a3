"""Rule tabulate_masked_accuracy: the masked accuracy of every method in, a table over folds out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.masked_tables import summarise_masked


def run(parts, folds, table, *, task, labels):
    targets = read_private(folds, task)["target"]
    write_table(summarise_masked([read_table(path) for path in parts], targets, task, labels), table)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.parts),
            snakemake.input.folds,
            snakemake.output[0],
            task=snakemake.params.task,
            labels=snakemake.params.labels,
        )
