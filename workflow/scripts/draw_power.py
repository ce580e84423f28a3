"""Rule draw_power: the table of the benchmark in, a panel of power curves per design out."""

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.power import draw_power


def run(benchmark, picture, *, statistic, fwhm_mm=None, titles=None):
    draw_power(read_table(benchmark), picture, statistic, fwhm_mm, titles)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            snakemake.input[0],
            snakemake.output[0],
            statistic=params.statistic,
            fwhm_mm=params.get("fwhm_mm"),
            titles=params.get("titles"),
        )
