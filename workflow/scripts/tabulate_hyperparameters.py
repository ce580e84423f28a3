"""Rule tabulate_hyperparameters: the settings of all models and folds in, one table out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.comparison import by_model


def run(settings, folds, output):
    """Join ``{model: paths of its folds}``, in the order of `folds`."""
    parts = [
        read_table(path, dtype=str).assign(model=model, fold=fold)
        for model, paths in settings.items()
        for fold, path in zip(folds, paths, strict=True)
    ]
    write_table(pd.concat(parts, ignore_index=True)[["model", "fold", "setting", "value"]], output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(by_model(snakemake.input, snakemake.params.models), snakemake.params.folds, snakemake.output[0])
