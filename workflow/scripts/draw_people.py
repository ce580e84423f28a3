"""Rule draw_people: everybody's maps in, a picture a person and the list of them out."""

from voxplain.base.jobs import job_log
from voxplain.reporting.people import draw_people


def run(folders, mean, brain, output):
    draw_people(folders, mean, brain, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            {method: snakemake.input[method] for method in snakemake.params.methods},
            snakemake.input.mean_image,
            snakemake.input.brain_mask,
            snakemake.output[0],
        )
