"""Rule tabulate_accuracy: the predictions of all folds in, metrics per fold and over folds out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.models.checkpoint import read_metadata
from voxplain.models.metrics import fold_metrics, summarise_folds


def run(predictions, weights, folds, task, labels, table, summary):
    people = read_table(folds)
    rows = []
    for path, checkpoint in zip(predictions, weights, strict=True):
        guesses, facts = read_table(path), read_metadata(checkpoint)
        trained = facts.get("people_trained", 0) + facts.get("people_validated", 0)
        row = {"fold": facts["fold"], "n_train": trained or None, "n_test": len(guesses)}
        rows.append({**row, **fold_metrics(guesses, task, labels)})
    metrics = pd.DataFrame(rows)
    write_table(metrics, table)
    write_table(summarise_folds(metrics, people["target"], task), summary)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.predictions,
            snakemake.input.weights,
            snakemake.input.folds,
            snakemake.params.task,
            snakemake.params.labels,
            snakemake.output.folds,
            snakemake.output.summary,
        )
