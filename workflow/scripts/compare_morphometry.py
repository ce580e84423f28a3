"""Rule compare_morphometry: importances of morphometry and tables of regions in, how they go together out."""

import sys

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.morphometry import COLUMNS, CORRELATION_COLUMNS, LEAST_REGIONS, compare


def run(importance, regions, table, correlation, *, atlases):
    features, tables, correlations = read_table(importance, dtype={"feature": str}), [], []
    for atlas, path in zip(atlases, regions, strict=True):
        compared, rho = compare(features, read_table(path))
        if compared.empty:
            least = f"fewer than {LEAST_REGIONS} of its regions have a feature of the same name and side"
            print(f"Warning: the atlas {atlas} is left out: {least}.", file=sys.stderr)
        for part in (compared, rho):
            part.insert(0, "atlas", atlas)
        tables.append(compared)
        correlations.append(rho)
    for parts, columns, output in ((tables, COLUMNS, table), (correlations, CORRELATION_COLUMNS, correlation)):
        filled = [part for part in parts if len(part)]
        write_table(pd.concat(filled) if filled else pd.DataFrame(columns=["atlas", *columns]), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.importance,
            snakemake.input.regions,
            snakemake.output.table,
            snakemake.output.correlation,
            atlases=snakemake.params.atlases,
        )
