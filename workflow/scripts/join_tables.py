"""Rules tabulate_inference, tabulate_region_intervals: a table of each method in, all of them under each other out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log


def run(parts, output):
    tables = [read_table(path) for path in parts]
    filled = [table for table in tables if len(table)]  # all of them, or none without an atlas
    write_table(pd.concat(filled or tables[:1], ignore_index=True), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        for name, output in snakemake.output.items():
            run(list(snakemake.input[name]), output)
