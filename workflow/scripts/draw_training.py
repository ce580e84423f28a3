"""Rule draw_training: the histories of all folds in, their curves out."""

from pathlib import Path

from voxplain.base.files import read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.curves import draw_training

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        histories = {Path(path).parent.name.removeprefix("fold-"): read_table(path) for path in snakemake.input}
        draw_training(histories, snakemake.output[0])
