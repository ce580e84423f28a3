"""Rule tabulate_faithfulness: the deletion and insertion of every fold in, two tables over folds out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.faithfulness_tables import summarise_areas, summarise_curves


def run(curves, areas, faithfulness_curves, faithfulness):
    write_table(summarise_curves([read_table(path) for path in curves]), faithfulness_curves)
    write_table(summarise_areas([read_table(path) for path in areas]), faithfulness)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.curves),
            list(snakemake.input.areas),
            snakemake.output.curves,
            snakemake.output.areas,
        )
