"""Rule score_planted: the batches of one planting in; a network trained on them, and how well its maps find it."""

import numpy as np
import pandas as pd

from voxplain.attribution.own_code import register_own
from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.cohort.planted_effects import planted_effects, planted_truth
from voxplain.cohort.planting import LABELS, PlantedSettings
from voxplain.evaluation.power import score_cohort
from voxplain.imaging.grid import COMMON
from voxplain.models.settings import TrainingSettings
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid


def run(
    images, tables, participants, brain, atlas, scores, accuracy, cost, *,
    planted, training, methods, task, seed, device, partial, code, **options,
):  # fmt: skip
    settings, atlas = PlantedSettings(**planted), read_prepared(*atlas)
    truth = planted_truth(settings, planted_effects(settings, atlas.data, atlas.regions))
    people = pd.concat([read_table(table) for table in tables], ignore_index=True)
    # Sorted by id, so that nothing hangs on how the batches were cut.
    place = people["participant_id"].argsort(kind="stable").to_numpy().argsort()
    volumes, start = np.empty((len(people), *COMMON.shape), dtype=np.float32), 0
    for batch in (read_array(path) for path in images):
        volumes[place[start : start + len(batch)]] = batch
        start += len(batch)
    groups = read_private(participants, task)[["participant_id", "group"]]
    methods = {name: _of_planted_classes(register_own(name, options)) for name, options in methods.items()}
    people = people.sort_values("participant_id", ignore_index=True).rename(columns={"label": "target"})
    people = people.merge(groups, how="left", on="participant_id", validate="one_to_one")
    with on_device(*device) as chosen:
        cell = score_cohort(
            volumes, people, truth, read_on_grid(brain) > 0, TrainingSettings(**training, labels=LABELS), methods,
            seed=seed, device=chosen, state_folder=f"{partial}_{code}", **options,
        )  # fmt: skip
    facts = {"design": "planted", "effect": settings.effect, "seed": settings.seed}
    for table, path in zip(cell, (scores, accuracy, cost), strict=True):
        write_table(table.assign(**facts)[[*facts, *table.columns]], path)
    clear_folders(f"{partial}_*")


def _of_planted_classes(options):
    """Leave out a target that is a class of the cohort (or its number): in the benchmark others are told apart."""
    kept = options.get("target") in (None, "contrast", "predicted", "true")
    return options if kept else {key: value for key, value in options.items() if key != "target"}


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            snakemake.input.images,
            snakemake.input.tables,
            snakemake.input.participants,
            snakemake.input.brain,
            (snakemake.input.atlas_image, snakemake.input.atlas_table),
            snakemake.output.scores,
            snakemake.output.accuracy,
            snakemake.output.cost,
            planted=params.planted,
            training={**params.model, **params.training},
            methods=params.methods,
            task=params.task,
            seed=params.seed,
            device=(params.device, params.torch_threads),
            partial=params.partial,
            code=params.code,
            **params.options,
        )
