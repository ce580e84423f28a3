"""Rule draw_noise_utility: the score by the share of clean voxels in, a picture out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.noise_utility import draw_noise_utility


def run(utility, picture):
    draw_noise_utility(read_table(utility), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
