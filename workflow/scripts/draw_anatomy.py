"""Rule draw_anatomy: what maps share with the images' own statistic in, a picture by voxels (and by regions) out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.anatomy import draw_density, draw_ranks


def run(density, anatomy, picture, regions, region_pictures):
    draw_density(read_table(density), read_table(anatomy), picture)
    for table, out in zip(regions, region_pictures, strict=True):
        draw_ranks(read_table(table), out)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.density,
            snakemake.input.anatomy,
            snakemake.output.picture,
            list(snakemake.input.get("regions", [])),
            list(snakemake.output.get("regions", [])),
        )
