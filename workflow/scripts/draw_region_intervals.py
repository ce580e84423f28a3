"""Rule draw_region_intervals: intervals of shares and ranks in, the top regions of every method as a picture out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.region_intervals import draw_region_intervals


def run(intervals, picture, *, atlas, top):
    draw_region_intervals(read_table(intervals), picture, atlas=atlas, top=top)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input[0],
            snakemake.output[0],
            atlas=snakemake.wildcards.atlas,
            top=snakemake.params.top,
        )
