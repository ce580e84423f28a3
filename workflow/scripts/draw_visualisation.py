"""Rule draw_visualisation: a folder of visualisations in, one contact sheet out."""

from voxplain.base.jobs import job_log
from voxplain.reporting.visualisation import draw_visualisation


def run(folder, picture, *, brain=None):
    draw_visualisation(folder, picture, brain)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.folder, snakemake.output[0], brain=snakemake.input.get("brain"))
