"""Rule tabulate_accuracy: the predictions of all models in, metrics per fold and their comparison out."""

import math

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.comparison import NETWORK, by_model, model_metrics, permuted_means, summarise_models


def run(predictions, settings, folds, permutations, table, summary, permuted, task, labels):
    people = read_table(folds)
    frames = {model: [read_table(path) for path in paths] for model, paths in predictions.items()}
    n_train = {model: [recorded_size(path) for path in paths] for model, paths in settings.items()}
    n_train[NETWORK] = [trained_on(frame, people) for frame in frames[NETWORK]]
    accuracy = model_metrics(frames, n_train, task, labels)
    draws = permuted_means([read_table(path) for path in permutations], task, labels) if permutations else None
    write_table(accuracy, table)
    write_table(summarise_models(accuracy, frames, task, labels, draws), summary)
    if permuted:
        write_table(draws, permuted)


def recorded_size(path):
    """Read how many people a baseline was trained on from its settings."""
    settings = read_table(path, dtype=str).set_index("setting")["value"]
    return int(settings["n_train"])


def trained_on(predictions, people):
    """Count the people of the other folds; of a network from outside, which predicts all folds, nothing is known."""
    rest = int((~people["fold"].isin(predictions["fold"])).sum())
    return rest or math.nan


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        models = list(snakemake.params.models)
        run(
            predictions={model: snakemake.input[model] for model in models},
            settings=by_model(snakemake.input.settings, [model for model in models if model != NETWORK]),
            folds=snakemake.input.folds,
            permutations=snakemake.input.permutations,
            table=snakemake.output.folds,
            summary=snakemake.output.summary,
            permuted=next(iter(snakemake.output.permutations), None),
            task=snakemake.params.task,
            labels=snakemake.params.labels,
        )
