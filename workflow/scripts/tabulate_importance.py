"""Rule tabulate_importance: importances and settings of all folds in, their tables out."""

import re
from pathlib import Path

import pandas as pd

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.baselines.importance import summarise_importances

NAME = re.compile(r"(?P<model>.+)_fold-(?P<fold>[^_]+)_(?:importance|settings)\.tsv")


def run(importances, settings, importance, hyperparameters):
    frames: dict[str, list[pd.DataFrame]] = {}
    for path in importances:
        frames.setdefault(NAME.fullmatch(Path(path).name)["model"], []).append(read_table(path))
    rows = []
    for path in settings:
        name = NAME.fullmatch(Path(path).name)
        rows.append(read_table(path, dtype=str).assign(model=name["model"], fold=name["fold"]))
    columns = ["model", "fold", "setting", "value"]
    write_table(summarise_importances(frames), importance)
    write_table(pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns), hyperparameters)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.importances,
            snakemake.input.settings,
            snakemake.output.importance,
            snakemake.output.hyperparameters,
        )
