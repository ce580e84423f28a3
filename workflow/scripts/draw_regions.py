"""Rule draw_regions: the region table of an atlas in, the top regions of every method as a picture out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.regions import draw_regions

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        planted = read_table(snakemake.input.planted) if snakemake.input.get("planted") else None
        draw_regions(read_table(snakemake.input.regions), planted, snakemake.output[0], top=snakemake.params.top)
