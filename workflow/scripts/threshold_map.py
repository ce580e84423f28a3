"""Rule threshold_map: a population map in, the mask of its strongest voxels out."""

from voxplain.base.files import write_image
from voxplain.base.jobs import job_log
from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_on_grid
from voxplain.population.threshold import threshold


def run(population, brain, output, kind, value):
    mask = threshold(read_on_grid(population), read_on_grid(brain) > 0, kind, value)
    write_image(mask, COMMON.affine, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.map,
            snakemake.input.brain,
            snakemake.output[0],
            snakemake.params.kind,
            snakemake.params.value,
        )
