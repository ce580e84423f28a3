"""Rule draw_randomization: similarities of maps to those of randomised networks in, a panel a method out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.randomization import draw_randomization


def run(table, verdicts, picture):
    draw_randomization(read_table(table), read_table(verdicts), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.table, snakemake.input.verdicts, snakemake.output[0])
