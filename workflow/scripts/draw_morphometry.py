"""Rule draw_morphometry: the regions' shares of maps and importances in, one against the other out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.morphometry import draw_morphometry
from voxplain.reporting.reading import NAMES


def run(regions, correlation, picture):
    draw_morphometry(read_table(regions, dtype=NAMES), read_table(correlation, dtype=NAMES), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.regions, snakemake.input.correlation, snakemake.output[0])
