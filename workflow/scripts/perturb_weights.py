"""Rule perturb_weights: one fold's network in, the same with noise on its weights and its predictions out."""

from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.checkpoint import load_checkpoint, save_checkpoint
from voxplain.models.prediction import predict
from voxplain.models.weight_noise import perturb


def run(weights, stack, index, folds, output, predictions, *, fold, share, seed, device):
    model, metadata = load_checkpoint(weights)
    network = perturb(model, share, seed)
    people = read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    tested = people["fold"] == fold
    with on_device(*device) as chosen:
        guesses = predict(network, read_array(stack), people.index[tested], metadata, chosen)
    known = people.loc[tested, ["participant_id", "fold", "target"]].reset_index(drop=True)
    write_table(known.join(guesses), predictions)
    save_checkpoint(network, output, {**metadata, "weight_noise": share})


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        run(
            **dict(snakemake.input.items()),
            output=snakemake.output.weights,
            predictions=snakemake.output.predictions,
            fold=int(wildcards.fold),
            share=params.share,
            seed=seed_for(params.seed, "weights", wildcards.number, wildcards.fold),
            device=(params.device, params.torch_threads),
        )
