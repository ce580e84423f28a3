"""Rule draw_retraining: the table of retraining in, accuracy over the share of the brain out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.masked import draw_retraining


def run(table, picture):
    draw_retraining(read_table(table), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
