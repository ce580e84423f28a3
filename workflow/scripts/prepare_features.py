"""Rule prepare_features: tables of morphometry in, one table of features of the cohort and what was left out."""

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.baselines.features import read_features
from voxplain.cohort.participants import read_private


def run(tables, participants, features, dropped, cohort, settings):
    people = read_private(participants, cohort["task"])[["participant_id", "target"]]
    table, left_out = read_features(tables, people, cohort, settings)
    write_table(table, features)
    write_table(left_out, dropped)
    values = table.drop(columns="participant_id")
    print(f"{values.shape[1]} features of {len(table)} of {len(people)} people; {len(left_out)} columns left out")
    print(f"{int(values.isna().sum().sum())} cells have no value and are imputed by the median of the training people")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.tables),
            snakemake.input.participants,
            snakemake.output.features,
            snakemake.output.dropped,
            snakemake.params.cohort,
            snakemake.params.settings,
        )
