"""Rule draw_confounds: the table of confounds in, every model with and without head size out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.confounds import draw_confounds


def run(confounds, summary, picture):
    draw_confounds(read_table(confounds), read_table(summary), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.confounds, snakemake.input.summary, snakemake.output[0])
