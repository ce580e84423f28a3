"""Rule compare_first_layer: what each fold's network has in its first features in, how the classes differ out."""

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.features.group_differences import compare_groups, count_significant


def run(features, confounders, table, counts, *, folds, labels, hide_target):
    tiv = read_table(confounders).set_index("participant_id")["tiv_mm3"].astype(float)
    parts = []
    for fold, path in zip(folds, features, strict=True):
        differences = compare_groups(read_table(path), labels, tiv)
        differences.insert(0, "fold", fold)
        parts.append(differences)
    differences = pd.concat(parts, ignore_index=True)
    if hide_target:  # how many people belong to a class is then nobody's business
        differences[[f"n_{label}" for label in labels]] = None
    write_table(differences, table)
    write_table(count_significant(differences, labels), counts)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.features,
            snakemake.input.confounders,
            snakemake.output.table,
            snakemake.output.counts,
            folds=snakemake.params.folds,
            labels=snakemake.params.labels,
            hide_target=snakemake.params.hide_target,
        )
