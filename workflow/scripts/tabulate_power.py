"""Rule tabulate_power: the cells of the benchmark in, one table over their seeds out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.power_tables import summarise_cells


def run(scores, accuracies, benchmark):
    write_table(summarise_cells(*([read_table(path) for path in paths] for paths in (scores, accuracies))), benchmark)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(list(snakemake.input.scores), list(snakemake.input.accuracies), snakemake.output[0])
