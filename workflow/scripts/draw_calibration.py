"""Rule draw_calibration: predicted and observed values in bins in, a panel a model out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.models import draw_calibration


def run(calibration, summary, picture):
    draw_calibration(read_table(calibration), read_table(summary), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.calibration, snakemake.input.summary, snakemake.output[0])
