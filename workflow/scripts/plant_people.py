"""Rule plant_people: a batch of volumes in; the same on the common grid with planted changes, and who carries them."""

from pathlib import Path

import numpy as np
import pandas as pd

from voxplain.base.device import on_device
from voxplain.base.files import read_table, write_array, write_table
from voxplain.base.jobs import job_log
from voxplain.base.progress import Progress
from voxplain.cohort.participants import read_private
from voxplain.cohort.planted_effects import planted_effects
from voxplain.cohort.planting import PlantedSettings, draw_labels, planted_amounts
from voxplain.imaging.displaced import downsample_changed
from voxplain.imaging.grid import COMMON
from voxplain.imaging.resizing import one_blas_thread
from voxplain.population.atlas import read_prepared


def run(
    root, people, index, participants, atlas, images, tables, *, planted, plantings, settings, seed, task, threads
):  # fmt: skip
    everybody = read_private(participants, task)
    everybody = everybody[everybody["participant_id"].isin(read_table(index)["participant_id"])]
    people = pd.DataFrame(people)
    people = people[people["participant_id"].isin(everybody["participant_id"])]
    atlas, progress = read_prepared(*atlas), Progress("planted people", len(people))
    plantings = [PlantedSettings(**planted, **one) for one in plantings]
    with on_device("cpu", threads), one_blas_thread():
        # The nominal changes are the same in all plantings; if the largest is possible, so are the others.
        largest = max(plantings, key=lambda one: one.effect)
        effects = planted_effects(largest, atlas.data, atlas.regions)
        labels = [draw_labels(everybody, one.seed) for one in plantings]
        volumes = [np.zeros((len(people), *COMMON.shape), dtype=np.float32) for _ in plantings]
        for row, person in enumerate(people.itertuples()):
            changes = (
                effects.change(
                    planted_amounts(one, effects.indices, person.participant_id, label[person.participant_id])
                )
                for one, label in zip(plantings, labels, strict=True)
            )
            mask = Path(root, person.mask) if isinstance(person.mask, str) else None
            volume = Path(root, person.image)
            changed = downsample_changed(volume, mask, person.participant_id, changes, seed=seed, **settings)
            for array, data in zip(volumes, changed, strict=True):
                array[row] = data
            progress.step()
    for array, label, image, table in zip(volumes, labels, images, tables, strict=True):
        write_array(array, image)
        write_table(label.reindex(people["participant_id"]).reset_index(), table)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.root or snakemake.input.volumes,  # each batch of the phantom is a root of its own
            snakemake.params.people,
            snakemake.input.index,
            snakemake.input.participants,
            (snakemake.input.atlas_image, snakemake.input.atlas_table),
            snakemake.output.images,
            snakemake.output.tables,
            planted=snakemake.params.planted,
            plantings=snakemake.params.plantings,
            settings=snakemake.params.settings,
            seed=snakemake.params.seed,
            task=snakemake.params.task,
            threads=snakemake.params.torch_threads,
        )
