"""Rule import_network: the user's checkpoint in, the same with its metadata and its predictions for everybody out."""

from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.models.checkpoint import load_external, save_checkpoint
from voxplain.models.prediction import predict


def run(file, stack, index, folds, model, task, labels, scale, device, threads, weights, predictions):
    volumes, people = read_array(stack), read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    network, metadata = load_external(
        file, model["network"], model["arguments"], task, labels, volumes.shape[1:], *scale
    )
    with on_device(device, threads) as chosen:
        guesses = predict(network, volumes, people.index, metadata, chosen)
    write_table(people[["participant_id", "fold", "target"]].join(guesses), predictions)
    save_checkpoint(network, weights, metadata)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.weights,
            snakemake.input.stack,
            snakemake.input.index,
            snakemake.input.folds,
            snakemake.params.model,
            snakemake.params.task,
            snakemake.params.labels,
            snakemake.params.scale,
            snakemake.params.device,
            snakemake.params.torch_threads,
            snakemake.output.weights,
            snakemake.output.predictions,
        )
