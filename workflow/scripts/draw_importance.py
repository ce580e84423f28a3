"""Rule draw_importance: the importances of morphometric features in, bars a model out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.importance import draw_importance
from voxplain.reporting.reading import NAMES


def run(importance, picture, labels):
    draw_importance(read_table(importance, dtype=NAMES), picture, labels)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.importance, snakemake.output[0], snakemake.params.labels)
