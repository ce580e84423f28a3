"""Rule downsample: a batch of volumes in, one array on the common grid and its quality table out."""

from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.imaging.downsampling import downsample_batch, write_batch


def run(root, people, settings, seed, images, quality):
    masks = [None if mask is None or mask != mask else Path(root, mask) for mask in people["mask"]]
    paths = [Path(root, image) for image in people["image"]]
    array, table = downsample_batch(paths, masks, people["participant_id"], seed=seed, **settings)
    write_batch(array, table, images, quality)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.root or snakemake.input.volumes,  # the phantom's batch is a root of its own
            snakemake.params.people,
            snakemake.params.settings,
            snakemake.params.seed,
            snakemake.output.images,
            snakemake.output.quality,
        )
