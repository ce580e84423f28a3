"""Rule tabulate_participants: the source's tables in, one validated table of people and its public summary out."""

from pathlib import Path

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.base.files import private_folder, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import private_salt, summarise_report, tabulate
from voxplain.cohort.people import data_root
from voxplain.imaging.reading import check_headers


def run(cohort, on_bad_image, seed, tables, participants, summary, missing):
    cohort = {**cohort, "min_found": 0}  # counted before the workflow began
    private = private_folder(Path(participants).parent)
    people, report = tabulate(cohort, seed, private_salt(private / "salt"), **tables)
    root = data_root(cohort)
    if root is not None and on_bad_image == "fail":  # otherwise the quality control leaves them out
        problems = check_headers([root / path for path in [*people["image"], *people["mask"].dropna()]])
        if problems:
            refuse(
                f"{len(problems)} images cannot be read; every one must be a whole 3D volume (.nii or .nii.gz)",
                problems,
                "Fetch or convert these files again, or take these people out of the table.",
            )
    write_table(pd.DataFrame(sorted(report["missing"].items()), columns=["participant_id", "reason"]), missing)
    write_table(summarise_report(report), summary)
    write_table(people, participants)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.cohort,
            snakemake.params.on_bad_image,
            snakemake.params.seed,
            snakemake.params.tables,
            snakemake.output.participants,
            snakemake.output.summary,
            snakemake.output.missing,
        )
