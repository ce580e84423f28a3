"""Rule draw_faithfulness: curves of deletion and insertion in, a panel a replacement and kind out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.faithfulness import draw_faithfulness


def run(curves, picture):
    draw_faithfulness(read_table(curves), picture)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input[0], snakemake.output[0])
