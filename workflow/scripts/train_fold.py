"""Rule train_fold: train on all folds but one; write the network, its history and the predictions for that one."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.fold import train_and_test
from voxplain.models.holdout import families_of
from voxplain.models.settings import TrainingSettings


def run(
    stack,
    index,
    folds,
    participants,
    weights,
    history,
    predictions,
    *,
    fold,
    settings,
    grouped,
    seed,
    device,
    partial,
    code,
):
    volumes, people = read_array(stack), read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    families = families_of(read_table(participants), people["participant_id"]) if grouped else None
    state = f"{partial}_{code}"  # other code does not go on with an epoch of this one
    with on_device(*device) as chosen:
        trained, guesses = train_and_test(volumes, people, fold, settings, chosen, seed, state, families)
    write_table(guesses, predictions)
    write_table(trained.history, history)
    save_checkpoint(trained.model, weights, {**trained.metadata, "fold": fold})
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold = snakemake.params, int(snakemake.wildcards.fold)
        run(
            **dict(snakemake.input.items()),
            **dict(snakemake.output.items()),
            fold=fold,
            settings=TrainingSettings(**params.model, **params.training, task=params.task, labels=params.labels),
            grouped=params.grouped,
            seed=seed_for(params.seed, "fold", fold),
            device=(params.device, params.torch_threads),
            partial=f"{snakemake.wildcards.results}/partial/train_fold-{fold}",
            code=params.code,
        )
