"""Rule tabulate_age_gap: predictions of a number in; everybody's gap to the truth and its summary out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.age_gap import gaps, summarise_gaps


def run(predictions, people, summary):
    """Write the gaps of ``{model: paths of its folds}``."""
    frames = {model: [read_table(path) for path in paths] for model, paths in predictions.items()}
    everybody = [gaps(own).assign(model=model) for model, own in frames.items()]
    write_table(pd.concat(everybody, ignore_index=True), people)
    write_table(summarise_gaps(frames), summary)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            {model: snakemake.input[model] for model in snakemake.params.models},
            snakemake.output.people,
            snakemake.output.summary,
        )
