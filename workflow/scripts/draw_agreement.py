"""Rule draw_agreement: the table of agreement between methods in, a matrix and curves over the volume out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.agreement import draw_agreement


def run(agreement, picture):
    draw_agreement(read_table(agreement), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
