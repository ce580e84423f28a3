"""Rule fit_voxel_svm: dot products of the images and folds in, the SVM of one fold out: predictions, settings."""

import numpy as np

from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.threads import numeric_threads
from voxplain.baselines.predictions import no_predictions
from voxplain.baselines.sized import with_known_size
from voxplain.baselines.voxel_svm import fit_voxel_svm
from voxplain.cohort.participants import read_private


def run(
    products,
    sums,
    folds,
    participants,
    confounders,
    predictions,
    residualised,
    settings,
    *,
    fold,
    task,
    labels,
    hyperparameters,
    inner_folds,
    grouped,
    predictions_only,
    seed,
):
    pairs, totals = read_array(products), read_table(sums)
    people = totals[["participant_id"]].merge(read_private(folds, task), validate="one_to_one")
    if len(people) != len(totals):
        raise ValueError(f"{folds} has {len(people)} of the {len(totals)} people in {sums}")
    families = read_private(participants, task).set_index("participant_id")["group"].reindex(people["participant_id"])
    tested = (people["fold"].astype(str) == str(fold)).to_numpy()
    learners = totals["sampled"].to_numpy(dtype=bool)
    # Who is neither learned from nor tested does not count.
    counting = tested | learners

    def fit(included, confounder=None):
        train, test = np.flatnonzero(included & ~tested), np.flatnonzero(included & tested)
        known = people.loc[test, ["participant_id", "fold", "target"]].reset_index(drop=True)
        if not (len(train) and len(test)):
            return known.join(no_predictions(task, labels)), None
        guesses, used = fit_voxel_svm(
            pairs,
            totals["sum"].to_numpy(),
            int(totals["voxels"].iloc[0]),
            train,
            test,
            people["target"],
            task,
            labels,
            hyperparameters,
            seed,
            families.to_numpy() if grouped else None,
            confounder,
            inner_folds,
            squares=None if learners.all() else totals["square"].to_numpy(),
            sample=None if learners.all() else np.flatnonzero(learners),
        )
        return known.join(guesses), used

    with numeric_threads(1):
        guesses, used = fit(counting)
        write_table(guesses, predictions)
        write_table(used, settings)
        print(f"svm, fold {fold}: {np.sum(counting & ~tested)} people trained on, {np.sum(tested)} tested")
        if not learners.all():
            print(f"svm, fold {fold}: those trained on are a sample of {np.sum(~tested)} (svm.people)")
        if residualised:
            sizes = read_table(confounders).set_index("participant_id")["tiv_mm3"].astype(float)
            sizes = sizes.reindex(people["participant_id"]).to_numpy()
            sizes = np.where(counting, sizes, np.nan)
            sized = with_known_size(sizes, tested, people["target"], task, labels) & (not predictions_only)
            write_table(fit(sized, sizes)[0], residualised)
            print(f"svm, fold {fold}: {np.sum(sized)} of {np.sum(counting)} people in the model without head size")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            **dict(snakemake.input.items()),
            predictions=snakemake.output.predictions,
            residualised=next(iter(snakemake.output.residualised), None),
            settings=snakemake.output.settings,
            fold=snakemake.wildcards.fold,
            task=params.task,
            labels=params.labels,
            hyperparameters=params.settings,
            inner_folds=params.inner_folds,
            grouped=params.grouped,
            predictions_only=params.predictions_only,
            seed=params.seed,
        )
