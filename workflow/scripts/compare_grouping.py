"""Rule compare_grouping: predictions on folds with and without torn families in, what that flatters out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.comparison import NETWORK, by_model
from voxplain.evaluation.grouping import compare_grouping


def run(grouped, ungrouped, output, task, labels):
    sides = [
        {model: [read_table(path) for path in paths] for model, paths in tables.items()}
        for tables in (grouped, ungrouped)
    ]
    write_table(compare_grouping(*sides, task, labels), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        models = list(snakemake.params.models)
        others = by_model(snakemake.input.ungrouped, [model for model in models if model != NETWORK])
        run(
            grouped={model: snakemake.input[model] for model in models},
            ungrouped={NETWORK: [snakemake.input.cnn_ungrouped], **others},
            output=snakemake.output[0],
            task=snakemake.params.task,
            labels=snakemake.params.labels,
        )
