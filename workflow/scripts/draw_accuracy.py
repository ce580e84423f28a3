"""Rule draw_accuracy: every model's metrics of all folds in, a picture beside chance out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.models import draw_accuracy


def run(accuracy, summary, picture):
    draw_accuracy(read_table(accuracy), read_table(summary), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.accuracy, snakemake.input.summary, snakemake.output[0])
