"""Rule tabulate_confounds: predictions, head size and age in; what head size and age explain of them out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.comparison import NETWORK, by_model
from voxplain.evaluation.confounds import EVERYONE, tabulate_confounds


def run(predictions, residualised, folds, confounders, output, task, labels, caliper_sd, target_is_age, hide_target):
    table = tabulate_confounds(
        {model: [read_table(path) for path in paths] for model, paths in predictions.items()},
        {model: [read_table(path) for path in paths] for model, paths in residualised.items()},
        read_table(folds),
        read_table(confounders),
        task,
        labels,
        caliper_sd,
        target_is_age,
    )
    if hide_target:  # how many people belong to a class is then nobody's business
        table.loc[table["group"] != EVERYONE, "n"] = pd.NA
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        models, residualised = list(snakemake.params.models), list(snakemake.input.residualised)
        run(
            predictions={model: snakemake.input[model] for model in models},
            residualised=by_model(residualised, [m for m in models if m != NETWORK] if residualised else []),
            folds=snakemake.input.folds,
            confounders=snakemake.input.confounders,
            output=snakemake.output[0],
            task=snakemake.params.task,
            labels=snakemake.params.labels,
            caliper_sd=snakemake.params.caliper_sd,
            target_is_age=snakemake.params.target_is_age,
            hide_target=snakemake.params.hide_target,
        )
