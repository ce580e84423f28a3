"""Rule tabulate_retraining: the retraining of every method and fold, and of random maps, in; a table over folds out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.masked_tables import summarise_retraining


def run(parts, predictions, folds, table, *, task, labels):
    tables, originals = ([read_table(path) for path in paths] for paths in (parts, predictions))
    targets = read_private(folds, task)["target"]
    write_table(summarise_retraining(tables, originals, targets, task, labels), table)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.parts),
            list(snakemake.input.predictions),
            snakemake.input.folds,
            snakemake.output[0],
            task=snakemake.params.task,
            labels=snakemake.params.labels,
        )
