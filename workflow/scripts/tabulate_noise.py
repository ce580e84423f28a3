"""Rule tabulate_noise: the noise test of every fold in, its mean and spread out."""

from voxplain.attribution.noise_utility import summarise_utility
from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log


def run(utilities, output):
    write_table(summarise_utility([read_table(path) for path in utilities]), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(list(snakemake.input), snakemake.output[0])
