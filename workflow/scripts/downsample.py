"""Rule downsample: a batch of volumes in, one array on the common grid and its quality table out."""

from voxplain.base.jobs import job_log
from voxplain.cohort.volumes import files_of
from voxplain.imaging.downsampling import downsample_each
from voxplain.imaging.stacking import Batch, write_batch


def run(people, volumes, masks, settings, seed, output):
    ids = people["participant_id"]
    images, masks = files_of(people, volumes, masks)
    write_batch(downsample_each(images, masks, ids, seed=seed, **settings), len(ids), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.people,
            snakemake.input.volumes,
            snakemake.input.get("masks", ()),
            snakemake.params.settings,
            snakemake.params.seed,
            Batch(snakemake.output.images, snakemake.output.quality, snakemake.output.brains),
        )
