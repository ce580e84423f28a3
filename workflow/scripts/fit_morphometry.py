"""Rule fit_morphometry: features and folds in, one model of one fold out: predictions, settings, importances."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.threads import numeric_threads
from voxplain.baselines.importance import importances
from voxplain.baselines.nested import fit_fold
from voxplain.baselines.sampling import sampled
from voxplain.baselines.sized import with_known_size
from voxplain.cohort.participants import read_private


def run(
    features,
    folds,
    participants,
    confounders,
    predictions,
    residualised,
    settings,
    importance,
    *,
    fold,
    model,
    task,
    labels,
    hyperparameters,
    inner_folds,
    repeats,
    grouped,
    predictions_only,
    seed,
    most=None,
):
    table = read_table(features, dtype={"participant_id": str}).set_index("participant_id")
    people = read_private(folds, task).set_index("participant_id")
    people = people[people.index.isin(table.index)]  # nobody else has morphometry
    groups = read_private(participants, task).set_index("participant_id")["group"] if grouped else None
    tiv = read_table(confounders).set_index("participant_id")["tiv_mm3"].astype(float)

    def fit(chosen, sizes=None):
        tested = chosen["fold"].astype(str) == str(fold)
        known = chosen.loc[~tested, "target"]
        learners = known.index[sampled(known, most, task, seed)]
        if len(learners) < len(known):
            print(f"{model}, fold {fold}: learns from a sample of {len(learners)} of {len(known)} people")
        done = fit_fold(
            table,
            chosen["target"],
            list(learners),
            list(chosen.index[tested]),
            model,
            task,
            labels,
            hyperparameters,
            inner_folds,
            seed,
            groups,
            sizes,
        )
        guessed = chosen.loc[tested, ["fold", "target"]].reset_index()
        return done, pd.concat([guessed, done.predictions], axis=1)

    with numeric_threads(1):
        raw, guesses = fit(people)
        tested = people.index[people["fold"].astype(str) == str(fold)]
        shuffles = 0 if predictions_only else repeats
        shares = importances(raw, table.loc[tested], people["target"].loc[tested], task, labels, shuffles, seed)
        count = raw.settings.set_index("setting").loc["n_train", "value"]
        print(f"{model}, fold {fold}: {count} people trained on, {len(tested)} tested")
        write_table(guesses, predictions)
        write_table(raw.settings, settings)
        write_table(shares, importance)
        if residualised:
            sizes, is_tested = tiv.reindex(people.index), people.index.isin(tested)
            sized = with_known_size(sizes, is_tested, people["target"], task, labels) & (not predictions_only)
            write_table(fit(people[sized], sizes)[1] if sized.any() else guesses.head(0), residualised)
            print(f"{model}, fold {fold}: {sized.sum()} of {len(people)} people in the model without head size")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            **dict(snakemake.input.items()),
            predictions=snakemake.output.predictions,
            residualised=next(iter(snakemake.output.residualised), None),
            settings=snakemake.output.settings,
            importance=snakemake.output.importance,
            fold=snakemake.wildcards.fold,
            model=snakemake.wildcards.model,
            task=params.task,
            labels=params.labels,
            hyperparameters=params.settings,
            inner_folds=params.inner_folds,
            repeats=params.repeats,
            grouped=params.grouped,
            predictions_only=params.predictions_only,
            seed=params.seed,
            most=params.people,
        )
