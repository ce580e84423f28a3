"""Rules train_fold, train_again: train on all folds but one; write the network, its history and its predictions."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.fold import train_and_test
from voxplain.models.holdout import families_of
from voxplain.models.rerun import unrelated_targets
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
    dropout_seed=None,
    permutation=None,
):
    volumes, people = read_array(stack), read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    families = families_of(read_table(participants), people["participant_id"]) if grouped else None
    if permutation is not None:
        people["target"] = unrelated_targets(people, permutation[0], permutation[1], families)
    state = f"{partial}_{code}"  # other code does not go on with an epoch of this one
    with on_device(*device) as chosen:
        trained, guesses = train_and_test(volumes, people, fold, settings, chosen, seed, state, families, dropout_seed)
    write_table(guesses, predictions)
    write_table(trained.history, history)
    save_checkpoint(trained.model, weights, {**trained.metadata, "fold": fold})
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        fold, variant = int(wildcards.fold), wildcards.get("variant", "")
        change, _, number = variant.partition("-")
        seed = seed_for(params.seed, "fold", fold)
        run(
            **dict(snakemake.input.items()),
            **dict(snakemake.output.items()),
            fold=fold,
            settings=TrainingSettings(**params.model, **params.training, task=params.task, labels=params.labels),
            grouped=params.grouped,
            # What is not changed stays as it was in the network that this one is compared with.
            seed=seed_for(seed, "again", number) if change == "seed" else seed,
            dropout_seed=seed_for(seed, "again", number) if change == "dropout" else None,
            permutation=(params.seed, int(number)) if change == "shuffled" else None,
            device=(params.device, params.torch_threads),
            partial=f"{wildcards.results}/partial/train_{variant or 'fold'}-{fold}",
            code=params.code,
        )
