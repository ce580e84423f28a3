"""Rule tabulate_reproducibility: all methods' tables and all networks' predictions in, two tables over repeats out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.reproducibility_tables import measure_networks, pool_variants


def run(tables, original, variants, table, networks, *, task, labels):
    write_table(pool_variants([read_table(path) for path in tables]), table)
    predictions = {variant: [read_table(path) for path in paths] for variant, paths in variants.items()}
    write_table(measure_networks([read_table(path) for path in original], predictions, task, labels), networks)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        run(
            inputs.tables,
            inputs.original,
            {variant: inputs[variant] for variant in params.variants},
            snakemake.output.table,
            snakemake.output.networks,
            task=params.task,
            labels=params.labels,
        )
