"""Rule train_fold: train on all folds but one; write the network, its history and the predictions for that one."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.prediction import predict
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import train


def run(
    stack,
    index,
    folds,
    participants,
    fold,
    settings,
    device,
    threads,
    seed,
    partial,
    code,
    weights,
    history,
    predictions,
):
    volumes, people = read_array(stack), read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    tested = people["fold"] == fold
    training = people[~tested]
    families = read_table(participants).set_index("participant_id")["group"].reindex(training["participant_id"])
    groups = list(families) if families.notna().all() else None
    with on_device(device, threads) as chosen:
        trained = train(
            volumes,
            training.index,
            training["target"],
            settings,
            chosen,
            seed_for(seed, "fold", fold),
            f"{partial}_{code}",
            groups,
        )
        guesses = predict(trained.model, volumes, people.index[tested], trained.metadata, chosen)
    known = people.loc[tested, ["participant_id", "fold", "target"]].reset_index(drop=True)
    write_table(known.join(guesses), predictions)
    write_table(trained.history, history)
    save_checkpoint(trained.model, weights, {**trained.metadata, "fold": fold})
    clear_folders(f"{partial}_*")  # this one, and others that runs with other code left


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.stack,
            snakemake.input.index,
            snakemake.input.folds,
            snakemake.input.participants,
            int(snakemake.wildcards.fold),
            TrainingSettings(
                **snakemake.params.model,
                **snakemake.params.training,
                task=snakemake.params.task,
                labels=snakemake.params.labels,
            ),
            snakemake.params.device,
            snakemake.threads,
            snakemake.params.seed,
            f"{snakemake.wildcards.results}/partial/train_fold-{snakemake.wildcards.fold}",
            snakemake.params.code,
            snakemake.output.weights,
            snakemake.output.history,
            snakemake.output.predictions,
        )
