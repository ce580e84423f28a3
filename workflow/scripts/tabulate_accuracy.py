"""Rule tabulate_accuracy: the predictions of all folds in, metrics per fold and over folds out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.models.metrics import fold_metrics, summarise_folds


def run(predictions, folds, task, labels, table, summary):
    people = read_table(folds)
    rows = []
    for path in predictions:
        guesses = read_table(path)
        fold = guesses["fold"].iloc[0]
        trained = 0 if fold == "external" else len(people) - len(guesses)
        row = {"fold": fold, "n_train": trained or None, "n_test": len(guesses)}
        rows.append({**row, **fold_metrics(guesses, task, labels)})
    metrics = pd.DataFrame(rows)
    write_table(metrics, table)
    write_table(summarise_folds(metrics, people["target"], task), summary)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.predictions,
            snakemake.input.folds,
            snakemake.params.task,
            snakemake.params.labels,
            snakemake.output.folds,
            snakemake.output.summary,
        )
