"""Rule tabulate_curves: the predictions of all models in, their ROC curves and calibration out."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.curves import calibration_bins, calibration_summary, mean_roc


def run(predictions, roc, calibration, summary, task, labels):
    frames = {model: [read_table(path) for path in paths] for model, paths in predictions.items()}
    if roc:
        write_table(mean_roc(frames, labels), roc)
    write_table(calibration_bins(frames, task, labels), calibration)
    write_table(calibration_summary(frames, task, labels), summary)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            predictions={model: snakemake.input[model] for model in snakemake.params.models},
            roc=next(iter(snakemake.output.roc), None),
            calibration=snakemake.output.calibration,
            summary=snakemake.output.calibration_summary,
            task=snakemake.params.task,
            labels=snakemake.params.labels,
        )
