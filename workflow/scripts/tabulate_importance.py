"""Rule tabulate_importance: the importances of all models and folds in, their mean, spread and rank out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.baselines.importance import summarise_importances
from voxplain.evaluation.comparison import by_model


def run(importances, output):
    """Summarise ``{model: paths of its folds}``."""
    # Names of features can look like numbers.
    frames = {m: [read_table(path, dtype={"feature": str}) for path in paths] for m, paths in importances.items()}
    write_table(summarise_importances(frames), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(by_model(snakemake.input, snakemake.params.models), snakemake.output[0])
