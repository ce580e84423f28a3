"""Rule tabulate_participants: the source's tables in, one validated table of people and its public summary out."""

from pathlib import Path

import pandas as pd

from voxplain.base.files import private_folder, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import private_salt, summarise_report, tabulate


def run(cohort, seed, tables, participants, summary, missing):
    cohort = {**cohort, "min_found": 0}  # counted before the workflow began
    private = private_folder(Path(participants).parent)
    people, report = tabulate(cohort, seed, private_salt(private / "salt"), **tables)
    write_table(pd.DataFrame(sorted(report["missing"].items()), columns=["participant_id", "reason"]), missing)
    write_table(summarise_report(report), summary)
    write_table(people, participants)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.cohort,
            snakemake.params.seed,
            snakemake.params.tables,
            snakemake.output.participants,
            snakemake.output.summary,
            snakemake.output.missing,
        )
