"""Rule cross_validate: the network on all folds once more, with shuffled targets or on other folds; predictions out."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.holdout import families_of
from voxplain.models.rerun import cross_validate, shuffle_targets
from voxplain.models.settings import TrainingSettings


def run(
    stack, index, folds, participants, predictions, *, permutation, settings, grouped, seed, device, partial, code
):  # fmt: skip
    people = read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    families = families_of(read_table(participants), people["participant_id"]) if grouped else None
    words = ("fold",)  # without a permutation these are the seeds of train_fold
    if permutation is not None:
        people["target"] = shuffle_targets(people, seed, permutation, families)
        words = ("permutation", permutation)
    seeds = {fold: seed_for(seed, *words, fold) for fold in people["fold"].unique()}
    with on_device(*device) as chosen:
        table = cross_validate(read_array(stack), people, settings, chosen, seeds, f"{partial}_{code}", families)
    write_table(table, predictions)
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, name = snakemake.params, snakemake.wildcards.run
        run(
            **dict(snakemake.input.items()),
            predictions=snakemake.output[0],
            permutation=None if name == "ungrouped" else int(name.removeprefix("permutation-")),
            settings=TrainingSettings(**params.model, **params.training, task=params.task, labels=params.labels),
            grouped=params.grouped,
            seed=params.seed,
            device=(params.device, params.torch_threads),
            # Not in partial/ itself: the predictions of finished folds hold targets.
            partial=f"{snakemake.wildcards.results}/private/partial/cross_validate-{name}",
            code=params.code,
        )
