"""Rule tabulate_randomization: the randomisation test of every fold and method in; means, spread and verdicts out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.randomization_tables import summarise_folds, survives


def run(tables, table, verdicts, *, threshold):
    summary = summarise_folds([read_table(path) for path in tables])
    write_table(summary, table)
    write_table(survives(summary, threshold), verdicts)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input),
            snakemake.output.table,
            snakemake.output.verdicts,
            threshold=snakemake.params.threshold,
        )
