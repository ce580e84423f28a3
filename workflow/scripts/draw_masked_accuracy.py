"""Rule draw_masked_accuracy: the table of masked accuracy in, bars beside random masks out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.masked import draw_masked_accuracy


def run(table, picture):
    draw_masked_accuracy(read_table(table), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
