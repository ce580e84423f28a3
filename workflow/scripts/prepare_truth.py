"""Rule prepare_truth: an image of what is known to differ in, the same on the common grid out, or a refusal."""

from voxplain.base.files import write_image
from voxplain.base.jobs import job_log
from voxplain.evaluation.truth import read_truth
from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_on_grid


def run(image, brain, output):
    write_image(read_truth(image, read_on_grid(brain) > 0), COMMON.affine, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.input.image, snakemake.input.brain, snakemake.output[0])
