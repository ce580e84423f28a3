"""Rule make_people: a batch of phantom people in HCP layout, their truth and their measured parcels."""

import shutil
from pathlib import Path

from voxplain.base.device import on_device
from voxplain.base.files import folder_written_whole
from voxplain.base.jobs import job_log
from voxplain.cohort.phantom.people import make_people
from voxplain.cohort.phantom.settings import PhantomSettings


def run(ids, settings, threads, volumes, truth, measures):
    with folder_written_whole(volumes) as people, folder_written_whole(truth) as truths, on_device("cpu", threads):
        make_people(ids, settings, people)
        for person in ids:  # kept when the volumes go
            shutil.move(people / person / "truth.nii.gz", truths / f"sub-{person}_truth.nii.gz")
        Path(measures).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(people / "measures.tsv", measures)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.ids,
            PhantomSettings(seed=snakemake.params.seed, **snakemake.params.settings),
            snakemake.params.torch_threads,
            snakemake.output.volumes,
            snakemake.output.truth,
            snakemake.output.measures,
        )
