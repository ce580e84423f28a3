"""Rule draw_accuracy: the metrics of all folds in, a picture beside chance out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.curves import draw_accuracy

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        draw_accuracy(read_table(snakemake.input.accuracy), read_table(snakemake.input.summary), snakemake.output[0])
