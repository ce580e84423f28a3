"""Rule draw_first_layer: the classes' differences in the first layer in, effect sizes a fold out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.first_layer import draw_first_layer


def run(differences, picture):
    draw_first_layer(read_table(differences), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.differences, snakemake.output[0])
