"""Rule draw_dice: the overlap table in, a heat map out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.overlap import draw_dice

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        draw_dice(read_table(snakemake.input[0]), snakemake.output[0])
