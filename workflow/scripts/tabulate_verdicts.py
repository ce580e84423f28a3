"""Rule tabulate_verdicts: the tables of all tests in, what each method passes and fails out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.verdicts import Thresholds, judge_methods


def run(tables, output, *, methods, thresholds):
    found = {name: read_table(path) for name, path in tables.items()}
    write_table(judge_methods(found, methods, Thresholds(**thresholds)), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            dict(snakemake.input.items()),
            snakemake.output[0],
            methods=snakemake.params.methods,
            thresholds=snakemake.params.thresholds,
        )
