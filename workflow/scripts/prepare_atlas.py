"""Rule prepare_atlas: an atlas's image and table in, the same on the common grid out, or a refusal."""

from voxplain.base.files import write_image, write_table
from voxplain.base.jobs import job_log
from voxplain.imaging.grid import COMMON
from voxplain.population.atlas import fetch, load_atlas


def run(name, settings, image, table):
    if "fetch" in settings:
        atlas = fetch(settings["fetch"], name, **settings["arguments"])
    else:
        atlas = load_atlas(settings["image"], settings["labels"], name, settings.get("sha256"))
    write_image(atlas.data, COMMON.affine, image)
    write_table(atlas.regions, table)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.wildcards.atlas,
            snakemake.params.settings,
            snakemake.output.image,
            snakemake.output.table,
        )
