"""Rule draw_roc: ROC curves of every model in, a panel each out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.models import draw_roc


def run(roc, summary, picture):
    draw_roc(read_table(roc), read_table(summary), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.roc, snakemake.input.summary, snakemake.output[0])
