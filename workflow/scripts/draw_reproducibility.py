"""Rule draw_reproducibility: how alike maps are after every change in, a panel a level out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.reproducibility import draw_reproducibility


def run(table, picture):
    draw_reproducibility(read_table(table), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
