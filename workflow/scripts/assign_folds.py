"""Rule assign_folds: who is tested in which fold."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.folds import assign_folds
from voxplain.cohort.participants import read_private


def run(participants, index, folds, task, seed, grouped, output):
    people = read_private(participants, task)
    ids = list(read_table(index)["participant_id"])
    if folds == "external":  # a network that the user brought explains everybody
        table = people.loc[people["participant_id"].isin(ids), ["participant_id", "target"]]
        table.insert(1, "fold", "external")
    else:
        table = assign_folds(people, ids, folds, task, seed, grouped)
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.participants,
            snakemake.input.index,
            snakemake.params.folds,
            snakemake.params.task,
            snakemake.params.seed,
            snakemake.params.grouped,
            snakemake.output[0],
        )
